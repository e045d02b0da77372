//! Everything that an engine needs to live in the Dalston pipeline, whatever it computes.
//!
//! Implement [`Engine`], and [`work`] runs a worker around it. `docs/embedding.md` in the repository builds
//! a whole engine with its tests in a quarter of an hour; the result is `examples/loudness`.
//!
//! [`audio`] reads a file of any common format as mono samples at 16 kHz:
//!
//! ```
//! use std::io::Cursor;
//!
//! use dalston_engine_sdk::audio::{self, AudioLimits};
//!
//! // A WAV file with four samples at 16 kHz. A file on disk goes to `audio::load`.
//! let file = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
//!              data\x08\0\0\0\0\0\0\x40\0\xc0\0\0";
//! let waveform = audio::read(Cursor::new(file), &AudioLimits::default())?;
//! assert_eq!(waveform.samples, [0.0, 0.5, -0.5, 0.0]);
//! assert_eq!(waveform.source.codec, "pcm_s16le");
//! for warning in &waveform.warnings {
//!     eprintln!("{warning}");
//! }
//!
//! // A file that is no audio gives an error, whose text is a sentence for the user.
//! let page = Cursor::new("<html>404 Not Found</html>");
//! let err = audio::read(page, &AudioLimits::default()).unwrap_err();
//! assert_eq!(err.to_string(), "not an audio file of a known format");
//! # Ok::<(), audio::AudioError>(())
//! ```

#![forbid(unsafe_code)]

pub mod artifacts;
pub mod audio;
pub mod config;
pub mod contract;
mod engine;
mod error;
pub mod failpoint;
pub mod health;
mod instance_metadata;
pub mod memory;
pub mod metrics;
pub mod queue;
pub mod runner;
pub mod status;
pub mod telemetry;
mod timestamp;
mod transcript;
pub mod uri;
mod worker;

pub use engine::thread::EngineHandle;
pub use engine::{
    BatchEngine, Capabilities, Engine, EngineHealth, EngineState, LoadedEngine, StopReason, Task,
    TaskContext, TaskInput, TaskOutput, TaskResult, Tasks,
};
pub use error::{ErrorKind, TaskError};
pub use worker::{WorkError, work};
