//! The one thread that owns the engine: loads it, feeds it tasks, and outlives its panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::Span;

use crate::engine::{Engine, EngineHealth, TaskContext, TaskInput, TaskOutput};
use crate::error::{ErrorKind, TaskError};

/// Where the engine is in its life.
#[derive(Clone, Debug)]
pub(super) enum EngineState {
    /// It loads, for the first time or after a panic.
    Loading,
    /// It waits for a task or does one; what it said of itself, and how long the load took.
    Ready(EngineHealth, Duration),
    /// It cannot be loaded: the worker is to end.
    Broken(Arc<TaskError>),
}

/// The async side's handle to the engine.
#[derive(Debug)]
pub(super) struct EngineThread {
    jobs: mpsc::UnboundedSender<Job>,
    pub(super) state: watch::Receiver<EngineState>,
}

struct Job {
    input: TaskInput,
    context: TaskContext,
    /// So that what the engine logs says which task it is about.
    span: Span,
    done: oneshot::Sender<Result<TaskOutput, TaskError>>,
}

/// How long the engine may take for what it cannot stop: one batch of a large model, or its load.
const LAST_WORK: Duration = Duration::from_secs(30);

/// Between two tries to load an engine whose files or devices are away.
const LOAD_AGAIN: Duration = Duration::from_secs(2);

impl EngineThread {
    /// Starts the thread, which loads the engine at once. It ends when the handle is dropped and the
    /// work at hand is done.
    pub(super) fn start(engine: impl Engine) -> std::io::Result<Self> {
        let (jobs, todo) = mpsc::unbounded_channel();
        let (tell, state) = watch::channel(EngineState::Loading);
        let body = move || own(engine, todo, &tell);
        thread::Builder::new().name("engine".into()).spawn(body)?;
        Ok(Self { jobs, state })
    }

    /// Has the engine do a task. At most one is at work; the others wait in order. Dropping the future
    /// does not stop the work: stop the context.
    pub(super) async fn process(
        &self,
        input: TaskInput,
        context: TaskContext,
    ) -> Result<TaskOutput, TaskError> {
        let (done, answer) = oneshot::channel();
        let job = Job {
            input,
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

/// The life of the engine.
fn own(
    mut engine: impl Engine,
    mut todo: mpsc::UnboundedReceiver<Job>,
    tell: &watch::Sender<EngineState>,
) {
    'load: loop {
        let Some(took) = load(&mut engine, &todo, tell) else {
            return;
        };
        tell.send_replace(EngineState::Ready(engine.health(), took));
        while let Some(job) = todo.blocking_recv() {
            // Nobody waits for this any more.
            if job.done.is_closed() {
                continue;
            }
            let work = || {
                let _task = job.span.enter();
                let output = engine.process(&job.input, &job.context);
                (output, engine.health())
            };
            match catch_unwind(AssertUnwindSafe(work)) {
                Ok((output, health)) => {
                    tell.send_replace(EngineState::Ready(health, took));
                    let _ = job.done.send(output);
                }
                Err(panic) => {
                    tell.send_replace(EngineState::Loading);
                    let error = TaskError::engine("the engine broke down on this task");
                    let _ = job.done.send(Err(error.caused_by(panic_message(&*panic))));
                    continue 'load;
                }
            }
        }
        return;
    }
}

/// Loads the engine, again and again while what it needs is away; how long the last try took, or
/// `None` if it cannot be loaded or nobody waits for it any more.
fn load(
    engine: &mut impl Engine,
    todo: &mpsc::UnboundedReceiver<Job>,
    tell: &watch::Sender<EngineState>,
) -> Option<Duration> {
    loop {
        let began = Instant::now();
        let loaded = catch_unwind(AssertUnwindSafe(|| engine.load())).unwrap_or_else(|panic| {
            let error = TaskError::engine("the engine broke down while loading");
            Err(error.caused_by(panic_message(&*panic)))
        });
        match loaded {
            Ok(()) => return Some(began.elapsed()),
            Err(_) if todo.is_closed() => return None,
            Err(err) if err.kind() == ErrorKind::Unavailable => {
                tracing::warn!(error = err.chain(), "engine_load_delayed");
                thread::sleep(LOAD_AGAIN);
            }
            Err(err) => {
                tell.send_replace(EngineState::Broken(Arc::new(err)));
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
