//! The parts that end-to-end tests share: real servers, proxies with faults, Dalston's side of the pipeline,
//! the worker as a process, and the tiny model with its test set.

#![forbid(unsafe_code)]
#![allow(
    clippy::missing_panics_doc,
    reason = "these functions are called by tests, which fail by panicking"
)]

mod contract;
mod fault_proxy;
pub mod isolation;
mod listener;
mod object_server;
pub mod pipeline;
mod producer;
mod program;
mod redis_sentinel;
mod redis_server;
mod referee;
mod tls_proxy;
mod worker;

#[cfg(feature = "model")]
mod long_recording;
pub mod parakeet;
#[cfg(feature = "model")]
mod test_set;
#[cfg(feature = "model")]
mod tiny_model;
#[cfg(feature = "model")]
mod word_errors;

use std::path::Path;

pub use contract::Contract;
pub use fault_proxy::{Fault, FaultProxy};
pub use listener::{Event, EventKind, Listener};
pub use object_server::ObjectServer;
pub use producer::{Producer, Task};
pub use program::{Program, Signal, Usage, free_port, wait_until};
pub use redis_sentinel::RedisSentinel;
pub use redis_server::RedisServer;
pub use referee::{Charge, Conviction, Referee, Rules, Status};
pub use tls_proxy::{Authority, TlsProxy};
pub use worker::{Worker, WorkerSettings};

#[cfg(feature = "model")]
pub use long_recording::{Joint, LongRecording};
#[cfg(feature = "model")]
pub use test_set::{Golden, NearTie, Recording, Spoken, goldens, test_set};
#[cfg(feature = "model")]
pub use tiny_model::{tiny_transcriber, transcribe};
#[cfg(feature = "model")]
pub use word_errors::{WordErrors, compare};

/// The root folder of the repository.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the root")
}
