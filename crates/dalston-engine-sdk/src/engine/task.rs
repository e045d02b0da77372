//! One task as an engine sees it: its input, its output, and the context that can stop it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value};

use crate::error::TaskError;
use crate::transcript::Transcript;

/// One task, with its files on the local disk.
#[derive(Clone, Debug, Default)]
pub struct TaskInput {
    /// The task's id, as the orchestrator gave it.
    pub task_id: String,
    /// The id of the job that the task belongs to.
    pub job_id: String,
    /// The stage that the task belongs to: `transcribe`, or `transcribe_ch0` for one channel of several.
    pub stage: String,
    /// The files to work on, by input name. The input name of a speech engine's audio is `audio`.
    pub files: BTreeMap<String, PathBuf>,
    /// The outputs of earlier stages, by stage.
    pub previous_outputs: Map<String, Value>,
    /// The settings as they were sent: unchecked, and possibly with keys meant for other engines.
    pub config: Map<String, Value>,
}

impl TaskInput {
    /// The file with the input name `audio`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when the task has no such file.
    pub fn audio(&self) -> Result<&Path, TaskError> {
        let file = self.files.get("audio").map(PathBuf::as_path);
        file.ok_or_else(|| TaskError::input("the task has no audio"))
    }
}

/// The result of a task, and what the metrics need to know about it.
#[derive(Clone, Debug, Default)]
pub struct TaskOutput {
    /// The result itself.
    pub result: TaskResult,
    /// The model that made the result, for metrics; `None` for an engine without models.
    pub model: Option<String>,
    /// Length of the task's audio in seconds, for metrics; `None` for an engine that reads no audio.
    pub audio_s: Option<f64>,
}

/// A result, typed where the pipeline has a type for it.
#[derive(Clone, Debug)]
pub enum TaskResult {
    /// A transcript; each contract writes it in its own shape.
    Transcript(Transcript),
    /// The result of any other stage, written as it is.
    Data(Value),
}

impl Default for TaskResult {
    fn default() -> Self {
        Self::Data(Value::Null)
    }
}

/// Tells a running task to stop, and tells its caller how much of the task is done.
///
/// Clones share one state. The caller keeps one clone, and the engine works with the other.
#[derive(Clone, Debug, Default)]
pub struct TaskContext(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    stopped: OnceLock<StopReason>,
    deadline: OnceLock<Instant>,
    /// How much is done, as the bits of an `f64`: any progress changes them.
    done: AtomicU64,
    place: Mutex<Place>,
}

/// Where a task is on its way through the engine.
#[derive(Clone, Debug, Default)]
pub(crate) enum Place {
    /// The engine has not taken the task.
    #[default]
    Waiting,
    /// The engine has had the task since then.
    Held(Instant),
    /// The engine broke down or hung while it held this task and others. Any of them may be at fault.
    Suspect,
    /// The engine hangs on this task, as the sentence says.
    AtFault(String),
    /// The engine has answered the task, or skipped it.
    Answered,
}

/// Why a task must stop before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopReason {
    /// The worker shuts down and the grace period is over: the task goes back to the queue.
    Shutdown,
    /// Another worker holds the task now: this worker's result is not wanted.
    LeaseLost,
    /// The time that the orchestrator gave the task is over: the task fails.
    TimedOut,
}

impl StopReason {
    /// The error of a task that stops for this reason.
    pub(crate) fn error(self) -> TaskError {
        match self {
            Self::TimedOut => TaskError::input("the task ran out of time"),
            Self::Shutdown | Self::LeaseLost => TaskError::unavailable("the task was told to stop"),
        }
    }
}

impl TaskContext {
    /// A context that stops by itself at `deadline`.
    pub fn with_deadline(deadline: Option<Instant>) -> Self {
        let context = Self::default();
        if let Some(deadline) = deadline {
            context.set_deadline(deadline);
        }
        context
    }

    /// Tells the task to stop. The first reason stays; later calls change nothing.
    pub fn stop(&self, reason: StopReason) {
        let _ = self.0.stopped.set(reason);
    }

    /// Why the task must stop; `None` while it may go on.
    pub fn stop_reason(&self) -> Option<StopReason> {
        // No timer watches the deadline: it takes effect when somebody asks.
        if self.deadline().is_some_and(|end| Instant::now() >= end) {
            self.stop(StopReason::TimedOut);
        }
        self.0.stopped.get().copied()
    }

    /// The first reason that somebody told; a deadline that nobody has noticed is none.
    pub(crate) fn told_to_stop(&self) -> Option<StopReason> {
        self.0.stopped.get().copied()
    }

    /// Returns `Ok` while the task may go on; for use with `?` between two pieces of work.
    ///
    /// # Errors
    ///
    /// The task must stop. The caller knows the reason, so return the error as it is.
    pub fn check(&self) -> Result<(), TaskError> {
        self.stop_reason()
            .map_or(Ok(()), |reason| Err(reason.error()))
    }

    /// Records how much of the task is done, from 0 to 1. An engine whose tasks all stand still for
    /// `DALSTON_WATCHDOG_S` counts as hung, so record every step of long work, however small.
    pub fn progress(&self, done: f64) {
        let bits = done.clamp(0.0, 1.0).to_bits();
        // Relaxed: the figure is shown and orders no other memory.
        self.0.done.store(bits, Ordering::Relaxed);
    }

    /// How much of the task is done, from 0 to 1, as [`progress`](Self::progress) last recorded it.
    pub fn done(&self) -> f64 {
        f64::from_bits(self.done_bits())
    }

    /// A number that changes with every progress.
    pub(crate) fn done_bits(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Sets the deadline, once.
    pub(crate) fn set_deadline(&self, deadline: Instant) {
        let _ = self.0.deadline.set(deadline);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.deadline.get().copied()
    }

    pub(crate) fn place(&self) -> Place {
        self.lock_place().clone()
    }

    pub(crate) fn set_place(&self, place: Place) {
        *self.lock_place() = place;
    }

    /// A panic under the lock cannot leave a half-written place.
    fn lock_place(&self) -> MutexGuard<'_, Place> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_to_stop_stays() {
        let context = TaskContext::default();
        assert!(context.check().is_ok());
        context.stop(StopReason::LeaseLost);
        context.clone().stop(StopReason::Shutdown);
        assert_eq!(context.stop_reason(), Some(StopReason::LeaseLost));
        assert!(context.check().is_err());
    }

    #[test]
    fn a_passed_deadline_stops_a_task() {
        let context = TaskContext::with_deadline(Some(Instant::now()));
        assert_eq!(context.stop_reason(), Some(StopReason::TimedOut));
    }
}
