//! What the runner asks of a contract: how requests, results and events look on the wire.

use std::time::{Duration, SystemTime};

use object_store::path::Path;
use serde_json::{Map, Value};

use crate::engine::{EngineHealth, TaskOutput};
use crate::error::TaskError;
use crate::queue::{Claim, Event, Record};

/// How one era of the pipeline speaks. Pure: no files, no network; the clock only for time stamps.
pub trait Dialect: Send + Sync {
    /// The object that holds the task's request.
    fn request_key(&self, claim: &Claim) -> Result<Path, TaskError>;

    /// Reads the request.
    fn read_request(&self, claim: &Claim, body: &[u8]) -> Result<Request, TaskError>;

    /// The object that the result goes to: a function of the task's ids.
    fn output_key(&self, claim: &Claim) -> Result<Path, TaskError>;

    /// Writes the result, checked against the pipeline's own rules. Its bytes follow from the request
    /// and the output, apart from the time stamp and the processing time.
    fn write_output(
        &self,
        claim: &Claim,
        request: &Request,
        output: &TaskOutput,
        processing_time: Duration,
    ) -> Result<Vec<u8>, TaskError>;

    /// Words an event.
    fn event(&self, claim: &Claim, news: News<'_>) -> Event;

    /// Words the worker's record in the registry; `None` where the pipeline has none.
    fn record(&self, worker: &WorkerState) -> Option<Record>;
}

/// What there is to tell about a task.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// Work begins.
    Started,
    /// The result is stored.
    Completed,
    /// There will be no result: one sentence why.
    Failed(&'a str),
}

/// A task's request, read but not yet fetched.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The stage: `transcribe`, `transcribe_ch0`.
    pub stage: String,
    /// What to download: slot and `s3://` URI.
    pub files: Vec<(String, String)>,
    /// What earlier stages put out, by stage.
    pub previous_outputs: Map<String, Value>,
    /// The settings, as sent.
    pub config: Map<String, Value>,
    /// When the orchestrator gives the task up.
    pub deadline: Option<SystemTime>,
}

/// What the worker is doing, for the registry and the health page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerState {
    /// The phase of its life.
    pub phase: Phase,
    /// Tasks in hand.
    pub active: u32,
    /// What the engine says.
    pub engine: EngineHealth,
}

/// The phases of a worker's life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// The engine is loading; no task is taken.
    #[default]
    Loading,
    /// Waiting for a task.
    Idle,
    /// At work.
    Processing,
    /// Finishing what it has, taking nothing new.
    Draining,
}
