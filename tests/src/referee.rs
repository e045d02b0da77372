//! Dalston's own safety nets as a referee of our tests: what Dalston would fail, fails the test.
//!
//! Dalston's orchestrator watches every engine by its own rules: handlers of events, a scanner of pending tasks
//! and a reconciler. The rules are written here anew from their recorded facts. [`Rules::DALSTON`] has Dalston's
//! times; tests scale them with the lease. The referee reads the stream, the registry and the listener's events.
//! It does not touch the queue, except after [`Referee::act`].

mod handlers;
mod list_handlers;
mod nets;
mod snapshot;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::Utc;

use crate::contract::Contract;
use crate::listener::{EventKind, Feed, Listener};
use crate::object_server::ObjectServer;
use crate::producer::{Producer, Queued};
use crate::redis_server::RedisServer;
use handlers::{Database, Effect};
use list_handlers::ListDatabase;
use snapshot::Source;

pub use handlers::Status;
pub use nets::Rules;

/// What a task is failed for, or what breaks its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The scanner: the task is idle and its consumer is dead.
    EngineDead,
    /// The scanner: the task is idle, its consumer is alive, and its time is over.
    TimedOut,
    /// The reconciler: the task runs, no worker has it, and there is no output.
    Orphaned,
    /// The task has ended more often than it was queued.
    ToldTwice,
    /// Lists: the task was started after its end, and its job waits for it for ever.
    NeverEnds,
}

/// A task that Dalston would fail, and why.
#[derive(Clone, Debug)]
pub struct Conviction {
    /// The task.
    pub task_id: String,
    /// The rule.
    pub charge: Charge,
    /// What the referee saw.
    pub evidence: String,
}

impl Display for Conviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            task_id,
            charge,
            evidence,
        } = self;
        write!(f, "{charge:?} {task_id}: {evidence}")
    }
}

/// Watches the tasks of one engine in a thread of its own.
pub struct Referee {
    state: Arc<Mutex<State>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How often the thread reads events and looks whether a net is due.
const TICK: Duration = Duration::from_millis(100);

impl Referee {
    /// Starts to watch the producer's engine by these rules.
    pub(crate) fn start(
        rules: Rules,
        producer: &Producer,
        redis: &RedisServer,
        store: &Arc<ObjectServer>,
        listener: &Listener,
    ) -> Self {
        let now = Instant::now();
        let state = Arc::new(Mutex::new(State {
            rules,
            orchestrator: Orchestrator::new(producer.contract),
            source: Source::new(redis.client(), producer),
            store: Arc::clone(store),
            feed: listener.feed(),
            queued: producer.queued(),
            n_ends: Default::default(),
            convictions: Vec::new(),
            suspects: HashSet::new(),
            actor: None,
            scanned_at: now,
            reconciled_at: now,
        }));
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (state, over) = (Arc::clone(&state), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    lock(&state).tick();
                    thread::sleep(TICK);
                }
            }
        });
        Self {
            state,
            over,
            thread: Some(thread),
        }
    }

    /// The rules of the nets.
    pub fn rules(&self) -> Rules {
        lock(&self.state).rules
    }

    /// Judges by these rules from now on.
    pub fn set_rules(&self, rules: Rules) {
        lock(&self.state).rules = rules;
    }

    /// From now on queues a failed task again as Dalston does, and acknowledges what the reconciler acknowledges.
    pub fn act(&self, producer: Producer) {
        lock(&self.state).actor = Some(producer);
    }

    /// What Dalston's database says of the task; `None` before its first event.
    pub fn status(&self, task_id: &str) -> Option<Status> {
        let mut state = lock(&self.state);
        state.hear();
        state.orchestrator.status(task_id)
    }

    /// Takes the convictions so far, so that they do not fail the test at its end.
    pub fn take_convictions(&self) -> Vec<Conviction> {
        let mut state = lock(&self.state);
        state.hear();
        std::mem::take(&mut state.convictions)
    }

    /// Checks that Dalston would have failed no task.
    ///
    /// # Panics
    ///
    /// If the referee has convicted a task.
    #[track_caller]
    pub fn check(&self) {
        let convictions = self.take_convictions();
        let lines: Vec<_> = convictions.iter().map(ToString::to_string).collect();
        assert!(
            lines.is_empty(),
            "Dalston's own rules convict {} tasks:\n{}",
            lines.len(),
            lines.join("\n")
        );
    }
}

