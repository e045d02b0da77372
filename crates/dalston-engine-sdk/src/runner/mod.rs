//! Takes tasks from a queue, has an engine work on them, and reports the end of each; loses no task.
//!
//! A worker is one thread and one future. The thread is the *heartbeat* (`heartbeat`), which renews the lease
//! of the worker and of its claims. The future runs four kinds of futures concurrently:
//!
//! - *slots* (`slot`) each claim one task at a time and run it (`task`);
//! - one watcher follows the engine through its loads, and publishes its state;
//! - the *watchdog* (`watchdog`) ends the worker if the engine hangs;
//! - one watcher turns the request to stop into draining, and after the grace period into an abort.
//!
//! No task is lost because a [`Claim`](crate::queue::Claim) is always either alive, ended in the queue, or
//! free to be claimed again: a slot that is dropped drops its claim, and a process that dies stops
//! renewing its lease.

mod backoff;
mod contexts;
mod deferral;
mod files;
mod heartbeat;
mod isolation;
mod report;
mod request_room;
#[expect(
    clippy::module_inception,
    reason = "a reader who looks for `Runner` finds its file by this name"
)]
mod runner;
mod signals;
mod slot;
mod task;
mod watchdog;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::engine::thread::EngineHandle;
use crate::engine::{BatchEngine, EngineState, LoadedEngine};
use crate::error::TaskError;
use crate::queue::QueueError;

use backoff::Backoff;
use files::aside;
use heartbeat::Heartbeat;
use runner::Runner;

pub use runner::{Parts, RunnerSettings};
pub use signals::{Shutdown, shutdown_signals};

