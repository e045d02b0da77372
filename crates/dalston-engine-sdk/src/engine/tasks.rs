//! The tasks that wait for an engine, and those that the engine holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::Span;

use super::capabilities::EngineHealth;
use super::state::EngineState;
use super::task::{Place, TaskContext, TaskInput, TaskOutput};
use crate::error::TaskError;
use crate::metrics::Metrics;

/// A task that an engine has taken and not yet answered.
#[derive(Debug)]
pub struct Task {
    /// The task's files and settings.
    pub input: Arc<TaskInput>,
    /// Says when the task must stop, and takes the engine's progress.
    pub context: TaskContext,
    /// The task's span. The engine enters it while it works for this task alone, so that its log lines
    /// carry the task's ids.
    pub span: Span,
    /// The key of the task's [`SentTask`] in [`Tasks::taken`].
    number: u64,
}

/// A task as a caller sends it: with the channel that wakes the caller when the result is there.
#[derive(Debug)]
pub(super) struct SentTask {
    pub(super) input: Arc<TaskInput>,
    pub(super) context: TaskContext,
    pub(super) span: Span,
    pub(super) done: oneshot::Sender<Result<TaskOutput, TaskError>>,
}

impl SentTask {
    /// Wakes the caller with the answer.
    fn answer(self, output: Result<TaskOutput, TaskError>) {
        // Before the answer: whoever has it must not find the task still with the engine.
        self.context.set_place(Place::Answered);
        // Fails when the caller dropped its future because the task was stopped.
        let _ = self.done.send(output);
    }
}

/// The tasks that wait for an engine, and those that the engine holds.
///
/// The engine borrows this value for each call of
/// [`process_all`](super::BatchEngine::process_all). The engine's thread owns it, so it outlives a panic
/// of the engine and then still knows which tasks the engine held.
#[derive(Debug)]
pub struct Tasks {
    arriving: mpsc::UnboundedReceiver<SentTask>,
    /// Tasks that the engine took and has not answered, by [`Task::number`].
    taken: BTreeMap<u64, SentTask>,
    /// How many tasks were ever taken: the number of the next one.
    n_taken: u64,
    /// The task that ended [`wait`](Self::wait); it is older than all tasks in `arriving`.
    first: Option<SentTask>,
    /// Tasks that the engine held when it panicked over several. Each runs again alone, and while there
    /// are any, no task that arrived later is handed out.
    quarantined: VecDeque<SentTask>,
    /// Read through the [`EngineHandle`](super::thread::EngineHandle). The channel closes when this value is
    /// dropped.
    state: watch::Sender<EngineState>,
    /// Whether the engine loads a model for a task; the handle reads it.
    is_loading_model: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl Tasks {
    pub(super) fn new(
        arriving: mpsc::UnboundedReceiver<SentTask>,
        state: watch::Sender<EngineState>,
        is_loading_model: Arc<AtomicBool>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            arriving,
            taken: BTreeMap::new(),
            n_taken: 0,
            first: None,
            quarantined: VecDeque::new(),
            state,
            is_loading_model,
            metrics,
        }
    }

    /// Takes the next task, or returns `None` if none is to be taken now; never waits.
    ///
    /// After a panic over several tasks, `take` returns those tasks one at a time, each only after the
    /// previous one is finished. So the next panic shows which task is at fault.
    pub fn take(&mut self) -> Option<Task> {
        loop {
            let sent = if self.quarantined.is_empty() {
                // `first` left the channel before all tasks that are still in it.
                self.first
                    .take()
                    .or_else(|| self.arriving.try_recv().ok())?
            } else if self.taken.is_empty() {
                // Alone: the engine holds no other task that a panic could be blamed on.
                self.quarantined.pop_front()?
            } else {
                return None;
            };
            // A closed channel means that the caller dropped its future: nobody wants the result, so the
            // task is skipped.
            if !sent.done.is_closed() {
                return Some(self.hand_out(sent));
            }
            sent.context.set_place(Place::Answered);
        }
    }

