//! Where tasks come from and where their ends are told, in terms of claims and leases.
//!
//! A [`Queue`] is one worker's membership in a queue. It hands out [`Claim`]s; a claim is the worker's
//! until it is finished, put back, dropped, or the worker's lease lapses, and never lost: whatever
//! happens to the worker, somebody can claim the task again.

mod held;
mod keys;
mod lease;
mod list;
mod memory;
mod scripts;
mod server;
mod streams;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "testsuite"))]
pub mod testsuite;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::timestamp;

pub use held::Receipt;
pub use list::ListQueue;
pub use memory::{MemoryBroker, MemoryQueue};
pub use streams::StreamQueue;

/// One worker's membership in a queue. Every call has its own time-out.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Takes the worker's place under its id. If somebody holds that id, waits up to one lease: a
    /// lapsed lease is taken over (this is the restart), a renewed one is a twin.
    ///
    /// # Errors
    ///
    /// [`QueueError::Superseded`] for a twin; the worker must not start.
    async fn join(&self) -> Result<(), QueueError>;

    /// Takes the next task, waiting for one up to `patience`. First come the worker's own tasks that
    /// no live [`Claim`] holds (of an earlier life, or of an answer that got lost), then those of
    /// workers whose lease has lapsed, then new ones, oldest first.
    ///
    /// Dropping the future loses no task: what the server handed out meanwhile comes with the next
    /// call.
    async fn claim(&self, patience: Duration) -> Result<Option<Claim>, QueueError>;

    /// Says that work on the task begins: raises its count of deliveries and publishes `started`, both
    /// or neither.
    async fn start(&self, claim: &Claim, started: &Event) -> Result<(), QueueError>;

    /// Ends the task: publishes `ended` (completed or failed), acknowledges it and forgets its count,
    /// all or nothing, and only if the task is still this worker's.
    async fn finish(&self, claim: &Claim, ended: &Event) -> Result<(), QueueError>;

    /// Acknowledges the task without a word: its job was cancelled.
    async fn discard(&self, claim: &Claim) -> Result<(), QueueError>;

    /// Gives the task back as it was, next in line, its count as before [`start`](Self::start).
    async fn put_back(&self, claim: &Claim) -> Result<(), QueueError>;

    /// Renews the worker's lease and those of its live claims; a third of [`lease`](Self::lease) is
    /// the right interval. Returns the ids of claims that are lost to another worker.
    async fn renew(&self) -> Result<Vec<String>, QueueError>;

    /// Writes the worker's record into the engine registry, in full; does nothing where the pipeline
    /// has no registry.
    async fn register(&self, record: &Record) -> Result<(), QueueError>;

    /// Leaves in good order: what is still held becomes free at once, the record and the worker's id
    /// with it.
    async fn leave(&self) -> Result<(), QueueError>;

    /// How long a worker may be silent before its tasks go to others.
    fn lease(&self) -> Duration;
}

/// A task in this worker's hands.
///
/// Holding the value is holding the task: a claim that is dropped without an end comes back with a
/// later [`Queue::claim`].
#[derive(Debug, Default)]
pub struct Claim {
    /// What the queue knows it by.
    pub receipt: Receipt,
    /// The task.
    pub task_id: String,
    /// How often work on it began before, without an end.
    pub deliveries: u32,
    /// The fields of its message (`job_id`, `enqueued_at`, `timeout_at`); empty for a list, whose
    /// message is the bare id.
    pub message: BTreeMap<String, String>,
    /// The hash `dalston:task:{task_id}`; empty when there is none.
    pub metadata: BTreeMap<String, String>,
    /// Whether it is to be [discarded](Queue::discard): its job was cancelled, or it was blocked.
    pub cancelled: bool,
}

impl Claim {
    /// The job, from the hash, else from the message, else `unknown` (as Dalston's own engines say).
    pub fn job_id(&self) -> &str {
        let job_id = self.metadata.get("job_id").or(self.message.get("job_id"));
        job_id.map_or("unknown", String::as_str)
    }

    /// When it was put into the queue; `None` where the pipeline does not say, as in the M22 era.
    pub fn enqueued_at(&self) -> Option<SystemTime> {
        let key = "enqueued_at";
        let text = self.message.get(key).or(self.metadata.get(key))?;
        timestamp::parse(text)
    }
}

/// Something to tell the orchestrator, in the words of one contract.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The JSON for channel `dalston:events`.
    pub message: String,
    /// The fields of its entry in `dalston:events:stream`; unused with a list.
    pub fields: Vec<(String, String)>,
}

/// A worker's record in the engine registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The stage it is listed under.
    pub stage: String,
    /// Every field of hash `dalston:engine:instance:{instance}`.
    pub fields: Vec<(String, String)>,
}

/// Why the queue did not do as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The task is not this worker's any more, or has ended. Whoever has it tells its end: forget it.
    #[error("the task is no longer held by this worker")]
    NotHeld,

    /// Another process works under the same worker id. Only one may: stop.
    #[error("another process works under this worker id; give each its own DALSTON_WORKER_ID")]
    Superseded,

    /// The server can never serve as a queue: stop.
    #[error("{reason}")]
    Unsuitable {
        /// What is wrong with it, and what to use.
        reason: String,
    },

    /// The server is away, slow or refuses; worth another try later.
    #[error("the queue does not answer")]
    Unavailable {
        /// What the client says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
