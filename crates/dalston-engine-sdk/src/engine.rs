//! What an engine is: something that loads once and then turns one task after another into a result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::{Map, Value};

use crate::contract::Transcript;
use crate::error::TaskError;
use crate::runner::Tasks;

/// A stage of the pipeline.
///
/// All calls but [`capabilities`](Self::capabilities) come from one thread of the operating system,
/// which owns the engine from [`load`](Self::load) to the end of the process: an engine needs no lock,
/// and may block. A panic fails the task it happened in; the engine is then loaded again.
pub trait Engine: Send + 'static {
    /// Gets ready to work: reads weights, warms up. Called before the first task, and again after a
    /// panic. Until it returns the worker answers health checks with `loading` and takes no task.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) is tried again with back-off; any
    /// other kind ends the worker.
    fn load(&mut self) -> Result<(), TaskError>;

    /// Does one task.
    ///
    /// Work of more than a second asks [`TaskContext::check`] now and then, and stops when told to.
    /// The result is a function of `input` alone: a task that was interrupted runs again, and then
    /// must say the same.
    ///
    /// # Errors
    ///
    /// The kind decides what becomes of the task; see [`ErrorKind`](crate::ErrorKind).
    fn process(
        &mut self,
        input: &TaskInput,
        context: &TaskContext,
    ) -> Result<TaskOutput, TaskError>;

    /// The state to show on the health page; asked after a load and after every task.
    fn health(&self) -> EngineHealth;

    /// What the engine can do; the same before and after [`load`](Self::load).
    fn capabilities(&self) -> Capabilities;
}

/// A stage of the pipeline that gains from several tasks at once; every [`Engine`] is one of one task at
/// a time.
///
/// The calls come as those of an [`Engine`] do.
pub trait BatchEngine: Send + 'static {
    /// As [`Engine::load`].
    ///
    /// # Errors
    ///
    /// As [`Engine::load`].
    fn load(&mut self) -> Result<(), TaskError>;

    /// Does the tasks that are at hand, and returns when there are none; called again when there are.
    ///
    /// Takes as many as it wants with [`Tasks::take`] and answers each with [`Tasks::finish`] as soon as
    /// it can. If it breaks down over several, each of them is done again alone.
    fn process_all(&mut self, tasks: &mut Tasks);

    /// How many tasks it works on at a time; asked after every load. The worker claims no more than these:
    /// others might be free for the rest.
    fn tasks_at_once(&self) -> usize;

    /// As [`Engine::health`].
    fn health(&self) -> EngineHealth;

    /// As [`Engine::capabilities`].
    fn capabilities(&self) -> Capabilities;
}

impl<E: Engine> BatchEngine for E {
    fn load(&mut self) -> Result<(), TaskError> {
        Engine::load(self)
    }

    fn process_all(&mut self, tasks: &mut Tasks) {
        while let Some(task) = tasks.take() {
            let output = task
                .span
                .in_scope(|| self.process(&task.input, &task.context));
            tasks.finish(task, output, Engine::health(self));
        }
    }

    fn tasks_at_once(&self) -> usize {
        1
    }

    fn health(&self) -> EngineHealth {
        Engine::health(self)
    }

    fn capabilities(&self) -> Capabilities {
        Engine::capabilities(self)
    }
}

/// One task, its files already on the local disk.
#[derive(Clone, Debug, Default)]
pub struct TaskInput {
    /// The task, as the orchestrator calls it.
    pub task_id: String,
    /// The job it belongs to.
    pub job_id: String,
    /// The stage it stands for: `transcribe`, or `transcribe_ch0` for one channel of several.
    pub stage: String,
    /// The files to work on, by slot. A speech engine finds its audio under `audio`.
    pub files: BTreeMap<String, PathBuf>,
    /// What earlier stages put out, by stage.
    pub previous_outputs: Map<String, Value>,
    /// The settings as they were sent: unchecked, with keys of other engines among them.
    pub config: Map<String, Value>,
}

impl TaskInput {
    /// The file in slot `audio`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when the task came without one.
    pub fn audio(&self) -> Result<&Path, TaskError> {
        let file = self.files.get("audio").map(PathBuf::as_path);
        file.ok_or_else(|| TaskError::input("the task has no audio"))
    }
}

/// What a task came to.
#[derive(Clone, Debug, Default)]
pub struct TaskOutput {
    /// The result itself.
    pub result: TaskResult,
    /// The model that made it, for metrics; `None` for an engine without models.
    pub model: Option<String>,
    /// How much audio it covers, in seconds, for metrics.
    pub audio_s: Option<f64>,
}