    /// Answers a task, which wakes its caller. `health` is the engine's state after the task.
    pub fn finish(
        &mut self,
        task: Task,
        output: Result<TaskOutput, TaskError>,
        health: EngineHealth,
    ) {
        self.state
            .send_if_modified(|state| state.update_health(health));
        if let Some(sent) = self.taken.remove(&task.number) {
            sent.answer(output);
        }
    }

    /// Runs `load`, which loads a model for a task that the engine has taken. A load may take longer than
    /// `DALSTON_WATCHDOG_S` without progress of any task.
    pub fn while_loading<T>(&self, load: impl FnOnce() -> T) -> T {
        // A panic of `load` leaves the value, and `quarantine` resets it.
        self.is_loading_model.store(true, Ordering::Relaxed);
        let loaded = load();
        self.is_loading_model.store(false, Ordering::Relaxed);
        loaded
    }

    /// Records that a task's model was in memory when the task needed it.
    pub fn record_model_in_memory(&self, model: &str) {
        self.metrics.model_acquired(model, true, Duration::ZERO);
    }

    /// Records that a task's model had to be loaded, which took `time`.
    pub fn record_model_load(&self, model: &str, time: Duration) {
        self.metrics.model_acquired(model, false, time);
    }

    /// Records how full a batch of the engine is: `n` items where there is room for `room`.
    pub fn record_batch(&self, n: usize, room: usize) {
        self.metrics.batch_filled(n as f64 / room.max(1) as f64);
    }

    /// Records that the engine spent `time` more in a step of its work, such as `encode`. A metric sums
    /// the time of each step.
    pub fn record_step(&self, name: &'static str, time: Duration) {
        self.metrics.stepped(name, time);
    }

    /// Blocks the engine's thread until a task waits; returns `false` if none will ever come, because
    /// the handle was dropped and every task is answered.
    pub(super) fn wait(&mut self) -> bool {
        if self.quarantined.is_empty() && self.first.is_none() {
            // Returns `None` only when the channel is empty and its sender dropped, so a task that was sent
            // before the handle was dropped is still worked on.
            self.first = self.arriving.blocking_recv();
        }
        !self.quarantined.is_empty() || self.first.is_some()
    }

    /// Whether the handle was dropped, so that nobody can send a task.
    pub(super) fn is_over(&self) -> bool {
        self.arriving.is_closed()
    }

    /// Publishes a new state, which wakes everyone who watches the engine.
    pub(super) fn set_state(&self, state: EngineState) {
        self.state.send_replace(state);
    }

    /// Fails every task that the engine took and did not answer before it returned.
    ///
    /// Without this, their callers would wait for ever: a task in `taken` keeps its channel open.
    pub(super) fn fail_unanswered(&mut self) {
        for (_, sent) in std::mem::take(&mut self.taken) {
            sent.answer(Err(TaskError::engine("the engine gave no answer")));
        }
    }

    /// Sorts the tasks that the engine held when it panicked.
    ///
    /// A task that the engine held alone is at fault and fails. Of several tasks any one may be at
    /// fault: all are quarantined, and each runs again alone. `taken` is empty afterwards, as
    /// [`take`](Self::take) needs it.
    pub(super) fn quarantine(&mut self, panic: &str) {
        self.is_loading_model.store(false, Ordering::Relaxed);
        let mut taken = std::mem::take(&mut self.taken).into_values();
        if taken.len() > 1 {
            tracing::warn!(
                error = panic,
                n_tasks = taken.len(),
                "engine_broke_down_on_several"
            );
            for sent in taken {
                sent.context.set_place(Place::Suspect);
                self.quarantined.push_back(sent);
            }
        } else if let Some(sent) = taken.next() {
            let error = TaskError::engine("the engine broke down on this task");
            sent.answer(Err(error.caused_by(panic.to_owned())));
        }
    }

    fn hand_out(&mut self, sent: SentTask) -> Task {
        let task = Task {
            input: Arc::clone(&sent.input),
            context: sent.context.clone(),
            span: sent.span.clone(),
            number: self.n_taken,
        };
        sent.context.set_place(Place::Held(Instant::now()));
        // The sender stays here and not in the `Task`: a panic drops the engine's tasks, and would drop
        // their senders with them, before `quarantine` could see which tasks they were.
        self.taken.insert(self.n_taken, sent);
        self.n_taken += 1;
        task
    }
}
