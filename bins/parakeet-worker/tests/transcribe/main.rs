//! `parakeet-worker transcribe`, run as a person would.

mod formats;
mod many_files;
mod program;
mod usage;
