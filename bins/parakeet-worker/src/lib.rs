//! The Parakeet worker: audio in, words out, from the command line.
//!
//! [`engine`] holds the audio path. Around it: [`cli`] the flags, [`model_dir`] where models lie,
//! [`language`] what their transcripts are labelled with, [`source`] where audio comes from, [`transcribe`] the command, [`output`] the formats, [`stats`]
//! what the work cost. `main.rs` alone reads the environment.

pub mod cli;
pub mod engine;
mod hearing;
pub mod language;
pub mod model_dir;
pub mod output;
mod read_ahead;
mod recordings;
pub mod source;
pub mod stats;
pub mod transcribe;
