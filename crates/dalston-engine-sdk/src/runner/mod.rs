//! Takes tasks from a queue, has an engine do them, and tells the pipeline; loses none.

mod at_work;
mod backoff;
mod beat;
mod dialect;
mod engine_thread;
mod lane;
mod signals;
mod status;
mod task;
mod tasks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::{RwLock, watch};
use tokio::time::sleep;

use crate::artifacts::Artifacts;
use crate::engine::BatchEngine;
use crate::error::TaskError;
use crate::health::Vitals;
use crate::metrics::Metrics;
use crate::queue::{Queue, QueueError};

use at_work::AtWork;
use backoff::Backoff;
use engine_thread::{EngineState, EngineThread, Ready};
use status::Status;

pub use dialect::{Dialect, News, Phase, Request, WorkerState};
pub use signals::{Shutdown, shutdown_signals};
pub use tasks::{Task, Tasks};

/// What a runner needs besides an engine.
pub struct Parts {
    /// Where tasks come from.
    pub queue: Arc<dyn Queue>,
    /// Where their files are.
    pub artifacts: Artifacts,
    /// How the pipeline speaks.
    pub dialect: Arc<dyn Dialect>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the health pages show.
    pub vitals: watch::Sender<Vitals>,
    /// The rest.
    pub settings: RunnerSettings,
}

/// How a runner works.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// The engine's id, for the log.
    pub engine_id: String,
    /// How many tasks are in hand at a time at most, whatever the engine says it can do; at least 1.
    pub lanes: usize,
    /// What running work has when the worker is asked to drain.
    pub grace: Duration,
    /// How often work on a task may begin without an end.
    pub max_deliveries: u32,
    /// A folder for the files of tasks, this worker's alone: it is emptied at the start.
    pub scratch: PathBuf,
}

