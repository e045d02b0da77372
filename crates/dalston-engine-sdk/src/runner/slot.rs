//! One slot: claims a task, runs it to its end, and claims the next, until the worker drains.
//!
//! A worker has more slots than most engines take tasks at once, because the engine says only after its
//! load how many it takes. The slots beyond that number wait.

use std::time::Duration;

use tracing::Instrument;

use super::backoff::Backoff;
use super::report::Ended;
use super::runner::Runner;
use super::signals::Shutdown;
use crate::engine::EngineState;
use crate::queue::{Claim, QueueError};
use crate::telemetry::task_span;

/// Longest wait for a task before the slot checks the engine and the store again. A new task ends the
/// wait at once.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

impl Runner {
    /// Claims and runs one task after another; returns when the worker drains.
    ///
    /// # Errors
    ///
    /// The queue refuses this worker for good.
    pub(super) async fn slot(&self, number: usize) -> Result<(), QueueError> {
        let mut backoff = Backoff::new();
        loop {
            // Biased: a worker that drains claims nothing, even if a task is ready. Dropping the claim's
            // future loses no task.
            let claim = tokio::select! {
                biased;
                () = self.asked_for(Shutdown::Drain) => return Ok(()),
                claim = self.next(number, &mut backoff) => claim?,
            };
            self.status.task_began();
            let span = task_span(&claim, &self.settings.engine_id);
            let ended = self.run_task(&claim).instrument(span).await;
            self.status.task_ended();
            // Before any pause: as long as the claim lives, the heartbeat renews it.
            drop(claim);
            match ended? {
                Ended::Here | Ended::Gone => backoff = Backoff::new(),
                // The task may be next in line: without a pause this slot would claim it again at once.
                Ended::PutBack => tokio::select! {
                    () = self.asked_for(Shutdown::Drain) => return Ok(()),
                    () = backoff.wait() => {}
                },
            }
        }
    }

    /// The next task, once the engine is ready and the store and the queue answer. Dropping the future
    /// loses no task.
    async fn next(&self, number: usize, backoff: &mut Backoff) -> Result<Claim, QueueError> {
        loop {
            self.engine_ready(number).await;
            self.store_ready().await;
            match self.queue.claim(CLAIM_TIMEOUT).await {
                Ok(claim) => {
                    self.status.queue_answered(true);
                    if let Some(claim) = claim {
                        return Ok(claim);
                    }
                }
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.queue_unavailable(&err);
                    backoff.wait().await;
                }
                Err(err) => return Err(err),
            }
        }
    }

    /// Waits until the engine is loaded and takes enough tasks at once for this slot.
    async fn engine_ready(&self, number: usize) {
        let mut state = self.engine.state();
        let ready = |state: &EngineState| match state {
            // Slot 0 works for any engine, even one that says it takes no task.
            EngineState::Ready(loaded) => number < loaded.tasks_at_once.max(1),
            _ => false,
        };
        if state.wait_for(ready).await.is_err() {
            // The engine's thread has ended. `watch_engine` sees the same and ends the worker.
            std::future::pending().await
        }
    }

    /// Waits until a store that did not answer answers again, so that no task is claimed whose files
    /// cannot be downloaded.
    async fn store_ready(&self) {
        let mut backoff = Backoff::new();
        while self.status.is_store_unavailable() {
            match self.artifacts.ping().await {
                Ok(()) => self.status.store_answered(true),
                Err(err) => {
                    tracing::warn!(error = err.chain(), "store_connection_error");
                    backoff.wait().await;
                }
            }
        }
    }
}
