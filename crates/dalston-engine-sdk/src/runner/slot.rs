//! One slot: claims a task, runs it to its end, and claims the next, until the worker drains.
//!
//! A worker has more slots than most engines take tasks at once, because the engine says only after its
//! load how many it takes. The slots beyond that number wait.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::MutexGuard;
use tokio::time::sleep;
use tracing::Instrument;

use super::backoff::Backoff;
use super::report::{Ended, Report};
use super::runner::Runner;
use crate::engine::EngineState;
use crate::queue::{Claim, PutBack, QueueError};
use crate::status::StatusWriter;
use crate::telemetry::task_span;

/// Longest wait for a task before the slot checks the engine and the store again. A new task ends the
/// wait at once.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

impl Runner {
    /// Claims and runs one task after another; returns when the worker drains or ends by itself.
    ///
    /// # Errors
    ///
    /// The queue refuses this worker for good.
    pub(super) async fn slot(&self, number: usize) -> Result<(), QueueError> {
        let mut backoff = Backoff::new();
        loop {
            // Biased: a worker that drains claims nothing, even if a task is ready. Dropping the claim's
            // future loses no task.
            let (claim, turn) = tokio::select! {
                biased;
                () = self.claims_end() => return Ok(()),
                next = self.next(number, &mut backoff) => next?,
            };
            let span = task_span(&claim, &self.settings.engine_id);
            let Some(permit) = self.isolation.permit(self.is_suspect(&claim)) else {
                self.pass_on(claim).instrument(span).await?;
                // Still in its turn: for this time the worker claims nothing, so that another worker that is
                // idle gets the task. If there is none, this worker gets the task again, claims nothing
                // beside it, and so becomes idle itself.
                tokio::select! {
                    () = self.claims_end() => return Ok(()),
                    () = self.isolation.idle() => {}
                    () = sleep(self.queue.lease() / 3) => {}
                }
                continue;
            };
            drop(turn);
            // Shared with the threads on which requests are read and results are written.
            let claim = Arc::new(claim);
            self.count(StatusWriter::task_began);
            let ended = self.run_task(&claim).instrument(span).await;
            self.count(StatusWriter::task_ended);
            drop(permit);
            // Before any pause: as long as the claim lives, the heartbeat renews it.
            drop(claim);
            match ended? {
                Ended::Here | Ended::Gone => backoff = Backoff::new(),
                // The task may be next in line: without a pause this slot would claim it again at once.
                Ended::PutBack => tokio::select! {
                    () = self.claims_end() => return Ok(()),
                    () = backoff.wait() => {}
                },
            }
        }
    }

    fn count(&self, change: impl FnOnce(&StatusWriter)) {
        change(&self.status);
        self.metrics.holds_tasks(self.status.current().n_in_flight);
    }

    /// Whether the task may end this worker, because work on it began before and did not end.
    fn is_suspect(&self, claim: &Claim) -> bool {
        claim.deliveries > 0 && !claim.cancelled && self.refuse(claim).is_none()
    }

    /// Puts a suspect task back that cannot work alone now.
    async fn pass_on(&self, claim: Claim) -> Result<(), QueueError> {
        tracing::info!(deliveries = claim.deliveries, "task_passed_on");
        self.report(&claim, Report::PutBack(PutBack::Untouched))
            .await
            .map(|_| ())
    }

    /// The next task, once the engine is ready and the store and the queue answer, and the turn to claim, in
    /// which the task gets its permit. Dropping the future loses no task.
    async fn next(
        &self,
        number: usize,
        backoff: &mut Backoff,
    ) -> Result<(Claim, MutexGuard<'_, ()>), QueueError> {
        loop {
            self.engine_ready(number).await;
            let turn = self.isolation.turn().await;
            // Again, because the turn may have come late. A slot that the engine has no room for must not
            // keep the turn.
            if self.engine_ready(number).now_or_never().is_none() {
                continue;
            }
            self.store_ready().await;
            self.disk_ready().await;
            match self.queue.claim(CLAIM_TIMEOUT).await {
                Ok(claim) => {
                    self.status.queue_answered(true);
                    if let Some(claim) = claim {
                        return Ok((claim, turn));
                    }
                }
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.status.queue_unavailable(&err);
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

    /// Waits until a disk that refused a file takes one. Else a worker with a broken disk would be idle all the
    /// time, and would take and put back the tasks of all others.
    async fn disk_ready(&self) {
        let mut backoff = Backoff::new();
        while self.status.is_disk_unavailable() && !self.disk_takes_a_file() {
            backoff.wait().await;
        }
    }

    /// Waits until the store has answered the last call, so that no task is claimed whose files cannot be
    /// downloaded. Before the first task this is the first call.
    pub(super) async fn store_ready(&self) {
        let mut backoff = Backoff::new();
        while !self.status.is_store_connected() {
            match self.artifacts.ping().await {
                Ok(()) => self.status.store_answered(true),
                Err(err) => {
                    self.status.store_answered(false);
                    tracing::warn!(error = err.chain(), "store_connection_error");
                    backoff.wait().await;
                }
            }
        }
    }
}
