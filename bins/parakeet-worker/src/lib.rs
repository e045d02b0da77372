//! The Parakeet worker: audio in, words out, from the command line and from Dalston's queue.
//!
//! | module | what it holds |
//! |---|---|
//! | [`transcriber`] | the audio path: from recordings to segments of words |
//! | [`source`], [`settings`] | where a recording comes from; how it is cut, batched, searched and segmented |
//! | `output` | the printed formats, and the wire form for the pipeline |
//! | [`transcribe`] | the command for files, with its report and its plan of memory |
//! | [`run`], [`worker`] | the command for Dalston's queue, and the engine that it gives to the SDK |
//! | [`task_config`], [`engine_manifest`] | the settings that a task may send; `engine.yaml` |
//! | [`health`] | the command that asks a running worker for its health |
//! | [`cli`], `language`, `model_dir` | the flags; the language label of transcripts; where models lie |
//! | [`process`], [`printable`] | what std does not offer about this process; names on a terminal |
//!
//! Only `main.rs` and the SDK's `config` read the environment.

pub mod cli;
pub mod engine_manifest;
pub mod health;
mod language;
mod model_dir;
mod output;
pub mod printable;
pub mod process;
pub mod run;
pub mod settings;
pub mod source;
pub mod task_config;
pub mod transcribe;
pub mod transcriber;
pub mod worker;
