//! One task from its claim to its end.
//!
//! The order is what makes it safe. `task.started` may be told twice; the result is stored before its
//! completion is told; and completion and acknowledgement are one step in the queue. Whatever ends the
//! process in between, the task is still somebody's.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::backoff::Backoff;
use super::{News, Request, Runner};
use crate::engine::{TaskContext, TaskInput};
use crate::error::{ErrorKind, TaskError};
use crate::failpoint::reach;
use crate::metrics::{Outcome, RedeliveryReason};
use crate::queue::{Claim, QueueError};

/// What became of a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// It ended here: completed, failed or discarded.
    Here,
    /// It is somebody else's by now, or will be.
    Gone,
    /// It is back in the queue: something that it needs is away.
    PutBack,
}

/// What there is to tell the queue about a claim.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Start,
    Finish(News<'a>),
    Discard,
    PutBack,
}

impl Runner {
    /// Sees a task to its end.
    ///
    /// # Errors
    ///
    /// The queue, for good: the worker is to end. Everything else is told and done with.
    pub(super) async fn attend(&self, claim: &Claim) -> Result<Ended, QueueError> {
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
            return self.tell(claim, Step::Discard).await;
        }
        if claim.deliveries == 0
            && let Some(enqueued_at) = claim.enqueued_at()
        {
            // The orchestrator's clock may be ahead of ours.
            let waited = SystemTime::now().duration_since(enqueued_at);
            self.metrics.queue_waited(waited.unwrap_or_default());
        }
        let worked = match self.refuse(claim) {
            Some(refusal) => Err(refusal),
            None => {
                if claim.deliveries > 0 {
                    self.metrics
                        .redelivered(stage, RedeliveryReason::EngineCrash);
                }
                tokio::select! {
                    biased;
                    () = self.halted() => Err(TaskError::unavailable("the worker is shutting down")),
                    worked = self.work(claim) => worked?,
                }
            }
        };
        match worked {
            Ok(model) => {
                let told = self.tell(claim, Step::Finish(News::Completed)).await?;
                reach("finished");
                if told == Ended::Here {
                    let took = began.elapsed();
                    let model = model.as_deref();
                    self.metrics.task_ended(Outcome::Completed, model, took);
                    tracing::info!(processing_time = took.as_secs_f64(), "task_completed");
                }
                Ok(told)
            }
            Err(err) if err.kind() == ErrorKind::Unavailable => {
                tracing::warn!(error = err.chain(), "task_put_back");
                if self.tell(claim, Step::PutBack).await? == Ended::Here {
                    self.metrics.redelivered(stage, RedeliveryReason::Deferred);
                }
                Ok(Ended::PutBack)
            }
            Err(err) => {
                tracing::error!(error = err.chain(), "task_failed");
                let sentence = err.to_string();
                let told = self
                    .tell(claim, Step::Finish(News::Failed(&sentence)))
                    .await?;
                // A task that went to another worker has not failed.
                if told == Ended::Here {
                    let took = began.elapsed();
                    self.metrics.task_ended(Outcome::Failed, None, took);
                    self.metrics.task_failed(err.kind());
                }
                Ok(told)
            }
        }
    }

    /// Why the task is not even begun, if so.
    fn refuse(&self, claim: &Claim) -> Option<TaskError> {
        if claim.metadata.is_empty() {
            // In the words of Dalston's own engines.
            let sentence = format!("Task metadata not found in Redis: {}", claim.task_id);
            return Some(TaskError::input(sentence));
        }
        (claim.deliveries >= self.settings.max_deliveries).then(|| {
            TaskError::engine(format!(
                "the task ended its worker {} times without a result and is not tried again",
                claim.deliveries
            ))
        })
    }

    /// Does the work: at its end the result is in the store. Returns the model that made it.
    ///
    /// A task that was begun before may be what ended its worker: it runs alone, so that it cannot take
    /// others along.
    async fn work(&self, claim: &Claim) -> Result<Result<Option<String>, TaskError>, QueueError> {
        let _others;
        let _alone;
        if claim.deliveries == 0 {
            _others = self.company.read().await;
        } else {
            _alone = self.company.write().await;
        }
        if self.tell(claim, Step::Start).await? == Ended::Gone {
            return Ok(Err(TaskError::unavailable(
                "the task went to another worker",
            )));
        }
        reach("started");
        Ok(self.produce(claim).await)
    }

    async fn produce(&self, claim: &Claim) -> Result<Option<String>, TaskError> {
        let output_key = self.dialect.output_key(claim)?;
        if claim.deliveries > 0 && self.of_store(self.artifacts.exists(&output_key).await)? {
            tracing::info!("output_found");
            return Ok(None);
        }
        let began = Instant::now();
        let mut request = self.request(claim).await?;
        let context = TaskContext::with_deadline(request.deadline.map(instant));
        context.check()?;
        let (input, _folder) = self.fetch(claim, &mut request).await?;
        self.metrics.downloaded(began.elapsed());
        reach("fetched");
        context.check()?;
        let _entry = self.at_work.enter(claim.receipt.as_str(), context.clone());
        tracing::info!("task_processing");
        let began = Instant::now();
        let output = self.engine.process(input, context).await?;
        let took = began.elapsed();
        reach("processed");
        let (model, audio_s) = (output.model.as_deref(), output.audio_s);
        let device = self.status.worker().engine.device;
        self.metrics.recognized(model, &device, took, audio_s);

        let body = self.dialect.write_output(claim, &request, &output, took)?;
        let began = Instant::now();
        self.of_store(self.artifacts.write(&output_key, body).await)?;
        reach("stored");
        self.metrics.uploaded(began.elapsed());
        tracing::info!(key = %output_key, "output_uploaded");
        Ok(output.model)
    }

    /// What is asked for.
    async fn request(&self, claim: &Claim) -> Result<Request, TaskError> {
        let key = self.dialect.request_key(claim)?;
        let body = self.of_store(self.artifacts.read(&key).await)?;
        let body = body.ok_or_else(|| {
            TaskError::input(format!(
                "the task's request is missing: there is no object {key}"
            ))
        })?;
        self.dialect.read_request(claim, &body)
    }

    /// Brings the request's files here, into a folder that goes when it is dropped. What only the engine
    /// needs of the request goes with them.
    async fn fetch(
        &self,
        claim: &Claim,
        request: &mut Request,
    ) -> Result<(TaskInput, TempDir), TaskError> {
        let folder = tempfile::Builder::new()
            .prefix("task-")
            .tempdir_in(&self.settings.scratch)
            .map_err(|err| TaskError::unavailable("there is no room for files").caused_by(err))?;
        let mut input = TaskInput {
            task_id: claim.task_id.clone(),
            job_id: claim.job_id().to_owned(),
            stage: request.stage.clone(),
            ..TaskInput::default()
        };
        input.previous_outputs = std::mem::take(&mut request.previous_outputs);
        input.config = request.config.clone();
        for (n, (slot, uri)) in request.files.iter().enumerate() {
            let file = folder.path().join(file_name(n, uri));
            self.of_store(self.artifacts.download(uri, &file).await)?;
            input.files.insert(slot.clone(), file);
        }
        Ok((input, folder))
    }

    /// Takes note whether the store answered.
    fn of_store<T>(&self, answer: Result<T, TaskError>) -> Result<T, TaskError> {
        let away = matches!(&answer, Err(err) if err.kind() == ErrorKind::Unavailable);
        self.status.store_answered(!away);
        answer
    }

    /// Tells the queue, again and again while it is away; a lease that lapses meanwhile is found out
    /// by the queue itself. Ends early only when the worker has to stop now.
    async fn tell(&self, claim: &Claim, step: Step<'_>) -> Result<Ended, QueueError> {
        let mut backoff = Backoff::new();
        loop {
            let told = match step {
                Step::Start => {
                    let started = self.dialect.event(claim, News::Started);
                    self.queue.start(claim, &started).await
                }
                Step::Finish(news) => {
                    let ended = self.dialect.event(claim, news);
                    self.queue.finish(claim, &ended).await
                }
                Step::Discard => self.queue.discard(claim).await,
                Step::PutBack => self.queue.put_back(claim).await,
            };
            match told {
                Ok(()) => return Ok(Ended::Here),
                Err(QueueError::NotHeld) => {
                    tracing::warn!("task_lost");
                    return Ok(Ended::Gone);
                }
                Err(err @ QueueError::Unavailable { .. }) => {
                    self.queue_is_away(&err);
                    if self.is_halted() {
                        return Ok(Ended::Gone);
                    }
                    backoff.wait().await;
                }
                Err(err) => return Err(err),
            }
        }
    }
}

