//! What a worker is doing, and whether its queue and its store answer.
//!
//! The runner and its heartbeat write the status through `StatusWriter`; the health pages and the registry's record
//! read it. A `tokio::sync::watch` channel connects them, so that readers always see the latest status
//! and never hold up the runner.

use serde::Serialize;
use tokio::sync::watch;

use crate::engine::EngineHealth;
use crate::queue::QueueError;

/// What a worker is doing, and whether its queue and its store answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerStatus {
    /// The phase of the worker's life.
    pub phase: Phase,
    /// How many tasks the worker holds.
    pub n_in_flight: u32,
    /// How many tasks the worker takes at once; 0 until the engine is loaded.
    pub capacity: u32,
    /// The engine's state after its last load or task.
    pub engine: EngineHealth,
    /// Whether the queue answered the last call.
    pub queue: Link,
    /// Whether the store answered the last call.
    pub store: Link,
    /// Whether the disk took the last file.
    pub disk: Link,
}

/// The phases of a worker's life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// The engine is loading; the worker takes no task.
    #[default]
    Loading,
    /// The worker waits for a task.
    Idle,
    /// The worker holds at least one task.
    Processing,
    /// The worker finishes the tasks that it holds and takes no new one.
    Draining,
    /// The engine hangs; the worker gives its tasks back and ends.
    Hung,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// No call was made yet.
    #[default]
    Unknown,
    /// The last call was answered.
    Connected,
    /// The last call was not answered.
    Unavailable,
}

impl WorkerStatus {
    /// Whether the worker can go on. If not, it ends by itself, or must be ended.
    pub fn is_alive(&self) -> bool {
        self.phase != Phase::Hung
    }

    /// Whether the worker would take a task that arrives now.
    pub fn is_ready(&self) -> bool {
        let can_work = matches!(self.phase, Phase::Idle | Phase::Processing);
        // A store that never answered may refuse everything. A disk without room for one file may have room
        // for the next.
        can_work && self.queue != Link::Unavailable && self.store == Link::Connected
    }
}

/// The writer of a [`WorkerStatus`]. Clones write the same status.
#[derive(Clone, Debug)]
pub(crate) struct StatusWriter {
    status: watch::Sender<WorkerStatus>,
}

impl StatusWriter {
    pub(crate) fn new(status: watch::Sender<WorkerStatus>) -> Self {
        Self { status }
    }

    /// The engine is loaded, or has answered a task. The worker takes `capacity` tasks at once.
    pub(crate) fn engine_ready(&self, health: EngineHealth, capacity: usize) {
        self.change(|status| {
            status.engine = health;
            status.capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
            // Only the first report after a load ends `Loading`. A draining worker stays draining.
            if status.phase == Phase::Loading {
                status.phase = loaded_phase(status.n_in_flight);
            }
        });
    }

    /// The engine loads, for the first time or after a panic.
    pub(crate) fn engine_loading(&self) {
        self.change(|status| {
            if status.phase != Phase::Draining {
                status.phase = Phase::Loading;
            }
        });
    }

    /// The worker takes no new task from now on. No other call changes this phase.
    pub(crate) fn draining(&self) {
        self.change(|status| status.phase = Phase::Draining);
    }

    /// The engine hangs. The worker calls nothing after this that would change the phase.
    pub(crate) fn hung(&self) {
        self.change(|status| status.phase = Phase::Hung);
    }

    pub(crate) fn task_began(&self) {
        self.count(|n_in_flight| n_in_flight + 1);
    }

    pub(crate) fn task_ended(&self) {
        self.count(|n_in_flight| n_in_flight.saturating_sub(1));
    }

    /// Whether the queue answered a call.
    pub(crate) fn queue_answered(&self, answered: bool) {
        self.change(|status| status.queue = link(answered));
    }

    /// The queue did not answer, which is also logged.
    pub(crate) fn queue_unavailable(&self, err: &QueueError) {
        self.queue_answered(false);
        let cause = std::error::Error::source(err).map(ToString::to_string);
        tracing::warn!(error = %err, cause, "redis_connection_error");
    }

    /// Whether the store answered a call.
    pub(crate) fn store_answered(&self, answered: bool) {
        self.change(|status| status.store = link(answered));
    }

    /// Whether the disk refused the last file.
    pub(crate) fn is_disk_unavailable(&self) -> bool {
        self.status.borrow().disk == Link::Unavailable
    }

    /// Whether the disk took a file.
    pub(crate) fn disk_answered(&self, answered: bool) {
        self.change(|status| status.disk = link(answered));
    }

    /// Whether the store answered the last call.
    pub(crate) fn is_store_connected(&self) -> bool {
        self.status.borrow().store == Link::Connected
    }

    /// The status as it is now.
    pub(crate) fn current(&self) -> WorkerStatus {
        self.status.borrow().clone()
    }

    fn count(&self, next: impl FnOnce(u32) -> u32) {
        self.change(|status| {
            status.n_in_flight = next(status.n_in_flight);
            // Tasks may end while the engine loads again or the worker drains: those phases stay.
            if matches!(status.phase, Phase::Idle | Phase::Processing) {
                status.phase = loaded_phase(status.n_in_flight);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut WorkerStatus)) {
        self.status.send_modify(change);
    }
}

/// The phase of a worker whose engine is loaded and that does not drain.
fn loaded_phase(n_in_flight: u32) -> Phase {
    if n_in_flight == 0 {
        Phase::Idle
    } else {
        Phase::Processing
    }
}

fn link(answered: bool) -> Link {
    if answered {
        Link::Connected
    } else {
        Link::Unavailable
    }
}
