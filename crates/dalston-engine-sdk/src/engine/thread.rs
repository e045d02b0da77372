//! The one thread that owns an engine: loads it, gives it tasks, and survives its panics.
//!
//! Three channels connect the thread with its callers. `tasks` carries tasks to the thread and wakes it.
//! Each task carries a channel of its own that wakes the one caller who awaits the result. `state` shows
//! everyone whether the engine loads, is ready or cannot be loaded, and closes when the thread has ended.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::Span;

use super::BatchEngine;
use super::state::{EngineState, LoadedEngine};
use super::task::{TaskContext, TaskInput, TaskOutput};
use super::tasks::{SentTask, Tasks};
use crate::error::{ErrorKind, TaskError};
use crate::metrics::Metrics;

/// The async side of an engine: takes a task and gives its result.
///
/// The queue's runner uses a handle, and another front end, such as an HTTP server, can use one in the
/// same way. Callers that share a handle share the engine's batches.
///
/// Call [`end`](Self::end) before the process ends. A drop of the handle does not wait: the thread goes on
/// until every task is answered, and may still run when the process ends.
#[derive(Debug)]
pub struct EngineHandle {
    tasks: mpsc::UnboundedSender<SentTask>,
    state: watch::Receiver<EngineState>,
    is_loading_model: Arc<AtomicBool>,
}

/// Longest wait for the engine's thread at the end of the process. An engine cannot interrupt one batch
/// of a large model, or its load.
const LAST_WORK: Duration = Duration::from_secs(30);

/// Pause between two tries to load an engine whose files or devices are unavailable.
const RELOAD_PAUSE: Duration = Duration::from_secs(2);

impl EngineHandle {
    /// Starts the thread, which loads the engine at once. The thread ends when the handle is dropped and
    /// every task is answered.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(engine: impl BatchEngine, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        // Unbounded: a caller sends one task and awaits its result, so the number of callers is the bound.
        let (tasks, arriving) = mpsc::unbounded_channel();
        let (sender, state) = watch::channel(EngineState::Loading);
        let is_loading_model = Arc::<AtomicBool>::default();
        let waiting = Tasks::new(arriving, sender, Arc::clone(&is_loading_model), metrics);
        let body = move || run_engine(waiting, engine);
        thread::Builder::new().name("engine".into()).spawn(body)?;
        Ok(Self {
            tasks,
            state,
            is_loading_model,
        })
    }

    /// The engine's state, to read and to await. The receiver's channel closes when the engine's thread
    /// has ended.
    pub fn state(&self) -> watch::Receiver<EngineState> {
        self.state.clone()
    }

    /// Whether the engine loads a model for a task now; see [`Tasks::while_loading`].
    pub(crate) fn is_loading_model(&self) -> bool {
        self.is_loading_model.load(Ordering::Relaxed)
    }

    /// Gives the engine a task and waits for the result.
    ///
    /// Tasks that the engine does not take yet wait in the order in which they came, without a bound: the
    /// caller limits how many it sends. A task also waits while the engine loads, and without a limit while
    /// the load fails with [`ErrorKind::Unavailable`]. A deadline of `context` that passes does not end the
    /// wait, because only the engine checks the deadline: the caller sets its own time-out.
    ///
    /// If the future is dropped before the engine takes the task, the task is skipped when its turn comes.
    /// A task that the engine holds goes on: call [`TaskContext::stop`] on a clone of `context`.
    ///
    /// # Errors
    ///
    /// The engine's own error. A panic of the engine is [`ErrorKind::Engine`]; an engine whose thread has
    /// ended is [`ErrorKind::Unavailable`]. After the thread has ended, no later call succeeds; see
    /// [`state`](Self::state).
    pub async fn process(
        &self,
        input: TaskInput,
        context: TaskContext,
    ) -> Result<TaskOutput, TaskError> {
        let (done, answer) = oneshot::channel();
        let task = SentTask {
            input: Arc::new(input),
            context,
            span: Span::current(),
            done,
        };
        let gone = || TaskError::unavailable("the engine has ended");
        self.tasks.send(task).map_err(|_| gone())?;
        // The sender is dropped unused only when the thread ends before it answers the task.
        answer.await.map_err(|_| gone())?
    }

    /// Ends the engine's thread and waits until the engine is dropped, at most 30 s.
    ///
    /// The end of the process tears down the libraries that an engine calls, and a library that is still
    /// computing then crashes. An engine that hangs is left running after the wait.
    pub async fn end(self) {
        let Self {
            tasks, mut state, ..
        } = self;
        // Wakes the thread if it waits for a task: `Tasks::wait` then returns false.
        drop(tasks);
        let gone = async { while state.changed().await.is_ok() {} };
        if timeout(LAST_WORK, gone).await.is_err() {
            tracing::warn!("engine_left_at_work");
        }
    }
}

/// The body of the engine's thread: loads the engine, gives it tasks, and loads it again after a panic.
///
/// Parameters are dropped in reverse order: first `engine`, then `tasks`, whose end closes the channel of
/// the state. So whoever sees that channel closed knows that the engine is dropped.
fn run_engine(mut tasks: Tasks, mut engine: impl BatchEngine) {
    // One turn is one life of the engine, from its load to its panic.
    while let Some(load_time) = load(&mut engine, &tasks) {
        tasks.set_state(EngineState::Ready(LoadedEngine {
            health: engine.health(),
            tasks_at_once: engine.tasks_at_once(),
            load_time,
        }));
        loop {
            if !tasks.wait() {
                return;
            }
            // Unwind safe: after a panic the only call on the engine is `load`, which sets it up again, and
            // no method of `tasks` panics between two changes.
            let work = catch_unwind(AssertUnwindSafe(|| engine.process_all(&mut tasks)));
            match work {
                Ok(()) => tasks.fail_unanswered(),
                Err(panic) => {
                    // `Loading` first: a caller that learns of the failure must not find the engine
                    // ready and send the next task into a broken one.
                    tasks.set_state(EngineState::Loading);
                    tasks.quarantine(&panic_message(&*panic));
                    break;
                }
            }
        }
    }
}

/// Loads the engine, and tries again while what the engine needs is unavailable.
///
/// Returns how long the successful try took. Returns `None` if the engine cannot be loaded, which the
/// state then says, or if a try failed after the handle was dropped. In both cases the thread ends, and
/// callers that still wait get the error "the engine has ended".
fn load(engine: &mut impl BatchEngine, tasks: &Tasks) -> Option<Duration> {
    loop {
        let began = Instant::now();
        let loaded = catch_unwind(AssertUnwindSafe(|| engine.load())).unwrap_or_else(|panic| {
            let error = TaskError::engine("the engine broke down while loading");
            Err(error.caused_by(panic_message(&*panic)))
        });
        // A panic while loading is an `Engine` error, which is final: another try would panic again.
        match loaded {
            Ok(()) => return Some(began.elapsed()),
            // Else the thread of a worker that stops would go on trying to load.
            Err(_) if tasks.is_over() => return None,
            Err(err) if err.kind() == ErrorKind::Unavailable => {
                tracing::warn!(error = err.chain(), "engine_load_delayed");
                // Blocks this thread alone; the health pages go on answering `loading`.
                thread::sleep(RELOAD_PAUSE);
            }
            Err(err) => {
                tasks.set_state(EngineState::Broken(Arc::new(err)));
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