/// A result, typed where the pipeline has a type for it.
#[derive(Clone, Debug)]
pub enum TaskResult {
    /// What was heard; each contract writes it in its own shape.
    Transcript(Transcript),
    /// Any other stage's result, written as it is.
    Data(Value),
}

impl Default for TaskResult {
    fn default() -> Self {
        Self::Data(Value::Null)
    }
}

/// The line between a task at work and the world outside: when to stop, and how far it is.
///
/// Clones share one state: the runner keeps one, the engine works with the other.
#[derive(Clone, Debug, Default)]
pub struct TaskContext {
    stopped: Arc<OnceLock<StopReason>>,
    deadline: Option<Instant>,
    permille: Arc<AtomicU32>,
}

/// Why a task is told to stop before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopReason {
    /// The worker shuts down and the grace period is over: the task goes back to the queue.
    Shutdown,
    /// The task is no longer this worker's: another one has it, and this result is not wanted.
    LeaseLost,
    /// The time that the orchestrator gave the task is over: the task fails.
    TimedOut,
}

impl TaskContext {
    /// A context that stops by itself at `deadline`.
    pub fn with_deadline(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            ..Self::default()
        }
    }

    /// Tells the task to stop. The first reason stays.
    pub fn stop(&self, reason: StopReason) {
        let _ = self.stopped.set(reason);
    }

    /// Why the task is to stop; `None` while it may go on.
    pub fn stop_reason(&self) -> Option<StopReason> {
        if self.deadline.is_some_and(|end| Instant::now() >= end) {
            self.stop(StopReason::TimedOut);
        }
        self.stopped.get().copied()
    }

    /// Returns at once while the task may go on; for use with `?` between two pieces of work.
    ///
    /// # Errors
    ///
    /// The task is to stop. The runner knows why: return the error as it is.
    pub fn check(&self) -> Result<(), TaskError> {
        match self.stop_reason() {
            None => Ok(()),
            Some(StopReason::TimedOut) => Err(TaskError::input("the task ran out of time")),
            Some(_) => Err(TaskError::unavailable("the task was told to stop")),
        }
    }

    /// Says how much of the task is done, from 0 to 1.
    pub fn progress(&self, done: f64) {
        let permille = (done.clamp(0.0, 1.0) * 1000.0) as u32;
        self.permille.store(permille, Ordering::Relaxed);
    }

    /// How much of the task is done, from 0 to 1, as the engine last said.
    pub fn done(&self) -> f64 {
        f64::from(self.permille.load(Ordering::Relaxed)) / 1000.0
    }
}

/// What an engine says of itself on the health page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineHealth {
    /// The model that is ready, or last was; `None` before the first load.
    pub model_name: Option<String>,
    /// Every model in memory.
    pub models_loaded: Vec<String>,
    /// `cpu`, `cuda`.
    pub device: String,
    /// Whether a CUDA device can be used.
    pub cuda_available: bool,
    /// How many there are.
    pub cuda_device_count: u32,
    /// Memory in use on the device; `None` without a GPU.
    pub gpu_memory_used_bytes: Option<u64>,
    /// Memory of the device; `None` without a GPU.
    pub gpu_memory_total_bytes: Option<u64>,
}

/// What an engine can do, as the registry and `/v1/capabilities` tell the orchestrator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capabilities {
    /// The engine's version, `1.2.3`.
    pub version: String,
    /// The stages it stands for: `transcribe`.
    pub stages: Vec<String>,
    /// Whether its words carry times, so that alignment can be skipped.
    pub supports_word_timestamps: bool,
    /// Whether a task can be told its language.
    pub supports_language_forcing: bool,
    /// The models it can be asked for; `None` when it has no choice.
    pub model_variants: Option<Vec<String>>,
    /// Whether it cannot run without a GPU.
    pub gpu_required: bool,
    /// Memory of the GPU it needs, in MB.
    pub gpu_vram_mb: Option<u64>,
    /// Whether it runs on a CPU.
    pub supports_cpu: bool,
    /// Memory it needs, in GB.
    pub min_ram_gb: Option<u64>,
    /// Measured seconds of work per second of audio on a GPU.
    pub rtf_gpu: Option<f64>,
    /// The same on a CPU.
    pub rtf_cpu: Option<f64>,
    /// How many tasks one worker runs at a time.
    pub max_concurrency: Option<u32>,
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
