//! The work that is measured, and what the programs and benchmarks of this package share.

#![forbid(unsafe_code)]

#[cfg(feature = "engine")]
mod model;
mod seams;
mod search;

#[cfg(feature = "engine")]
pub use model::{ModelArguments, seconds};

/// Work of the pure-Rust crates that is the same each time.
pub struct Work {
    /// The work's name, in reports and for `cargo xtask instructions`.
    pub name: &'static str,
    /// Number of frames, tokens or seconds of audio that one run handles.
    pub n_items: usize,
    /// Prepares the work's input and returns a function that does the work once.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// All work: the search of a batch, the words of a chunk, and the cutting and joining of ten minutes of
/// audio.
pub fn pure_work() -> impl Iterator<Item = &'static Work> {
    search::WORK.iter().chain(&seams::WORK)
}
