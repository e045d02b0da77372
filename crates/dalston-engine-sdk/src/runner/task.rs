//! One task from its claim to its end.
//!
//! The order of the steps makes a death at any instant safe. `task.started` may be published twice. The
//! result is stored before the completion is published. The queue publishes the completion and
//! acknowledges the task in one step. So a process that dies in between leaves a task that another worker
//! claims, and that worker stores the same result under the same key.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::timeout_at;

use super::files::aside;
use super::report::{Ended, Report, Reported};
use super::runner::Runner;
use crate::contract::TaskEvent;
use crate::engine::{Place, StopReason, TaskContext};
use crate::error::{ErrorKind, TaskError};
use crate::failpoint::reach;
use crate::metrics::{Outcome, RedeliveryReason};
use crate::queue::{Claim, Ending, QueueError};
use crate::telemetry::record_model;

impl Runner {
    /// Runs a task to its end, and reports the end to the queue.
    ///
    /// # Errors
    ///
    /// The queue refuses this worker for good: the worker must end. Every other error ends in a report.
    pub(super) async fn run_task(&self, claim: &Arc<Claim>) -> Result<Ended, QueueError> {
        let began = Instant::now();
        let stage = claim
            .metadata
            .get("stage")
            .map_or("unknown", String::as_str);
        tracing::info!(deliveries = claim.deliveries, "task_received");
        reach("claimed");
        if claim.cancelled {
            self.metrics.skipped_cancelled(stage);
            tracing::info!("task_skipped_cancelled");
            // An orchestrator that knows that work began waits for the end, to end the job as cancelled.
            let end = if claim.was_started && !is_blocked(claim) {
                Report::Finish(TaskEvent::Completed, Ending::Completed)
            } else {
                Report::Discard
            };
            return Ok(self.report(claim, end).await?.ended());
        }
        if claim.deliveries == 0
            && let Some(enqueued_at) = claim.enqueued_at()
        {
            // `unwrap_or_default`: the orchestrator's clock may be ahead of this machine's.
            let waited = SystemTime::now().duration_since(enqueued_at);
            self.metrics.queue_waited(waited.unwrap_or_default());
        }
        let context = TaskContext::default();
        let worked = match self.refuse(claim) {
            // The start is published first. Dalston queues a task that fails unstarted once more, and ignores
            // the next such failure: the job would wait for ever. The failure takes this start back from the
            // record, so that the record says the same when Dalston queues the task again.
            Some(refusal) => self.begin(claim).await?.and(Err(refusal)),
            None => {
                if claim.deliveries > 0 {
                    self.metrics
                        .redelivered(stage, RedeliveryReason::EngineCrash);
                }
                // An abort drops the future of `work`: its files are removed, and its context is stopped, so
                // that the engine returns. The task itself is put back below, because the error is
                // `Unavailable`.
                tokio::select! {
                    // A task that has ended is not put back: if the engine broke down on it, the same would
                    // happen to the next worker.
                    biased;
                    worked = self.work(claim, &context) => worked?,
                    () = self.aborted() => Err(TaskError::unavailable("the worker is shutting down")),
                }
            }
        };
        let (worked, failed) = match context.place() {
            // This process ends over the task, and stays in its record.
            Place::AtFault(sentence) => (Err(TaskError::engine(sentence)), Ending::Fatal),
            // The task may be why the engine ended. The queue frees it when the worker leaves, and counts this
            // delivery, so that the task runs alone the next time.
            Place::Suspect => {
                tracing::warn!("task_left");
                return Ok(Ended::Gone);
            }
            Place::Waiting | Place::Held(_) | Place::Answered => (worked, Ending::Failed),
        };
        let worked = match worked {
            Err(err) if matches!(err.kind(), ErrorKind::Unavailable | ErrorKind::Disk) => {
                match self.put_back(claim, stage, err).await? {
                    Ok(()) => return Ok(Ended::PutBack),
                    Err(given_up) => Err(given_up),
                }
            }
            worked => worked,
        };
        match worked {
            // The result is stored. A worker that dies here leaves a task that finds its output again.
            Ok(model) => {
                let reported = self
                    .report(
                        claim,
                        Report::Finish(TaskEvent::Completed, Ending::Completed),
                    )
                    .await?;
                reach("finished");
                if reported == Reported::Accepted {
                    let took = began.elapsed();
                    let model = model.as_deref();
                    self.metrics.task_ended(Outcome::Completed, model, took);
                    tracing::info!(processing_time = took.as_secs_f64(), "task_completed");
                }
                Ok(reported.ended())
            }
            Err(err) => {
                tracing::error!(error = err.chain(), "task_failed");
                let sentence = err.to_string();
                let reported = self
                    .report(claim, Report::Finish(TaskEvent::Failed(&sentence), failed))
                    .await?;
                // A task that another worker holds has not failed: that worker reports its end.
                if reported == Reported::Accepted {
                    let took = began.elapsed();
                    self.metrics.task_ended(Outcome::Failed, None, took);
                    self.metrics.task_failed(err.kind());
                }
                Ok(reported.ended())
            }
        }
    }

