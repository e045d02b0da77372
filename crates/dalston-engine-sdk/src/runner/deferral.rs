//! What becomes of a task whose own object, or whose room on the disk, is unavailable.

use std::time::Duration;

use tokio::time::timeout;

use super::report::{Report, Reported};
use super::runner::Runner;
use crate::error::{ErrorKind, TaskError};
use crate::metrics::RedeliveryReason;
use crate::queue::{Claim, PutBack, QueueError};

impl Runner {
    /// Puts a task back after an error that is not its own.
    ///
    /// # Errors
    ///
    /// Inside: the error with which the task is to fail, because it was put back often enough. Outside: the queue
    /// refuses this worker for good.
    pub(super) async fn put_back(
        &self,
        claim: &Claim,
        stage: &str,
        err: TaskError,
    ) -> Result<Result<(), TaskError>, QueueError> {
        let Some(place) = self.place(claim, &err).await else {
            return Ok(Err(given_up(claim, err)));
        };
        tracing::warn!(error = err.chain(), "task_put_back");
        // The queue removes this process from the record of attempts, so that no outage makes a task look like
        // one that ends its workers.
        if self.report(claim, Report::PutBack(place)).await? == Reported::Accepted {
            self.metrics.redelivered(stage, RedeliveryReason::Deferred);
        }
        Ok(Ok(()))
    }

    /// Where a task goes back to after an error that is not its own; `None` if it was put back often enough and
    /// is to fail.
    async fn place(&self, claim: &Claim, err: &TaskError) -> Option<PutBack> {
        let store_answers = async {
            let answer = timeout(PING, self.artifacts.ping()).await;
            matches!(answer, Ok(Ok(())))
        };
        let is_its_own = tokio::select! {
            biased;
            // The worker stops, which says nothing about the task.
            () = self.aborted() => false,
            // An outage of the whole store or of the whole disk is no task's fault, however long it lasts.
            answers = store_answers => match err.kind() {
                ErrorKind::Disk => self.disk_takes_a_file(),
                _ => answers,
            },
        };
        if !is_its_own {
            return Some(PutBack::Untouched);
        }
        let limit = self.settings.deferral_limit;
        let delay = delay(claim.deferrals, claim.deferred_for, limit)?;
        Some(PutBack::Deferred { delay })
    }
}

/// The error of a task that was put back often enough because of `err`.
fn given_up(claim: &Claim, err: TaskError) -> TaskError {
    let n_tries = claim.deferrals + 1;
    let minutes = claim.deferred_for.as_secs_f64() / 60.0;
    TaskError::engine(format!("{err}, {n_tries} times in {minutes:.0} minutes")).caused_by(err)
}

/// Longest wait for a store that may be away.
const PING: Duration = Duration::from_secs(5);

/// Number of deferrals after which a task makes room for others.
const N_PROMPT: u32 = 5;

/// Number of deferrals after which a task may fail.
const N_MOST: u32 = 20;

/// The part of the limit after which a task makes room for others, and after which its deferrals count.
const PROMPT: u32 = 6;

/// Longest delay.
const LONGEST: Duration = Duration::from_secs(60);

/// The delay of the next deferral of a task that was deferred `n` times before, first `since` ago; `None` if the
/// task is to fail.
///
/// The first deferrals have no delay: most faults pass. Later ones have a growing delay, so that the task does
/// not hold up those behind it. A task fails at the limit if the delays have begun, or after a sixth of the limit
/// and 20 deferrals: a task that was deferred once may have waited for its turn since.
fn delay(n: u32, since: Duration, limit: Duration) -> Option<Duration> {
    let is_late = since >= limit / PROMPT;
    if (n >= N_PROMPT && since >= limit) || (n >= N_MOST && is_late) {
        return None;
    }
    if n < N_PROMPT && !is_late {
        return Some(Duration::ZERO);
    }
    let doublings = n.saturating_sub(N_PROMPT).min(10);
    Some((Duration::from_secs(2) * (1 << doublings)).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    #[track_caller]
    fn check(n: u32, since_s: u64, expected_s: Option<u64>) {
        let limit = Duration::from_secs(HOUR);
        let delay = delay(n, Duration::from_secs(since_s), limit);
        assert_eq!(delay.map(|it| it.as_secs()), expected_s);
    }

    #[test]
    fn the_first_deferrals_have_no_delay() {
        for n in 0..5 {
            check(n, 599, Some(0));
        }
    }

    #[test]
    fn later_deferrals_have_a_growing_delay() {
        for (n, seconds) in [(5, 2), (6, 4), (9, 32), (10, 60), (19, 60)] {
            check(n, 100, Some(seconds));
        }
        check(0, 600, Some(2));
    }

    #[test]
    fn a_task_fails_after_twenty_deferrals_and_ten_minutes_or_after_an_hour() {
        check(20, 599, Some(60));
        check(u32::MAX, 0, Some(60));
        check(20, 600, None);
        check(5, HOUR, None);
        check(4, HOUR, Some(2));
    }
}