/// Why a worker ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The queue refuses this worker for good.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The engine cannot be loaded.
    #[error("the engine cannot be loaded")]
    Engine(#[source] Arc<TaskError>),
    /// The engine hangs, and its thread cannot be ended. End the process without waiting for that thread.
    #[error("the engine hangs")]
    Hung,
    /// The system gives no thread or folder.
    #[error("cannot set up the worker")]
    System(#[from] std::io::Error),
}

/// Runs an engine until `shutdown` asks it to stop, and then gives every unfinished task back.
///
/// The worker joins the queue and appears in the registry while the engine still loads. It claims its
/// first task when the engine is ready.
///
/// # Errors
///
/// [`RunError`]: the worker cannot go on. No task is lost: other workers claim this worker's tasks when
/// its lease lapses.
pub async fn run(
    engine: impl BatchEngine,
    parts: Parts,
    shutdown: watch::Receiver<Shutdown>,
) -> Result<(), RunError> {
    let (abort, aborted) = watch::channel(false);
    let engine = EngineHandle::start(engine, Arc::clone(&parts.metrics))?;
    let runner = Runner::new(parts, engine, shutdown, aborted);
    tracing::info!("engine_runner_initialized");
    let ended = runner.live(abort).await;
    tracing::info!("engine_loop_stopped");
    if matches!(ended, Err(RunError::Hung)) {
        // The engine's thread will not end, and nobody waits for it.
        return ended;
    }
    // After `live`: the slots have dropped their claims and stopped their contexts, so the engine has
    // nothing left to do but to notice it.
    runner.engine.end().await;
    ended
}

/// How long the tasks may take to go back to the queue after an abort.
const PUT_BACK_TIMEOUT: Duration = Duration::from_secs(6);

impl Runner {
    async fn live(&self, abort: watch::Sender<bool>) -> Result<(), RunError> {
        tokio::select! {
            biased;
            () = self.asked_for(Shutdown::Drain) => return Ok(()),
            joined = self.join() => joined?,
        }
        self.empty_scratch().await?;
        let mut heartbeat = Heartbeat::start(self)?;
        tracing::info!("engine_loop_starting");
        let slots = (0..self.settings.slots.max(1)).map(|number| self.slot(number));
        let mut slots = pin!(try_join_all(slots));
        // The slots end when the worker drains and each has ended its task. The other futures end only with a
        // fault, the watcher of the shutdown with the grace period. If the queue refuses this process, it does
        // not leave the queue either: after `Superseded` another process has its id.
        let ended = tokio::select! {
            ended = &mut slots => ended.map(|_| ()).map_err(RunError::from).map(Ok)?,
            refusal = heartbeat.refusal() => match refusal {
                Ok(refusal) => return Err(refusal.into()),
                Err(err) => Err(err.into()),
            },
            err = self.watch_engine() => Err(RunError::Engine(err)),
            () = self.watch_for_hang() => {
                self.status.hung();
                Err(RunError::Hung)
            }
            () = self.check_store() => Ok(()),
            () = self.watch_shutdown(&abort) => Ok(()),
        };
        if ended.is_err() {
            // The fault is this worker's. Tasks that the engine has not begun go back as they were, and others
            // can claim them now; see `run_task` for the others.
            abort.send_replace(true);
            let _ = timeout(PUT_BACK_TIMEOUT, slots).await;
        }
        heartbeat.stop().await;
        // If the queue does not answer now, the tasks become free when the lease lapses.
        if let Err(err) = self.queue.leave().await {
            tracing::warn!(error = %err, "queue_left_silently");
        }
        ended
    }

    /// Asks the store until it answers for the first time, so that the health page shows a wrong setting
    /// while the engine loads. Never returns.
    async fn check_store(&self) {
        self.store_ready().await;
        std::future::pending().await
    }

    /// Joins the queue, and tries again without a limit while the queue does not answer.
    async fn join(&self) -> Result<(), QueueError> {
        let mut backoff = Backoff::new();
        loop {
            match self.queue.join().await {
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.status.queue_unavailable(&err);
                    backoff.wait().await;
                }
                joined => {
                    self.status.queue_answered(joined.is_ok());
                    return joined;
                }
            }
        }
    }

    /// Removes the files of tasks that an earlier process of this worker left when it was killed.
    ///
    /// Called only after the worker has joined: before that, a second process under the same worker id
    /// would delete the files of the first.
    async fn empty_scratch(&self) -> std::io::Result<()> {
        let scratch = self.settings.scratch.clone();
        let emptied = aside(move || {
            match std::fs::remove_dir_all(&scratch) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
                _ => {}
            }
            std::fs::create_dir_all(&scratch)
        });
        emptied.await
    }

    /// Follows the engine through its loads and publishes its state; returns when it cannot be loaded.
    async fn watch_engine(&self) -> Arc<TaskError> {
        let mut state = self.engine.state();
        // The engine reports `Ready` after its load and after every task. The load time tells a new load
        // from a new report of the same one, even if the watcher missed the `Loading` between them.
        let mut last_load = None;
        loop {
            match state.borrow_and_update().clone() {
                EngineState::Loading => {
                    last_load = None;
                    self.status.engine_loading();
                }
                EngineState::Ready(LoadedEngine {
                    health,
                    load_time,
                    tasks_at_once,
                }) => {
                    if last_load != Some(load_time) {
                        last_load = Some(load_time);
                        let model = health.model_name.as_deref();
                        self.metrics.model_loaded(model, load_time);
                        tracing::info!(load_time = load_time.as_secs_f64(), "engine_ready");
                    }
                    self.metrics.gpu_memory_used(health.gpu_memory_used_bytes);
                    self.metrics.gpu_memory_total(health.gpu_memory_total_bytes);
                    let n_slots = self.settings.slots.max(1);
                    self.status
                        .engine_ready(health, tasks_at_once.clamp(1, n_slots));
                }
                EngineState::Broken(err) => return err,
            }
            if state.changed().await.is_err() {
                return Arc::new(TaskError::engine("the engine's thread has ended"));
            }
        }
    }

    /// Waits for the request to stop, then for the end of the grace period or a second request, and
    /// aborts the tasks that still run.
    ///
    /// The slots notice the request by themselves. Normally they end first, and the `select` in `live` then
    /// drops this future. It returns only if a slot could not put its task back in time; the worker then
    /// leaves the queue, which frees the task.
    async fn watch_shutdown(&self, abort: &watch::Sender<bool>) {
        self.asked_for(Shutdown::Drain).await;
        self.status.draining();
        tokio::select! {
            () = sleep(self.settings.grace) => tracing::warn!("grace_period_over"),
            () = self.asked_for(Shutdown::Now) => {}
        }
        abort.send_replace(true);
        sleep(PUT_BACK_TIMEOUT).await;
    }
}