    /// Why work on the task does not begin at all; `None` if it begins.
    pub(super) fn refuse(&self, claim: &Claim) -> Option<TaskError> {
        if claim.metadata.is_empty() {
            // Dalston's own engines write this sentence.
            let sentence = format!("Task metadata not found in Redis: {}", claim.task_id);
            return Some(TaskError::input(sentence));
        }
        // The count rises when work begins and falls with a put-back, so it counts the workers that died
        // or were killed over the task.
        (claim.deliveries >= self.settings.max_deliveries).then(|| {
            TaskError::engine(format!(
                "the task ended its worker {} times without a result and is not tried again",
                claim.deliveries
            ))
        })
    }

    /// Records and publishes that work begins.
    async fn begin(&self, claim: &Claim) -> Result<Result<(), TaskError>, QueueError> {
        Ok(match self.report(claim, Report::Start).await? {
            Reported::Accepted => Ok(()),
            _ => Err(TaskError::unavailable("the task went to another worker")),
        })
    }

    /// Works on the task until its result is in the store. Returns the model that made the result.
    async fn work(
        &self,
        claim: &Arc<Claim>,
        context: &TaskContext,
    ) -> Result<Result<Option<String>, TaskError>, QueueError> {
        if let Err(lost) = self.begin(claim).await? {
            return Ok(Err(lost));
        }
        let started = Instant::now();
        reach("started");
        Ok(self.produce(claim, context, started).await)
    }

    /// Downloads, processes, uploads. Returns the model that made the result; `None` if an earlier run had
    /// stored the result already.
    async fn produce(
        &self,
        claim: &Arc<Claim>,
        context: &TaskContext,
        started: Instant,
    ) -> Result<Option<String>, TaskError> {
        let output_key = self.protocol.output_key(claim)?;
        // An earlier run may have stored the result and died before it could report the completion.
        if claim.deliveries > 0 && self.note_store(self.artifacts.exists(&output_key).await)? {
            tracing::info!("output_found");
            return Ok(None);
        }
        let began = Instant::now();
        // `_room` is free for other requests when this one is dropped.
        let (mut request, _room) = self.request(claim).await?;
        if let Some(model) = request.config.get("model").and_then(|it| it.as_str()) {
            record_model(model);
        }
        let budget = request.budget.unwrap_or(self.settings.task_timeout);
        let deadline = deadline(started, budget);
        context.set_deadline(deadline);
        context.check()?;
        // A download that creeps on uses up the task's time, too.
        let fetched = timeout_at(deadline.into(), self.fetch(claim, &mut request)).await;
        let Ok(fetched) = fetched else {
            return Err(StopReason::TimedOut.error());
        };
        // `_folder` removes the files when this function returns or is dropped.
        let (input, _folder) = fetched?;
        self.metrics.downloaded(began.elapsed());
        reach("fetched");
        // The download may have used up the task's time.
        context.check()?;
        // From here the heartbeat can stop the task, and so can the drop of this future.
        let _entry = self.contexts.enter(claim.receipt.as_str(), context.clone());
        tracing::info!("task_processing");
        let began = Instant::now();
        let output = self.engine.process(input, context.clone()).await?;
        let took = began.elapsed();
        reach("processed");
        let (model, audio_s) = (output.model.as_deref(), output.audio_s);
        if let Some(model) = model {
            record_model(model);
        }
        let device = self.status.current().engine.device;
        self.metrics.recognized(model, &device, took, audio_s);

        let (protocol, of_task) = (Arc::clone(&self.protocol), Arc::clone(claim));
        // Two hours of words are many megabytes, which are also checked against a schema.
        let written = aside(move || {
            let body = protocol.write_output(&of_task, &request, &output, took)?;
            Ok::<_, TaskError>((body, output.model))
        });
        let (body, model) = written.await?;
        let began = Instant::now();
        self.store_result(&output_key, body, context).await?;
        reach("stored");
        self.metrics.uploaded(began.elapsed());
        tracing::info!(key = %output_key, "output_uploaded");
        Ok(model)
    }
}

/// The end of a budget that began at `started`. A budget too long for the clock is a day, which is longer than
/// any task.
fn deadline(started: Instant, budget: Duration) -> Instant {
    let day = Duration::from_secs(86_400);
    started.checked_add(budget).unwrap_or(started + day)
}

/// Whether the orchestrator keeps the task from being worked on for now. It has not ended.
fn is_blocked(claim: &Claim) -> bool {
    let reason = claim.metadata.get("blocked_reason");
    reason.is_some_and(|reason| !reason.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_without_end_does_not_overflow_the_clock() {
        let started = Instant::now();
        assert!(deadline(started, Duration::MAX) > started);
        let minute = Duration::from_secs(60);
        assert_eq!(deadline(started, minute), started + minute);
    }
}
