//! The Parakeet worker: audio in, words out, from the command line and from Dalston's queue.
//!
//! [`engine`] holds the audio path. Around it: [`cli`] the flags, [`model_dir`] where models lie,
//! [`language`] what their transcripts are labelled with, [`source`] where audio comes from,
//! [`settings`] what holds where nobody says otherwise, [`output`] the formats, [`stats`] what the work
//! cost, [`memory`] what it should take. The commands: [`transcribe`]; [`run`] with [`worker`], the
//! engine of the pipeline, [`task_config`], what a task may ask for, and [`engine_manifest`], what
//! Dalston knows of it; [`health`]. `main.rs` and the SDK's `config` alone read the environment.

#![forbid(unsafe_code)]

pub mod cli;
pub mod engine;
pub mod engine_manifest;
pub mod health;
mod hearing;
mod in_order;
pub mod language;
pub mod memory;
pub mod model_dir;
pub mod output;
mod read_ahead;
mod recordings;
pub mod run;
pub mod settings;
pub mod source;
pub mod stats;
pub mod task_config;
pub mod transcribe;
pub mod worker;
