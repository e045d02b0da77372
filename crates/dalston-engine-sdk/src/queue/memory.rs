//! A queue in memory: the contract without a server, for tests and for an engine on its own.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::held::Held;
use super::{Claim, Event, Queue, QueueError, Record};

/// The place where tasks wait; what Redis is to the other queues. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct MemoryBroker {
    state: Arc<Mutex<State>>,
    bell: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// Next in line first.
    waiting: VecDeque<String>,
    /// Which worker has which task; by a number, because a task may be queued twice.
    taken: BTreeMap<u64, Taken>,
    n_taken: u64,
    deliveries: HashMap<String, u32>,
    metadata: HashMap<String, BTreeMap<String, String>>,
    leases: HashMap<String, Lapsing>,
    events: Vec<Event>,
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
    /// Puts a task at the end of the line, with its hash.
    pub fn push(&self, task_id: &str, metadata: BTreeMap<String, String>) {
        let mut state = self.state();
        state.metadata.insert(task_id.to_owned(), metadata);
        state.waiting.push_back(task_id.to_owned());
        self.bell.notify_one();
    }

    /// A process that works under the id `worker`.
    pub fn connect(&self, worker: &str, lease: Duration) -> MemoryQueue {
        MemoryQueue {
            broker: self.clone(),
            worker: worker.to_owned(),
            nonce: fastrand::u64(..),
            lease,
            held: Held::default(),
        }
    }

    /// Everything that was published, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps the worker's lease, unless another process has the id.
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

    /// Checks that the worker has the task.
    fn check(&self, queue: &MemoryQueue, claim: &Claim) -> Result<u64, QueueError> {
        let lease = self.leases.get(&queue.worker);
        if lease.is_some_and(|held| held.holder != queue.nonce && held.end > Instant::now()) {
            return Err(QueueError::Superseded);
        }
        let number = number(claim.receipt.as_str());
        let taken = self.taken.get(&number).ok_or(QueueError::NotHeld)?;
        if taken.worker == queue.worker {
            Ok(number)
        } else {
            Err(QueueError::NotHeld)
        }
    }

    /// Puts back what nobody holds: the dead's tasks, and those of lost claims of `queue`.
    fn look_after(&mut self, queue: &MemoryQueue) {
        let now = Instant::now();
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
        // Newest first, each to the front, so that the oldest is next in line.
        for (_, taken) in free.into_iter().rev() {
            self.waiting.push_front(taken.task_id);
        }
    }
}

impl MemoryQueue {
    fn take(&self) -> Result<Option<Claim>, QueueError> {
        let mut state = self.broker.state();
        state.keep_lease(self)?;
        state.look_after(self);
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
        Ok(Some(Claim {
            receipt: self.held.take(&number.to_string()),
            deliveries: state.deliveries.get(&task_id).copied().unwrap_or(0),
            metadata: state.metadata.get(&task_id).cloned().unwrap_or_default(),
            task_id,
            message: BTreeMap::new(),
            cancelled: false,
        }))
    }

    fn end(&self, claim: &Claim, event: Option<&Event>) -> Result<(), QueueError> {
        let mut state = self.broker.state();
        let number = state.check(self, claim)?;
        state.taken.remove(&number);
        state.deliveries.remove(&claim.task_id);
        state.events.extend(event.cloned());
        Ok(())
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn join(&self) -> Result<(), QueueError> {
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

    async fn claim(&self, patience: Duration) -> Result<Option<Claim>, QueueError> {
        if let Some(claim) = self.take()? {
            return Ok(Some(claim));
        }
        let patience = patience.min(self.lease / 2);
        // Whether the bell rang or not: the lease of a dead worker may have lapsed.
        let _ = timeout(patience, self.broker.bell.notified()).await;
        self.take()
    }

    async fn start(&self, claim: &Claim, started: &Event) -> Result<(), QueueError> {
        let mut state = self.broker.state();
        state.check(self, claim)?;
        let deliveries = claim.deliveries + 1;
        state.deliveries.insert(claim.task_id.clone(), deliveries);
        state.events.push(started.clone());
        Ok(())
    }

    async fn finish(&self, claim: &Claim, ended: &Event) -> Result<(), QueueError> {
        self.end(claim, Some(ended))
    }

    async fn discard(&self, claim: &Claim) -> Result<(), QueueError> {
        self.end(claim, None)
    }

    async fn put_back(&self, claim: &Claim) -> Result<(), QueueError> {
        let mut state = self.broker.state();
        let number = state.check(self, claim)?;
        state.taken.remove(&number);
        state.waiting.push_front(claim.task_id.clone());
        let task_id = claim.task_id.clone();
        match claim.deliveries {
            0 => state.deliveries.remove(&task_id),
            n => state.deliveries.insert(task_id, n),
        };
        self.broker.bell.notify_one();
        Ok(())
    }

    async fn renew(&self) -> Result<Vec<String>, QueueError> {
        let mut state = self.broker.state();
        state.keep_lease(self)?;
        let is_lost = |id: &str| {
            let taken = state.taken.get(&number(id));
            taken.is_none_or(|taken| taken.worker != self.worker)
        };
        let held = self.held.ids();
        Ok(held
            .iter()
            .filter(|id| is_lost(id))
            .map(|id| id.to_string())
            .collect())
    }

    async fn register(&self, _: &Record) -> Result<(), QueueError> {
        Ok(())
    }

    async fn leave(&self) -> Result<(), QueueError> {
        let mut state = self.broker.state();
        state.keep_lease(self)?;
        state.leases.remove(&self.worker);
        self.broker.bell.notify_one();
        Ok(())
    }

    fn lease(&self) -> Duration {
        self.lease
    }
}

/// A receipt of this queue is the number of the taking.
fn number(receipt: &str) -> u64 {
    receipt.parse().unwrap_or(u64::MAX)
}
