//! Reads and writes everything that one worker exchanges with the pipeline, in one contract.

use std::time::Duration;

use object_store::path::Path;

use super::event::{self, TaskEvent};
use super::identity::Identity;
use super::output::OutputWriter;
use super::request::Request;
use super::version::Contract;
use super::{keys, registry};
use crate::engine::TaskOutput;
use crate::error::TaskError;
use crate::queue::{Claim, Event, Record};
use crate::status::WorkerStatus;

/// One contract, as one worker uses it.
///
/// All methods are pure: no files, no network, and the clock only for time stamps.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// The contract.
    pub contract: Contract,
    /// The worker.
    pub identity: Identity,
}

impl Protocol {
    /// The key of the object that holds the task's request.
    ///
    /// # Errors
    ///
    /// `Input` if the task has no hash, no job, or an id that cannot be a part of a key.
    pub fn request_key(&self, claim: &Claim) -> Result<Path, TaskError> {
        keys::object(claim, self.contract.terms().request_file)
    }

    /// Reads the request.
    ///
    /// # Errors
    ///
    /// `Input` if `body` is no request of this contract, or the request of another task.
    pub fn read_request(&self, claim: &Claim, body: &[u8]) -> Result<Request, TaskError> {
        (self.contract.terms().read_request)(claim, body)
    }

    /// The key of the object that the result goes to: a function of the task's ids.
    ///
    /// # Errors
    ///
    /// As [`request_key`](Self::request_key).
    pub fn output_key(&self, claim: &Claim) -> Result<Path, TaskError> {
        keys::object(claim, self.contract.terms().output_file)
    }

    /// Writes the result, and checks a transcript against the contract's schema.
    ///
    /// The schemas of `m22-typed` and `streams` were recorded from Dalston. That of `m22` is made from
    /// [`M22Transcript`](super::M22Transcript), because no recording has one. The result of another stage,
    /// [`TaskResult::Data`](crate::TaskResult::Data), has no schema and is written unchecked.
    ///
    /// The bytes follow from the request and the output, apart from the time stamp and the processing
    /// time: a task that runs twice stores the same result twice.
    ///
    /// # Errors
    ///
    /// `Engine` if the transcript does not fit the schema.
    pub fn write_output(
        &self,
        claim: &Claim,
        request: &Request,
        output: &TaskOutput,
        processing_time: Duration,
    ) -> Result<Vec<u8>, TaskError> {
        let writer = OutputWriter {
            contract: self.contract,
            engine_id: &self.identity.engine_id,
            task_id: &claim.task_id,
            request,
            processing_time,
        };
        writer.write(&output.result)
    }

    /// Writes an event about the task, for the channel and for the stream of events.
    pub fn event(&self, claim: &Claim, event: TaskEvent<'_>) -> Event {
        event::write(&self.identity.engine_id, claim, event)
    }

    /// Writes the worker's record for the registry; `None` where the pipeline has no registry.
    pub fn record(&self, status: &WorkerStatus) -> Option<Record> {
        let has_registry = self.contract.terms().has_registry;
        has_registry.then(|| registry::record(&self.identity, status))
    }
}
