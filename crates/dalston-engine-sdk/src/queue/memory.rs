//! A queue in memory: the contract of queues without a server, for tests and for an engine without a
//! pipeline.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::claim::{Claim, Ending, Event, PutBack, Queue, QueueError, Record};
use super::held::Held;

/// Holds the tasks and the leases, as Redis does for the other queues. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct MemoryBroker {
    state: Arc<Mutex<State>>,
    /// Wakes a worker that waits for a task.
    pushed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// Tasks that nobody has claimed, the next one first.
    waiting: VecDeque<String>,
    /// Claimed tasks and their workers. The key is the number of the claim, because one task may be queued
    /// twice.
    taken: BTreeMap<u64, Taken>,
    n_taken: u64,
    attempts: HashMap<String, Attempts>,
    /// The numbers of the claims that have ended their tasks.
    ended: BTreeSet<u64>,
    metadata: HashMap<String, BTreeMap<String, String>>,
    leases: HashMap<String, Lapsing>,
    events: Vec<Event>,
}

/// The record of a task's attempts.
#[derive(Debug, Default)]
struct Attempts {
    /// The processes that have begun work on the task without an end.
    processes: BTreeSet<u64>,
    /// How many other processes had done so when `started` was last published.
    n_others_told: Option<usize>,
    deferrals: u32,
    deferred_at: Option<Instant>,
}

#[derive(Debug)]
struct Taken {
    task_id: String,
    worker: String,
}

#[derive(Debug)]
struct Lapsing {
    holder: u64,
    end: Instant,
}

/// One worker's membership in a [`MemoryBroker`].
#[derive(Debug)]
pub struct MemoryQueue {
    broker: MemoryBroker,
    worker: String,
    nonce: u64,
    lease: Duration,
    held: Held,
}

impl MemoryBroker {
    /// Adds a task to the end of the queue, with its hash.
    pub fn push(&self, task_id: &str, metadata: BTreeMap<String, String>) {
        let mut state = self.state();
        state.metadata.insert(task_id.to_owned(), metadata);
        state.waiting.push_back(task_id.to_owned());
        self.pushed.notify_one();
    }

    /// Connects a process that works under the id `worker`.
    pub fn connect(&self, worker: &str, lease: Duration) -> MemoryQueue {
        MemoryQueue {
            broker: self.clone(),
            worker: worker.to_owned(),
            nonce: fastrand::u64(..),
            lease,
            held: Held::default(),
        }
    }

    /// All published events, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes or renews the worker's lease, unless another process holds the id.
    fn keep_lease(&mut self, queue: &MemoryQueue) -> Result<(), QueueError> {
        let now = Instant::now();
        match self.leases.get(&queue.worker) {
            Some(held) if held.holder != queue.nonce && held.end > now => {
                return Err(QueueError::Superseded);
            }
            _ => {}
        }
        let lease = Lapsing {
            holder: queue.nonce,
            end: now + queue.lease,
        };
        self.leases.insert(queue.worker.clone(), lease);
        Ok(())
    }

    /// Checks that the worker holds the task; returns the number of the claim.
    fn check(&self, queue: &MemoryQueue, claim: &Claim) -> Result<u64, QueueError> {
        // First the lease: a process whose id another one has taken must learn that it is superseded, and
        // not only that this task is gone.
        let lease = self.leases.get(&queue.worker);
        if lease.is_some_and(|held| held.holder != queue.nonce && held.end > Instant::now()) {
            return Err(QueueError::Superseded);
        }
        let number = number(claim.receipt.id());
        let taken = self.taken.get(&number).ok_or(QueueError::NotHeld)?;
        if taken.worker == queue.worker {
            Ok(number)
        } else {
            Err(QueueError::NotHeld)
        }
    }

    /// Puts back the tasks that no claim holds: those of dead workers, and those whose claim `queue` dropped.
    fn reclaim(&mut self, queue: &MemoryQueue) {
        let now = Instant::now();
        // As in the scripts: what this worker has and no claim holds was dropped, or its answer lost.
        let held = queue.held.ids();
        let (leases, taken) = (&self.leases, &mut self.taken);
        let free: Vec<_> = taken
            .extract_if(.., |number, taken| {
                if taken.worker == queue.worker {
                    !held.iter().any(|id| self::number(id) == *number)
                } else {
                    leases
                        .get(&taken.worker)
                        .is_none_or(|lease| lease.end <= now)
                }
            })
            .collect();
        // The newest first, each to the front, so that the oldest ends up at the front.
        for (_, taken) in free.into_iter().rev() {
            self.waiting.push_front(taken.task_id);
        }
    }
}

impl MemoryQueue {
    fn take(&self) -> Result<Option<Claim>, QueueError> {
        let mut state = self.broker.state();
        state.keep_lease(self)?;
        state.reclaim(self);
        let Some(task_id) = state.waiting.pop_front() else {
            return Ok(None);
        };
        let number = state.n_taken;
        state.n_taken += 1;
        let taken = Taken {
            task_id: task_id.clone(),
            worker: self.worker.clone(),
        };
        state.taken.insert(number, taken);
        let unknown = Attempts::default();
        let attempts = state.attempts.get(&task_id).unwrap_or(&unknown);
        let deferred_at = attempts.deferred_at;
        Ok(Some(Claim {
            receipt: self
                .held
                .issue(&number.to_string(), &task_id, Instant::now()),
            deliveries: attempts.processes.len() as u32,
            deferrals: attempts.deferrals,
            deferred_for: deferred_at.map(|at| at.elapsed()).unwrap_or_default(),
            was_started: attempts.n_others_told.is_some(),
            metadata: state.metadata.get(&task_id).cloned().unwrap_or_default(),
            task_id,
            message: BTreeMap::new(),
            cancelled: false,
        }))
    }

