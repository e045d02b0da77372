//! `parakeet-worker transcribe`, run as a person would.

mod formats;
mod many_files;
mod names;
mod program;
mod running;
mod signals;
mod standard_output;
mod usage;
