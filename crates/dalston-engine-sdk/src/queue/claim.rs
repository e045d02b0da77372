//! The trait of a queue, and what passes through it: claims, events, records, errors.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::held::Receipt;
use crate::timestamp;

/// One worker's membership in a queue. Every call has its own time-out.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Takes the worker's id. If another process holds that id, waits up to one lease: a lease that lapses
    /// is taken over (this process is the restart), a lease that is renewed is that of a living twin.
    ///
    /// # Errors
    ///
    /// [`QueueError::Superseded`] if there is a twin; the worker must not start.
    async fn join(&self) -> Result<(), QueueError>;

    /// Claims the next task, and waits for one up to `max_wait`.
    ///
    /// Tasks that were handed out before come ahead of new ones: the worker's own tasks that no live [`Claim`]
    /// holds (those of an earlier process, and those whose answer got lost), and the tasks of workers whose
    /// lease has lapsed. A stream hands out the worker's own tasks first. A list hands out those of dead
    /// workers first, because its script moves them to the front of the queue after the worker's own. The
    /// queue in memory hands out both in the order of their claims. New tasks come oldest first.
    ///
    /// Dropping the future loses no task: a task that the server handed out meanwhile comes with the next
    /// call.
    async fn claim(&self, max_wait: Duration) -> Result<Option<Claim>, QueueError>;

    /// Reports that this process begins work on the task. Publishes `started` the first time, and again only
    /// if another process has died over the task since: a task that was put back is not told twice.
    ///
    /// A report may be repeated, as after a lost answer: it counts once.
    async fn start(&self, claim: &Claim, started: &Event) -> Result<(), QueueError>;

    /// Ends the task: publishes `ended` and acknowledges the task, both or neither, and only if the task is
    /// still this worker's. `ending` says what is kept of the record of attempts.
    ///
    /// A report may be repeated: the queue accepts it and publishes nothing more. A server that has lost its
    /// memory knows no owner: the end is then published as well, if nobody has ended the task and this
    /// worker's lease has not lapsed since the claim.
    async fn finish(&self, claim: &Claim, ended: &Event, ending: Ending) -> Result<(), QueueError>;

    /// Acknowledges the task and publishes nothing, because its job was cancelled before work on it began, or
    /// because the orchestrator has blocked the task.
    async fn discard(&self, claim: &Claim) -> Result<(), QueueError>;

    /// Puts the task back into the queue. This process then counts as one that has not begun work on it.
    async fn put_back(&self, claim: &Claim, place: PutBack) -> Result<(), QueueError>;

    /// Renews the lease of the worker and of its live claims. Call it once in a third of a
    /// [`lease`](Self::lease), and call this and [`register`](Self::register) from one runtime, which need not
    /// be that of the other calls.
    /// Returns the [receipts](Receipt::as_str) of claims that another worker has taken.
    async fn renew(&self) -> Result<Vec<String>, QueueError>;

    /// Writes the worker's whole record into the engine registry; does nothing where the pipeline has no
    /// registry.
    async fn register(&self, record: &Record) -> Result<(), QueueError>;

    /// Leaves the queue: the tasks that the worker still holds can be claimed at once, its id is free, and
    /// its record is removed. Tasks that work has begun on keep this process in their record of attempts.
    async fn leave(&self) -> Result<(), QueueError>;

    /// How long a worker may fail to renew before its tasks go to others.
    fn lease(&self) -> Duration;
}

