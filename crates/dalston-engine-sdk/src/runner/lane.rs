//! One lane: claims a task, sees it to its end, and so on until the worker drains. There are more lanes
//! than an engine takes tasks at once; the last of them rest.

use std::time::Duration;

use tracing::Instrument;

use super::backoff::Backoff;
use super::engine_thread::EngineState;
use super::task::Ended;
use super::{Runner, Shutdown};
use crate::queue::{Claim, QueueError};
use crate::telemetry::task_span;

/// Longest wait for a task before the worker looks around again; a new task ends it at once.
const PATIENCE: Duration = Duration::from_secs(5);

impl Runner {
    /// # Errors
    ///
    /// The queue will not have this worker any more.
    pub(super) async fn lane(&self, number: usize) -> Result<(), QueueError> {
        let mut backoff = Backoff::new();
        loop {
            let claim = tokio::select! {
                biased;
                () = self.asked_for(Shutdown::Drain) => return Ok(()),
                claim = self.next(number, &mut backoff) => claim?,
            };
            self.status.task_began();
            let span = task_span(&claim, &self.settings.engine_id);
            let ended = self.attend(&claim).instrument(span).await;
            self.status.task_ended();
            drop(claim);
            match ended? {
                Ended::Here | Ended::Gone => backoff = Backoff::new(),
                Ended::PutBack => tokio::select! {
                    () = self.asked_for(Shutdown::Drain) => return Ok(()),
                    () = backoff.wait() => {}
                },
            }
        }
    }

    /// The next task, once engine, store and queue are all there. Dropping the future loses none.
    async fn next(&self, number: usize, backoff: &mut Backoff) -> Result<Claim, QueueError> {
        loop {
            self.engine_ready(number).await;
            self.store_ready().await;
            match self.queue.claim(PATIENCE).await {
                Ok(claim) => {
                    self.status.queue_answered(true);
                    if let Some(claim) = claim {
                        return Ok(claim);
                    }
                }
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.queue_is_away(&err);
                    backoff.wait().await;
                }
                Err(err) => return Err(err),
            }
        }
    }

    async fn engine_ready(&self, number: usize) {
        let mut state = self.engine.state.clone();
        let ready = |state: &EngineState| match state {
            EngineState::Ready(ready) => number < ready.n_at_once.max(1),
            _ => false,
        };
        if state.wait_for(ready).await.is_err() {
            // The engine is broken; who watches it ends the worker.
            std::future::pending().await
        }
    }

    /// Waits until a store that was away answers again: no task is taken that could not be fetched.
    async fn store_ready(&self) {
        let mut backoff = Backoff::new();
        while self.status.is_store_away() {
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
