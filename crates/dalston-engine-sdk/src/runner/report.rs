//! Reports to the queue about a claim, and how a task left the worker.

use super::backoff::Backoff;
use super::runner::Runner;
use crate::contract::TaskEvent;
use crate::queue::{Claim, Ending, PutBack, QueueError};

/// A report to the queue about a claim.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report<'a> {
    Start,
    Finish(TaskEvent<'a>, Ending),
    Discard,
    PutBack(PutBack),
}

/// What became of a [`Report`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reported {
    /// The queue accepted the report.
    Accepted,
    /// The queue refused the report: this worker does not hold the task any more.
    NotHeld,
    /// The queue did not answer until an abort, so the lease frees the task.
    Unanswered,
}

impl Reported {
    /// How the task left this worker, after a report of its end.
    pub(super) fn ended(self) -> Ended {
        match self {
            Self::Accepted => Ended::Here,
            Self::NotHeld | Self::Unanswered => Ended::Gone,
        }
    }
}

/// How a task left this worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// The task ended here: completed, failed or discarded.
    Here,
    /// Another worker holds the task, or will: this worker reports nothing more about it.
    Gone,
    /// The task did not end here: something that it needs is unavailable, the worker stops, or another
    /// worker got the task before the start. This worker has asked the queue to put the task back. The
    /// queue refuses that if another worker holds the task; if the queue does not answer, the lease frees
    /// the task.
    PutBack,
}

impl Runner {
    /// Reports to the queue, and tries again while the queue does not answer.
    ///
    /// Every report may be sent twice, because an answer can be lost: the queue counts a start once, and
    /// accepts a second end without a word. If the lease lapses meanwhile, the queue refuses the report as
    /// [`QueueError::NotHeld`]. Gives up early only after an abort; the lease then frees the task.
    ///
    /// # Errors
    ///
    /// The queue refuses this worker for good.
    pub(super) async fn report(
        &self,
        claim: &Claim,
        report: Report<'_>,
    ) -> Result<Reported, QueueError> {
        let mut backoff = Backoff::new();
        loop {
            let reported = match report {
                Report::Start => {
                    let started = self.protocol.event(claim, TaskEvent::Started);
                    self.queue.start(claim, &started).await
                }
                Report::Finish(event, ending) => {
                    let ended = self.protocol.event(claim, event);
                    self.queue.finish(claim, &ended, ending).await
                }
                Report::Discard => self.queue.discard(claim).await,
                Report::PutBack(place) => self.queue.put_back(claim, place).await,
            };
            match reported {
                Ok(()) => return Ok(Reported::Accepted),
                Err(QueueError::NotHeld) => {
                    tracing::warn!("task_lost");
                    return Ok(Reported::NotHeld);
                }
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.status.queue_unavailable(&err);
                    if self.is_aborted() {
                        return Ok(Reported::Unanswered);
                    }
                    backoff.wait().await;
                }
                Err(err) => return Err(err),
            }
        }
    }
}