/// A name of our own; the ending stays, because some formats are known by it.
fn file_name(n: usize, uri: &str) -> String {
    let ending = Path::new(uri)
        .extension()
        .and_then(|ending| ending.to_str());
    let ending =
        ending.filter(|text| text.len() <= 8 && text.bytes().all(|b| b.is_ascii_alphanumeric()));
    match ending {
        Some(ending) => format!("{n}.{ending}"),
        None => n.to_string(),
    }
}

/// A time of the calendar on this process's clock.
fn instant(time: SystemTime) -> Instant {
    let left = time.duration_since(SystemTime::now());
    // Of a deadline in the past, or too far to count, all that matters is on which side it is.
    let now = Instant::now();
    now.checked_add(left.unwrap_or(Duration::ZERO))
        .unwrap_or(now + Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_ending_and_nothing_else_of_its_name() {
        assert_eq!(file_name(0, "s3://b/jobs/1/audio/original.mp3"), "0.mp3");
        assert_eq!(file_name(1, "s3://b/../../x./etc"), "1");
        assert_eq!(file_name(2, "s3://b/a.wav%00"), "2");
    }

    #[test]
    fn a_deadline_in_the_past_is_over() {
        assert!(instant(SystemTime::UNIX_EPOCH) <= Instant::now());
        assert!(instant(SystemTime::now() + Duration::from_secs(60)) > Instant::now());
    }
}
