//! The worker's heartbeat: renews the lease, stops tasks that are lost, rewrites the registry's record.

use std::time::Duration;

use tokio::time::sleep;

use super::runner::Runner;
use crate::engine::StopReason;
use crate::queue::QueueError;

/// Longest pause between two heartbeats, however long the lease: the registry keeps a record for 60 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl Runner {
    /// Renews the lease until the queue refuses this process for good; returns the refusal.
    ///
    /// Three heartbeats fit into a lease, so that one or two lost answers do not cost it. While the queue
    /// does not answer, a heartbeat comes ten times a lease: after an outage every living worker renews
    /// its lease before any worker takes over the tasks of the dead.
    pub(super) async fn heartbeat(&self) -> QueueError {
        let lease = self.queue.lease();
        loop {
            let pause = match self.renew_lease().await {
                Ok(()) => lease / 3,
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.queue_unavailable(&err);
                    lease / 10
                }
                Err(err) => return err,
            };
            sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    async fn renew_lease(&self) -> Result<(), QueueError> {
        let lost = self.queue.renew().await?;
        self.status.queue_answered(true);
        for receipt in lost {
            tracing::warn!(receipt, "task_lost");
            // The engine returns early, and the slot's next report to the queue finds the task gone. A
            // task that the runner has not passed to the engine needs no stop: its next report ends it
            // as well.
            self.contexts.stop(&receipt, StopReason::LeaseLost);
        }
        match self.protocol.record(&self.status.current()) {
            Some(record) => self.queue.register(&record).await,
            None => Ok(()),
        }
    }
}
