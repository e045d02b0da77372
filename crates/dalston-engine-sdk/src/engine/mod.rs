//! The two traits of an engine: it loads once, and then turns one task after another into a result.
//!
//! An [`Engine`] works on one task at a time, a [`BatchEngine`] on several. One thread owns the engine;
//! an [`EngineHandle`](thread::EngineHandle) starts the thread. A caller that has a task to run, such as
//! the queue's runner, passes the task to the handle and awaits the result.

mod capabilities;
mod state;
mod task;
mod tasks;
pub(crate) mod thread;

use crate::error::TaskError;

pub use capabilities::{Capabilities, EngineHealth};
pub use state::{EngineState, LoadedEngine};
pub(crate) use task::Place;
pub use task::{StopReason, TaskContext, TaskInput, TaskOutput, TaskResult};
pub use tasks::{Task, Tasks};

/// A stage of the pipeline that works on one task at a time.
///
/// All calls but [`capabilities`](Self::capabilities) come from one thread of the operating system. The
/// thread owns the engine from the first [`load`](Self::load) until the engine's handle is dropped and
/// every task is answered. An engine therefore needs no lock, and may block. A panic fails the task in
/// which it happened; the engine is then loaded again.
pub trait Engine: Send + 'static {
    /// Gets ready to work: reads weights, warms up.
    ///
    /// Called before the first task, and again after a panic. Until the call returns, the worker answers
    /// health checks with `loading` and takes no task.
    ///
    /// # Errors
    ///
    /// After [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) the load is tried again every
    /// 2 s; any other kind ends the engine's thread, and with it the worker.
    fn load(&mut self) -> Result<(), TaskError>;

    /// Works on one task and returns its result.
    ///
    /// Work of more than a second calls [`TaskContext::check`] about once a second and returns the error
    /// of that call. The result is a function of `input` alone: an interrupted task runs again, and the
    /// second run must give the same result.
    ///
    /// # Errors
    ///
    /// The kind decides whether the task fails or is tried again; see [`ErrorKind`](crate::ErrorKind).
    fn process(
        &mut self,
        input: &TaskInput,
        context: &TaskContext,
    ) -> Result<TaskOutput, TaskError>;

    /// The engine's state for the health page. Called after every load and after every task.
    fn health(&self) -> EngineHealth;

    /// What the engine can do; the same before and after [`load`](Self::load).
    fn capabilities(&self) -> Capabilities;
}

/// A stage of the pipeline that works on several tasks at once, for example to fill a GPU.
///
/// Every [`Engine`] is a `BatchEngine` of one task at a time. The calls come from one thread, as those
/// of an [`Engine`] do.
pub trait BatchEngine: Send + 'static {
    /// As [`Engine::load`].
    ///
    /// # Errors
    ///
    /// As [`Engine::load`].
    fn load(&mut self) -> Result<(), TaskError>;

    /// Works on the tasks that wait, and returns when none is left. Called again when the next task
    /// arrives.
    ///
    /// The engine takes as many tasks as it wants with [`Tasks::take`], and answers each with
    /// [`Tasks::finish`] as soon as its result is there. If the engine panics while it holds several
    /// tasks, each of them runs again alone, so that only the task at fault fails.
    fn process_all(&mut self, tasks: &mut Tasks);

    /// How many tasks the engine works on at a time. Called after every load.
    ///
    /// The worker claims no more tasks than this, because another worker may be free for the rest.
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
