//! The tasks of an engine that works on several at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::Span;

use super::engine_thread::EngineState;
use crate::engine::{EngineHealth, TaskContext, TaskInput, TaskOutput};
use crate::error::TaskError;
use crate::metrics::Metrics;

/// A task that an engine has taken and not yet answered.
#[derive(Debug)]
pub struct Task {
    /// What there is to do.
    pub input: Arc<TaskInput>,
    /// When to stop, and how far it is.
    pub context: TaskContext,
    /// Entered while the engine works for this task alone, so that its log says which task it is about.
    pub span: Span,
    number: u64,
}

/// A task, and who waits for its end.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) input: Arc<TaskInput>,
    pub(super) context: TaskContext,
    pub(super) span: Span,
    pub(super) done: oneshot::Sender<Result<TaskOutput, TaskError>>,
}

/// The tasks that are at hand for an engine, and those that it has.
///
/// It outlives a panic of the engine, and then knows what the engine had.
#[derive(Debug)]
pub struct Tasks {
    arriving: mpsc::UnboundedReceiver<Job>,
    /// Taken, not answered.
    taken: BTreeMap<u64, Job>,
    n_taken: u64,
    /// The first of those that arrived.
    first: Option<Job>,
    /// In the engine's hands when it broke down: each is done again, alone.
    suspects: VecDeque<Job>,
    state: watch::Sender<EngineState>,
    metrics: Arc<Metrics>,
}

impl Tasks {
    pub(super) fn new(
        arriving: mpsc::UnboundedReceiver<Job>,
        state: watch::Sender<EngineState>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            arriving,
            taken: BTreeMap::new(),
            n_taken: 0,
            first: None,
            suspects: VecDeque::new(),
            state,
            metrics,
        }
    }

    /// The next task, if one is at hand; never waits.
    ///
    /// After a breakdown tasks come one at a time until it is known which of them the engine cannot
    /// bear.
    pub fn take(&mut self) -> Option<Task> {
        loop {
            let job = if self.suspects.is_empty() {
                self.first
                    .take()
                    .or_else(|| self.arriving.try_recv().ok())?
            } else if self.taken.is_empty() {
                self.suspects.pop_front()?
            } else {
                return None;
            };
            // Else nobody waits for it any more.
            if !job.done.is_closed() {
                return Some(self.hand_out(job));
            }
        }
    }

    /// Answers a task. `health` is what the engine now has to say of itself.
    pub fn finish(
        &mut self,
        task: Task,
        output: Result<TaskOutput, TaskError>,
        health: EngineHealth,
    ) {
        self.state.send_if_modified(|state| state.answered(health));
        if let Some(job) = self.taken.remove(&task.number) {
            // Nobody may wait any more: the task was stopped.
            let _ = job.done.send(output);
        }
    }

    /// Says how full a batch of the engine is: `n` items where there is room for `room`.
    pub fn batch(&self, n: usize, room: usize) {
        self.metrics.batch_filled(n as f64 / room.max(1) as f64);
    }

    /// Says how much more time the engine spent in a step of its work, such as `encode`: where a worker's
    /// time goes is a metric.
    pub fn step(&self, name: &'static str, time: Duration) {
        self.metrics.stepped(name, time);
    }

    /// Waits until a task is at hand; false if none will be.
    pub(super) fn wait(&mut self) -> bool {
        if self.suspects.is_empty() && self.first.is_none() {
            self.first = self.arriving.blocking_recv();
        }
        !self.suspects.is_empty() || self.first.is_some()
    }

    /// Whether the worker has gone.
    pub(super) fn is_over(&self) -> bool {
        self.arriving.is_closed()
    }

    pub(super) fn tell(&self, state: EngineState) {
        self.state.send_replace(state);
    }

    /// The engine has returned: what it did not answer fails.
    pub(super) fn close(&mut self) {
        for (_, job) in std::mem::take(&mut self.taken) {
            let _ = job
                .done
                .send(Err(TaskError::engine("the engine gave no answer")));
        }
    }

    /// The engine broke down. A task that it had alone is what it cannot bear, and fails; of several
    /// nobody knows, and each is tried alone.
    pub(super) fn broke_down(&mut self, why: &str) {
        let mut taken = std::mem::take(&mut self.taken).into_values();
        if taken.len() > 1 {
            tracing::warn!(
                error = why,
                n_tasks = taken.len(),
                "engine_broke_down_on_several"
            );
            self.suspects.extend(taken);
        } else if let Some(job) = taken.next() {
            let error = TaskError::engine("the engine broke down on this task");
            let _ = job.done.send(Err(error.caused_by(why.to_owned())));
        }
    }

    fn hand_out(&mut self, job: Job) -> Task {
        let task = Task {
            input: Arc::clone(&job.input),
            context: job.context.clone(),
            span: job.span.clone(),
            number: self.n_taken,
        };
        self.taken.insert(self.n_taken, job);
        self.n_taken += 1;
        task
    }
}
