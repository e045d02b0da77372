//! The one thread that owns the engine: loads it, feeds it tasks, and outlives its panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::Span;

use super::tasks::{Job, Tasks};
use crate::engine::{BatchEngine, EngineHealth, TaskContext, TaskInput, TaskOutput};
use crate::error::{ErrorKind, TaskError};
use crate::metrics::Metrics;

/// Where the engine is in its life.
#[derive(Clone, Debug)]
pub(super) enum EngineState {
    /// It loads, for the first time or after a panic.
    Loading,
    /// It waits for tasks or does some.
    Ready(Ready),
    /// It cannot be loaded: the worker is to end.
    Broken(Arc<TaskError>),
}

/// What a loaded engine says of itself.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) health: EngineHealth,
    /// How many tasks it does at a time.
    pub(super) n_at_once: usize,
    /// How long the load took.
    pub(super) load_time: Duration,
}

impl EngineState {
    /// Takes note of what the engine says after a task.
    pub(super) fn answered(&mut self, health: EngineHealth) -> bool {
        match self {
            Self::Ready(ready) => {
                ready.health = health;
                true
            }
            _ => false,
        }
    }
}

/// The async side's handle to the engine.
#[derive(Debug)]
pub(super) struct EngineThread {
    jobs: mpsc::UnboundedSender<Job>,
    pub(super) state: watch::Receiver<EngineState>,
}

/// How long the engine may take for what it cannot stop: one batch of a large model, or its load.
const LAST_WORK: Duration = Duration::from_secs(30);

/// Between two tries to load an engine whose files or devices are away.
const LOAD_AGAIN: Duration = Duration::from_secs(2);

impl EngineThread {
    /// Starts the thread, which loads the engine at once. It ends when the handle is dropped and the
    /// work at hand is done.
    pub(super) fn start(engine: impl BatchEngine, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (jobs, arriving) = mpsc::unbounded_channel();
        let (tell, state) = watch::channel(EngineState::Loading);
        let body = move || own(Tasks::new(arriving, tell, metrics), engine);
        thread::Builder::new().name("engine".into()).spawn(body)?;
        Ok(Self { jobs, state })
    }

    /// Has the engine do a task. Those that it does not take yet wait in order. Dropping the future does
    /// not stop the work: stop the context.
    pub(super) async fn process(
        &self,
        input: TaskInput,
        context: TaskContext,
    ) -> Result<TaskOutput, TaskError> {
        let (done, answer) = oneshot::channel();
        let job = Job {
            input: Arc::new(input),
            context,
            span: Span::current(),
            done,
        };
        let gone = || TaskError::unavailable("the engine has ended");
        self.jobs.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Lets the engine go, and waits until it has: libraries that it calls are torn down at the end of
    /// the process, and crash if they are at work then. Not for ever; an engine that hangs is left.
    pub(super) async fn end(self) {
        let Self { jobs, mut state } = self;
        drop(jobs);
        let gone = async { while state.changed().await.is_ok() {} };
        if timeout(LAST_WORK, gone).await.is_err() {
            tracing::warn!("engine_left_at_work");
        }
    }
}

/// The life of the engine, which is dropped before `tasks`: their end says that it is gone.
fn own(mut tasks: Tasks, mut engine: impl BatchEngine) {
    while let Some(load_time) = load(&mut engine, &tasks) {
        tasks.tell(EngineState::Ready(Ready {
            health: engine.health(),
            n_at_once: engine.tasks_at_once(),
            load_time,
        }));
        loop {
            if !tasks.wait() {
                return;
            }
            let work = catch_unwind(AssertUnwindSafe(|| engine.process_all(&mut tasks)));
            match work {
                Ok(()) => tasks.close(),
                Err(panic) => {
                    tasks.tell(EngineState::Loading);
                    tasks.broke_down(&panic_message(&*panic));
                    break;
                }
            }
        }
    }
}

/// Loads the engine, again and again while what it needs is away; how long the last try took, or
/// `None` if it cannot be loaded or nobody waits for it any more.
fn load(engine: &mut impl BatchEngine, tasks: &Tasks) -> Option<Duration> {
    loop {
        let began = Instant::now();
        let loaded = catch_unwind(AssertUnwindSafe(|| engine.load())).unwrap_or_else(|panic| {
            let error = TaskError::engine("the engine broke down while loading");
            Err(error.caused_by(panic_message(&*panic)))
        });
        match loaded {
            Ok(()) => return Some(began.elapsed()),
            Err(_) if tasks.is_over() => return None,
            Err(err) if err.kind() == ErrorKind::Unavailable => {
                tracing::warn!(error = err.chain(), "engine_load_delayed");
                thread::sleep(LOAD_AGAIN);
            }
            Err(err) => {
                tasks.tell(EngineState::Broken(Arc::new(err)));
                return None;
            }
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}