/// A task that this worker holds.
///
/// The worker holds the task as long as this value lives. A claim that is dropped without an end comes again
/// with a later [`Queue::claim`].
#[derive(Debug, Default)]
pub struct Claim {
    /// Tells this claim from every other, also of the same task.
    pub receipt: Receipt,
    /// The task's id.
    pub task_id: String,
    /// How many processes have begun work on the task without an end.
    pub deliveries: u32,
    /// How often the task was put back because something that it needs was unavailable.
    pub deferrals: u32,
    /// The time since the first of these [`deferrals`](Self::deferrals); zero if there was none.
    pub deferred_for: Duration,
    /// Whether a `started` event of the task was published, and no end since.
    pub was_started: bool,
    /// The fields of the task's message (`job_id`, `enqueued_at`, `timeout_at`); empty for a list, whose
    /// message is the bare id.
    pub message: BTreeMap<String, String>,
    /// The fields of the hash `dalston:task:{task_id}`; empty when there is no hash.
    pub metadata: BTreeMap<String, String>,
    /// Whether to [discard](Queue::discard) the task: its job was cancelled, or the task was blocked.
    pub cancelled: bool,
}

impl Claim {
    /// The job's id from the hash, else from the message, else `unknown`, as Dalston's own engines write.
    pub fn job_id(&self) -> &str {
        let job_id = self.metadata.get("job_id").or(self.message.get("job_id"));
        job_id.map_or("unknown", String::as_str)
    }

    /// When the orchestrator added the task to the queue; `None` where the pipeline does not record it, as in
    /// the M22 era.
    pub fn enqueued_at(&self) -> Option<SystemTime> {
        let key = "enqueued_at";
        let text = self.message.get(key).or(self.metadata.get(key))?;
        timestamp::parse(text)
    }
}

/// An event for the orchestrator, written in one contract.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The JSON for channel `dalston:events`.
    pub message: String,
    /// The fields of the event's entry in `dalston:events:stream`; not used by a list.
    pub fields: Vec<(String, String)>,
}

/// How a task ends, and so what is kept of the record of its attempts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// With a result: the whole record is deleted.
    Completed,
    /// Without a result: the processes that died over the task stay in the record, because the orchestrator
    /// may queue the task again under the same id. This process is removed from it.
    Failed,
    /// As [`Failed`](Self::Failed), but this process stays in the record, because the task ends it.
    Fatal,
}

impl Ending {
    /// The word of the scripts.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Fatal => "fatal",
        }
    }
}

/// Where a task is put back to, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PutBack {
    /// To the front of the queue, because this worker cannot take the task now. Any worker may claim it at
    /// once.
    Untouched,
    /// Because something that the task needs is unavailable: counts as one of its
    /// [deferrals](Claim::deferrals). Without a delay to the front of the queue. With a delay, a stream hands the
    /// task to nobody before the delay is over, and a list puts it behind all waiting tasks.
    Deferred {
        /// How long other tasks go first.
        delay: Duration,
    },
}

impl PutBack {
    /// The task's deferrals after this one, as the scripts take it; empty if they stay.
    ///
    /// The number and not an increment: a report that is repeated after a lost answer counts once.
    pub(super) fn deferrals(self, claim: &Claim) -> String {
        match self {
            Self::Untouched => String::new(),
            Self::Deferred { .. } => (claim.deferrals + 1).to_string(),
        }
    }

    /// How long other tasks go first.
    pub(super) fn delay_ms(self) -> u64 {
        match self {
            Self::Untouched => 0,
            Self::Deferred { delay } => delay.as_millis() as u64,
        }
    }
}

/// A worker's record in the engine registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The stage that the registry lists the worker under.
    pub stage: String,
    /// All fields of the hash `dalston:engine:instance:{instance}`.
    pub fields: Vec<(String, String)>,
}

/// Why a call to the queue failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The task is no longer this worker's, or has ended. Report nothing more about it: the worker that holds
    /// the task reports its end.
    #[error("the task is no longer held by this worker")]
    NotHeld,

    /// Another process works under the same worker id. Only one may, so end this one.
    #[error("another process works under this worker id; give each its own DALSTON_WORKER_ID")]
    Superseded,

    /// The server can never serve as a queue. End the process.
    #[error("{reason}")]
    Unsuitable {
        /// What is wrong with the server, and what to use instead.
        reason: String,
    },

    /// The server is unavailable, slow, or refuses the call. Try again later.
    #[error("the queue does not answer")]
    Unavailable {
        /// The client's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
