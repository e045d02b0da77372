//! The tiny network: batches, the seam with the search, damaged bundles, and NeMo's activations.

#![allow(
    clippy::disallowed_methods,
    reason = "a test may panic where libtorch does"
)]

mod batches;
mod bundles;
mod goldens;
mod seam;
mod tiny;