/// Why a worker ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The queue will not have this worker.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The engine cannot be loaded.
    #[error("the engine cannot be loaded")]
    Engine(#[source] Arc<TaskError>),
    /// The system gives no thread or folder.
    #[error("cannot set up the worker")]
    System(#[from] std::io::Error),
}

/// Runs an engine until `shutdown` asks otherwise, and leaves the queue in good order.
///
/// The worker joins the queue and shows itself in the registry while the engine still loads; it takes
/// its first task when the engine is ready.
///
/// # Errors
///
/// [`RunError`]: the worker cannot go on. No task is lost by it; what was at hand is claimed by others
/// when the lease lapses.
pub async fn run(
    engine: impl BatchEngine,
    parts: Parts,
    shutdown: watch::Receiver<Shutdown>,
) -> Result<(), RunError> {
    let (halt, halted) = watch::channel(false);
    let runner = Runner {
        queue: parts.queue,
        artifacts: parts.artifacts,
        dialect: parts.dialect,
        engine: EngineThread::start(engine, Arc::clone(&parts.metrics))?,
        metrics: parts.metrics,
        status: Status::new(parts.vitals),
        lanes: parts.settings.lanes.max(1),
        settings: parts.settings,
        at_work: AtWork::default(),
        company: RwLock::new(()),
        shutdown,
        halted,
    };
    tracing::info!("engine_runner_initialized");
    let ended = runner.live(halt).await;
    tracing::info!("engine_loop_stopped");
    runner.engine.end().await;
    ended
}

/// A worker at work; its parts are in the modules of this folder.
struct Runner {
    queue: Arc<dyn Queue>,
    artifacts: Artifacts,
    dialect: Arc<dyn Dialect>,
    metrics: Arc<Metrics>,
    status: Status,
    settings: RunnerSettings,
    lanes: usize,
    engine: EngineThread,
    at_work: AtWork,
    /// Shared by tasks that run side by side, held alone by one that may be poison.
    company: RwLock<()>,
    shutdown: watch::Receiver<Shutdown>,
    /// Whether what is at hand is to be put back now.
    halted: watch::Receiver<bool>,
}

impl Runner {
    async fn live(&self, halt: watch::Sender<bool>) -> Result<(), RunError> {
        tokio::select! {
            biased;
            () = self.asked_for(Shutdown::Drain) => return Ok(()),
            joined = self.join() => joined?,
        }
        self.empty_scratch()?;
        tracing::info!("engine_loop_starting");
        let lanes = (0..self.lanes).map(|number| self.lane(number));
        tokio::select! {
            ended = try_join_all(lanes) => { ended?; }
            err = self.beat() => return Err(err.into()),
            err = self.watch_engine() => return Err(RunError::Engine(err)),
            () = self.watch_shutdown(&halt) => {}
        }
        // What cannot be told now is found out by the lease.
        if let Err(err) = self.queue.leave().await {
            tracing::warn!(error = %err, "queue_left_silently");
        }
        Ok(())
    }

    /// Joins the queue, however long it is away.
    async fn join(&self) -> Result<(), QueueError> {
        let mut backoff = Backoff::new();
        loop {
            match self.queue.join().await {
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.queue_is_away(&err);
                    backoff.wait().await;
                }
                joined => {
                    self.status.queue_answered(joined.is_ok());
                    return joined;
                }
            }
        }
    }

    /// What an earlier process of this worker left behind when it was killed.
    fn empty_scratch(&self) -> std::io::Result<()> {
        let scratch = &self.settings.scratch;
        match std::fs::remove_dir_all(scratch) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        std::fs::create_dir_all(scratch)
    }

    /// Follows the engine through its loads; returns when it cannot be loaded.
    async fn watch_engine(&self) -> Arc<TaskError> {
        let mut state = self.engine.state.clone();
        let mut last_load = None;
        loop {
            match state.borrow_and_update().clone() {
                EngineState::Loading => {
                    last_load = None;
                    self.status.engine_loading();
                }
                EngineState::Ready(Ready {
                    health, load_time, ..
                }) => {
                    if last_load != Some(load_time) {
                        last_load = Some(load_time);
                        let model = health.model_name.as_deref();
                        self.metrics.model_loaded(model, &health.device, load_time);
                        tracing::info!(load_time = load_time.as_secs_f64(), "engine_ready");
                    }
                    self.metrics.engine_is(&health);
                    self.status.engine_ready(health);
                }
                EngineState::Broken(err) => return err,
            }
            if state.changed().await.is_err() {
                return Arc::new(TaskError::engine("the engine's thread has ended"));
            }
        }
    }

    /// Passes a shutdown on to the lanes; done when a grace period and the time to put things back are
    /// over, which is only if a lane does not end.
    async fn watch_shutdown(&self, halt: &watch::Sender<bool>) {
        self.asked_for(Shutdown::Drain).await;
        self.status.draining();
        tokio::select! {
            () = sleep(self.settings.grace) => tracing::warn!("grace_period_over"),
            () = self.asked_for(Shutdown::Now) => {}
        }
        halt.send_replace(true);
        sleep(PUT_BACK).await;
    }

    /// Waits until the worker is asked to go at least so far.
    async fn asked_for(&self, step: Shutdown) {
        let mut shutdown = self.shutdown.clone();
        if shutdown.wait_for(|asked| *asked >= step).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending().await
        }
    }

    /// Waits until what is at hand is to be put back.
    async fn halted(&self) {
        let mut halted = self.halted.clone();
        if halted.wait_for(|halted| *halted).await.is_err() {
            std::future::pending().await
        }
    }

    fn is_halted(&self) -> bool {
        *self.halted.borrow()
    }

    fn queue_is_away(&self, err: &QueueError) {
        self.status.queue_answered(false);
        let cause = std::error::Error::source(err).map(ToString::to_string);
        tracing::warn!(error = %err, cause, "redis_connection_error");
    }
}

/// What putting back may take, once it is asked for.
const PUT_BACK: Duration = Duration::from_secs(6);
