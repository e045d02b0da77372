//! The runner: the state that its concurrent futures share, and the parts that a caller makes it from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::contexts::TaskContexts;
use super::isolation::Isolation;
use super::request_room::RequestRoom;
use super::signals::Shutdown;
use crate::artifacts::Artifacts;
use crate::contract::Protocol;
use crate::engine::thread::EngineHandle;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::status::{StatusWriter, WorkerStatus};

/// What a runner needs besides an engine.
pub struct Parts {
    /// The queue that tasks come from.
    pub queue: Arc<dyn Queue>,
    /// The store that holds the tasks' objects.
    pub artifacts: Artifacts,
    /// The contract and the worker's identity.
    pub protocol: Arc<Protocol>,
    /// The worker's metrics.
    pub metrics: Arc<Metrics>,
    /// The worker's status, which the health pages show.
    pub status: watch::Sender<WorkerStatus>,
    /// The runner's settings.
    pub settings: RunnerSettings,
}

/// The settings of a runner.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// The engine's id, for the log.
    pub engine_id: String,
    /// Most tasks in flight, whatever the engine says it takes at once; at least 1.
    pub slots: usize,
    /// How long running tasks may go on when the worker is asked to drain.
    pub grace: Duration,
    /// How often work on a task may begin without reaching an end.
    pub max_deliveries: u32,
    /// How long a task may wait for its own objects, or for room on the disk, while the store answers.
    pub deferral_limit: Duration,
    /// How long work on a task may take if the pipeline does not say so.
    pub task_timeout: Duration,
    /// How long the engine may make no progress on any of its tasks; `None` is without a limit.
    pub watchdog: Option<Duration>,
    /// How long the engine may keep a task whose time is over.
    pub overtime: Duration,
    /// A folder for the files of tasks. It is this worker's alone: the runner empties it at the start.
    pub scratch: PathBuf,
}

/// A running worker. The futures of slots and watchers borrow it and run concurrently.
pub(super) struct Runner {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) artifacts: Artifacts,
    pub(super) protocol: Arc<Protocol>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) status: StatusWriter,
    pub(super) settings: RunnerSettings,
    pub(super) engine: EngineHandle,
    /// The contexts of the tasks that the runner has passed to the engine.
    pub(super) contexts: Arc<TaskContexts>,
    /// Keeps a task that may have ended its worker apart from all others.
    pub(super) isolation: Isolation,
    /// Room for the requests that tasks hold.
    pub(super) requests: RequestRoom,
    /// How far the worker is asked to stop.
    shutdown: watch::Receiver<Shutdown>,
    /// Whether running tasks are to be put back now.
    aborted: watch::Receiver<bool>,
}

impl Runner {
    pub(super) fn new(
        parts: Parts,
        engine: EngineHandle,
        shutdown: watch::Receiver<Shutdown>,
        aborted: watch::Receiver<bool>,
    ) -> Self {
        Self {
            queue: parts.queue,
            artifacts: parts.artifacts,
            protocol: parts.protocol,
            metrics: parts.metrics,
            status: StatusWriter::new(parts.status),
            settings: parts.settings,
            engine,
            contexts: Arc::default(),
            isolation: Isolation::default(),
            requests: RequestRoom::default(),
            shutdown,
            aborted,
        }
    }

    /// Waits until the worker is asked to stop at least as far as `step`.
    pub(super) async fn asked_for(&self, step: Shutdown) {
        let mut shutdown = self.shutdown.clone();
        if shutdown.wait_for(|asked| *asked >= step).await.is_err() {
            // The sender is gone, so nobody can ask any more.
            std::future::pending().await
        }
    }

    /// Waits until no task is to be claimed any more: the worker is asked to stop, or ends by itself.
    pub(super) async fn claims_end(&self) {
        tokio::select! {
            () = self.asked_for(Shutdown::Drain) => {}
            () = self.aborted() => {}
        }
    }

    /// Waits until running tasks are to be put back.
    pub(super) async fn aborted(&self) {
        let mut aborted = self.aborted.clone();
        if aborted.wait_for(|aborted| *aborted).await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether running tasks are to be put back now.
    pub(super) fn is_aborted(&self) -> bool {
        *self.aborted.borrow()
    }
}
