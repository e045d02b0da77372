//! The worker's pulse: renews the lease, finds out what is lost, keeps the registry's record whole.

use std::time::Duration;

use tokio::time::sleep;

use super::Runner;
use crate::engine::StopReason;
use crate::queue::QueueError;

/// A record in the registry is kept for 60 s, however long the lease.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl Runner {
    /// Beats three times a lease, and before the record lapses, until the queue says that this process may
    /// not go on.
    pub(super) async fn beat(&self) -> QueueError {
        let lease = self.queue.lease();
        loop {
            let pause = match self.beat_once().await {
                Ok(()) => lease / 3,
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.queue_is_away(&err);
                    lease / 10
                }
                Err(err) => return err,
            };
            sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    async fn beat_once(&self) -> Result<(), QueueError> {
        let lost = self.queue.renew().await?;
        self.status.queue_answered(true);
        for receipt in lost {
            tracing::warn!(receipt, "task_lost");
            self.at_work.stop(&receipt, StopReason::LeaseLost);
        }
        match self.dialect.record(&self.status.worker()) {
            Some(record) => self.queue.register(&record).await,
            None => Ok(()),
        }
    }
}