    fn end(&self, claim: &Claim, event: Option<&Event>, ending: Ending) -> Result<(), QueueError> {
        let mut state = self.broker.state();
        if state.ended.contains(&number(claim.receipt.id())) {
            // Repeated. No process but this one has the receipt.
            return Ok(());
        }
        let number = state.check(self, claim)?;
        state.taken.remove(&number);
        state.ended.insert(number);
        state.events.extend(event.cloned());
        if ending == Ending::Completed {
            state.attempts.remove(&claim.task_id);
            return Ok(());
        }
        let attempts = state.attempts.entry(claim.task_id.clone()).or_default();
        let mut processes = std::mem::take(&mut attempts.processes);
        if ending == Ending::Failed {
            processes.remove(&self.nonce);
        }
        *attempts = Attempts {
            processes,
            ..Attempts::default()
        };
        Ok(())
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn join(&self) -> Result<(), QueueError> {
        // A dead holder's lease lapses within one lease; the half is a margin.
        let end = Instant::now() + self.lease + self.lease / 2;
        loop {
            let left = {
                let mut state = self.broker.state();
                match state.keep_lease(self) {
                    Ok(()) => return Ok(()),
                    Err(err) if Instant::now() >= end => return Err(err),
                    Err(_) => self.lease / 10,
                }
            };
            sleep(left).await;
        }
    }

    async fn claim(&self, max_wait: Duration) -> Result<Option<Claim>, QueueError> {
        if let Some(claim) = self.take()? {
            return Ok(Some(claim));
        }
        // A push between the take and the wait is not missed: `notify_one` keeps a permit for one waiter.
        // Half a lease at most, so that lapsed leases of others are found.
        let max_wait = max_wait.min(self.lease / 2);
        // After a timeout as well: the lease of a dead worker may have lapsed meanwhile.
        let _ = timeout(max_wait, self.broker.pushed.notified()).await;
        self.take()
    }

    async fn start(&self, claim: &Claim, started: &Event) -> Result<(), QueueError> {
        let mut state = self.broker.state();
        state.check(self, claim)?;
        let attempts = state.attempts.entry(claim.task_id.clone()).or_default();
        attempts.processes.insert(self.nonce);
        let n_others = Some(attempts.processes.len() - 1);
        if n_others > attempts.n_others_told {
            attempts.n_others_told = n_others;
            state.events.push(started.clone());
        }
        Ok(())
    }

    async fn finish(&self, claim: &Claim, ended: &Event, ending: Ending) -> Result<(), QueueError> {
        self.end(claim, Some(ended), ending)
    }

    async fn discard(&self, claim: &Claim) -> Result<(), QueueError> {
        self.end(claim, None, Ending::Completed)
    }

    async fn put_back(&self, claim: &Claim, place: PutBack) -> Result<(), QueueError> {
        let mut state = self.broker.state();
        let number = state.check(self, claim)?;
        state.taken.remove(&number);
        let task_id = claim.task_id.clone();
        let attempts = state.attempts.entry(task_id.clone()).or_default();
        attempts.processes.remove(&self.nonce);
        if let PutBack::Deferred { .. } = place {
            attempts.deferrals = claim.deferrals + 1;
            attempts.deferred_at.get_or_insert_with(Instant::now);
        }
        match place {
            // Behind all that wait, as in a list.
            PutBack::Deferred { delay } if !delay.is_zero() => state.waiting.push_back(task_id),
            _ => state.waiting.push_front(task_id),
        }
        self.broker.pushed.notify_one();
        Ok(())
    }

    async fn renew(&self) -> Result<Vec<String>, QueueError> {
        let mut state = self.broker.state();
        state.keep_lease(self)?;
        let is_lost = |id: &str| {
            let taken = state.taken.get(&number(id));
            taken.is_none_or(|taken| taken.worker != self.worker)
        };
        let held = self.held.holdings(self.lease);
        let lost = held.into_iter().filter(|holding| is_lost(&holding.id));
        Ok(lost.map(|holding| holding.receipt).collect())
    }

    async fn register(&self, _: &Record) -> Result<(), QueueError> {
        Ok(())
    }

    async fn leave(&self) -> Result<(), QueueError> {
        let mut state = self.broker.state();
        state.keep_lease(self)?;
        // Without a lease all of the worker's tasks count as those of a dead one: the next claim of any
        // worker takes them, and one that waits is woken for it.
        state.leases.remove(&self.worker);
        self.broker.pushed.notify_one();
        Ok(())
    }

    fn lease(&self) -> Duration {
        self.lease
    }
}

/// The number of the claim, which is the id of this queue's receipts.
fn number(receipt: &str) -> u64 {
    receipt.parse().unwrap_or(u64::MAX)
}
