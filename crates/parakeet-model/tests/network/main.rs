//! Networks of every head and compute type: batches, the seam with the search, damaged bundles, NeMo's
//! activations, and the operators of archives.

#![allow(
    clippy::disallowed_methods,
    reason = "a test may panic where libtorch does"
)]

mod batches;
mod bundles;
mod compute_types;
mod exported;
mod goldens;
mod heads;
mod operators;
mod seam;
mod tiny;
mod words_kept;
