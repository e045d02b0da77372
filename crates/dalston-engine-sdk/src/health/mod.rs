//! A worker's state for the outside: what it is doing, and whether it can.
//!
//! The pages answer from the moment the process runs, before anything is loaded or connected: a load
//! that takes minutes is no reason to restart a worker. `/health` and `/health/live` say 200 as long as
//! the process answers at all; `/health/ready` says 503 while no task would be taken.

mod ask;
mod pages;

use serde::Serialize;

use crate::contract::{Contract, Identity};
use crate::runner::{Phase, WorkerState};

pub use ask::{AskError, ask};
pub use pages::{Pages, ServeError};

/// What the pages are made of. The runner keeps it up to date through a `tokio::sync::watch` channel.
#[derive(Debug, Clone, Default)]
pub struct Vitals {
    /// What the worker is doing.
    pub worker: WorkerState,
    /// Whether the queue answered when it was last asked.
    pub queue: Link,
    /// Whether the store answered when it was last asked.
    pub store: Link,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answered.
    Connected,
    /// It did not.
    Unavailable,
}

impl Vitals {
    /// Whether a task that comes now would be taken.
    pub fn is_ready(&self) -> bool {
        let works = matches!(self.worker.phase, Phase::Idle | Phase::Processing);
        works && self.queue != Link::Unavailable && self.store != Link::Unavailable
    }

    fn status(&self) -> &'static str {
        match self.worker.phase {
            Phase::Loading => "loading",
            Phase::Draining => "draining",
            Phase::Idle | Phase::Processing if !self.is_ready() => "degraded",
            Phase::Idle | Phase::Processing => "healthy",
        }
    }
}

/// The body of `/health`: the plan's fields, HEAD's, and the state of both connections.
#[derive(Debug, Serialize)]
struct Report<'a> {
    status: &'static str,
    engine_id: &'a str,
    instance: &'a str,
    contract: String,
    model_loaded: bool,
    model_name: Option<&'a str>,
    models_loaded: &'a [String],
    model_count: usize,
    device: &'a str,
    cuda_available: bool,
    cuda_device_count: u32,
    gpu_memory_used: String,
    gpu_memory_total: String,
    active_tasks: u32,
    queue: Link,
    store: Link,
}

impl<'a> Report<'a> {
    fn new(contract: Contract, identity: &'a Identity, vitals: &'a Vitals) -> Self {
        let engine = &vitals.worker.engine;
        Self {
            status: vitals.status(),
            engine_id: &identity.engine_id,
            instance: &identity.instance,
            contract: contract.to_string(),
            model_loaded: !engine.models_loaded.is_empty(),
            model_name: engine.model_name.as_deref(),
            models_loaded: &engine.models_loaded,
            model_count: engine.models_loaded.len(),
            device: &engine.device,
            cuda_available: engine.cuda_available,
            cuda_device_count: engine.cuda_device_count,
            gpu_memory_used: gigabytes(engine.gpu_memory_used_bytes),
            gpu_memory_total: gigabytes(engine.gpu_memory_total_bytes),
            active_tasks: vitals.worker.active,
            queue: vitals.queue,
            store: vitals.store,
        }
    }
}

/// `2.5GB`; `0GB` without a GPU, as Dalston's own engines say.
pub(crate) fn gigabytes(bytes: Option<u64>) -> String {
    match bytes {
        None | Some(0) => "0GB".to_owned(),
        Some(bytes) => format!("{:.1}GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests;