impl Drop for Referee {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder panics")
}

/// Everything that the referee knows.
struct State {
    rules: Rules,
    orchestrator: Orchestrator,
    source: Source,
    store: Arc<ObjectServer>,
    feed: Feed,
    /// How often each task was queued.
    queued: Queued,
    /// How often each task has ended.
    n_ends: std::collections::HashMap<String, usize>,
    convictions: Vec<Conviction>,
    /// The tasks that the last pass of the reconciler took for orphans.
    suspects: HashSet<String>,
    /// Queues failed tasks again; `None` to change nothing.
    actor: Option<Producer>,
    scanned_at: Instant,
    reconciled_at: Instant,
}

/// The handlers of the contract.
enum Orchestrator {
    Streams(Database),
    Lists(ListDatabase),
}

impl Orchestrator {
    fn new(contract: Contract) -> Self {
        match contract {
            Contract::M22 | Contract::M22Typed => Self::Lists(ListDatabase::default()),
            Contract::Streams => Self::Streams(Database::default()),
        }
    }

    fn status(&self, task_id: &str) -> Option<Status> {
        match self {
            Self::Streams(database) => database.rows.get(task_id).map(|row| row.status),
            Self::Lists(database) => database.status(task_id),
        }
    }
}

impl State {
    /// Handles new events, and runs the nets that are due. An M22 orchestrator has no nets.
    fn tick(&mut self) {
        self.hear();
        let Orchestrator::Streams(database) = &mut self.orchestrator else {
            return;
        };
        let is_scan_due = self.scanned_at.elapsed() >= self.rules.scan_every;
        let is_reconcile_due = self.reconciled_at.elapsed() >= self.rules.reconcile_every;
        if !is_scan_due && !is_reconcile_due {
            return;
        }
        // A server that is away is looked at again after a tick: the nets wait for it as well.
        let Ok(pending) = self.source.pending() else {
            return;
        };
        for entry in pending.iter().filter(|entry| entry.is_cancelled) {
            database.cancel(&entry.task_id);
        }
        if is_scan_due {
            self.scanned_at = Instant::now();
            let convictions = nets::scan(database, &pending, Utc::now(), &self.rules);
            self.convictions.extend(convictions);
        }
        if is_reconcile_due {
            self.reconciled_at = Instant::now();
            let orphans = nets::orphans(database, &pending, Instant::now(), &self.rules);
            // Only what two passes see: the event of an end may arrive after the pending list was read.
            let last = std::mem::replace(&mut self.suspects, orphans.iter().cloned().collect());
            for task_id in orphans.iter().filter(|task_id| last.contains(*task_id)) {
                let key = database.output_key(task_id);
                let has_output = self.store.get(&key).is_some();
                self.convictions
                    .extend(nets::end_orphan(database, task_id, has_output));
            }
            if self.actor.is_some() {
                let entries = nets::to_acknowledge(database, &pending, &self.rules);
                self.source.acknowledge(&entries);
            }
        }
    }

    /// Handles the events that have arrived since the last call.
    fn hear(&mut self) {
        for event in self.feed.take() {
            if event.kind != EventKind::Started {
                let n_ends = self.n_ends.entry(event.task_id.clone()).or_default();
                *n_ends += 1;
                // A test that queues a task by itself, past the producer, is not judged for it.
                let n_queued = self.queued.of(&event.task_id).unwrap_or(usize::MAX);
                if *n_ends > n_queued {
                    self.convictions.push(Conviction {
                        task_id: event.task_id.clone(),
                        charge: Charge::ToldTwice,
                        evidence: format!(
                            "end {n_ends} of a task that was queued {n_queued} times: {:?} {}",
                            event.kind, event.body
                        ),
                    });
                }
            }
            let effects = match &mut self.orchestrator {
                Orchestrator::Streams(database) => database.hear(&event),
                Orchestrator::Lists(database) => database.hear(&event),
            };
            for effect in effects {
                match (effect, &mut self.actor) {
                    (Effect::QueuesAgain, Some(producer)) => {
                        producer.enqueue_again(&event.task_id, &event.body);
                    }
                    (Effect::RunsForEver, _) => self.convictions.push(Conviction {
                        task_id: event.task_id.clone(),
                        charge: Charge::NeverEnds,
                        evidence: "task.started came after task.completed".to_owned(),
                    }),
                    _ => {}
                }
            }
        }
    }
}
