//! What the programs and benchmarks here share.

#![forbid(unsafe_code)]

#[cfg(feature = "engine")]
mod model;
mod seams;
mod search;

#[cfg(feature = "engine")]
pub use model::{ModelArguments, seconds};

/// Work of the pure-Rust parts that is the same each time.
pub struct Work {
    /// What is done, and to what.
    pub name: &'static str,
    /// How many frames, tokens or seconds of audio it is done to.
    pub n_items: usize,
    /// Makes what does it once.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// All of it: the search of a batch, the words of a chunk, and the cutting and joining of ten minutes.
pub fn pure_work() -> impl Iterator<Item = &'static Work> {
    search::WORK.iter().chain(&seams::WORK)
}
