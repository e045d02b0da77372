//! The tasks that this process holds: those whose [`Claim`](super::Claim) is alive.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// The mark of one claim, which no other claim of this process has.
///
/// The claim owns the receipt, and the queue only watches it. So a claim that is dropped, for example by a
/// panic, is a task that is no longer held, and no code has to say so.
#[derive(Clone, Debug, Default)]
pub struct Receipt(Arc<Hold>);

#[derive(Debug, Default)]
struct Hold {
    /// The id by which the queue knows the task: that of an entry, or the task's own.
    id: String,
    task_id: String,
    /// The number of the claim. One task may be queued and held twice.
    number: u64,
    /// The id and the number.
    text: String,
    /// When the lease of this claim was last known to be renewed; `None` once it may have lapsed.
    renewed_at: Mutex<Option<Instant>>,
}

impl Receipt {
    /// A text that tells the claim from every other of this process.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The id by which the queue knows the task.
    pub(super) fn id(&self) -> &str {
        &self.0.id
    }

    /// The number of the claim.
    pub(super) fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether the lease has not lapsed since the claim, by this process's clock alone. The answer needs no
    /// server, so it holds although a server has lost its memory.
    pub(super) fn is_kept(&self, lease: Duration) -> bool {
        self.0.is_kept(lease)
    }
}

impl Hold {
    fn is_kept(&self, lease: Duration) -> bool {
        let renewed_at = self.renewed_at.lock();
        let renewed_at = renewed_at.unwrap_or_else(PoisonError::into_inner);
        renewed_at.is_some_and(|at| at.elapsed() < lease)
    }
}

/// The receipts of live claims. A task that the server lists for this worker, but that is not held here,
/// comes again with the next call of `claim`.
#[derive(Debug, Default)]
pub(super) struct Held {
    watched: Mutex<Vec<Weak<Hold>>>,
    n_issued: AtomicU64,
}

/// A claim that is held, as a heartbeat sees it.
///
/// It keeps no claim alive: a claim that is dropped while a heartbeat waits for its answer is not held.
#[derive(Debug)]
pub(super) struct Holding {
    /// The id by which the queue knows the task.
    pub(super) id: String,
    pub(super) task_id: String,
    /// The text of the receipt.
    pub(super) receipt: String,
    /// See [`Receipt::is_kept`].
    pub(super) is_kept: bool,
    hold: Weak<Hold>,
}

impl Held {
    /// Makes a receipt that counts as held until it is dropped. `asked_at` is when the server was asked for
    /// the task: the lease of the claim begins later than that.
    pub(super) fn issue(&self, id: &str, task_id: &str, asked_at: Instant) -> Receipt {
        let number = self.n_issued.fetch_add(1, Ordering::Relaxed);
        let hold = Arc::new(Hold {
            id: id.to_owned(),
            task_id: task_id.to_owned(),
            number,
            text: format!("{id}/{number}"),
            renewed_at: Mutex::new(Some(asked_at)),
        });
        // The lists are short, and a panic cannot leave them half changed: poison is ignored.
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Dead entries are removed here and not when a claim is dropped, so that a drop needs no lock.
        watched.retain(|one| one.strong_count() > 0);
        watched.push(Arc::downgrade(&hold));
        Receipt(hold)
    }

    /// The ids of the tasks that are held now; an id comes twice if two claims hold it.
    pub(super) fn ids(&self) -> Vec<String> {
        self.map(|hold, _| hold.id.clone())
    }

    /// The claims that are held now.
    pub(super) fn holdings(&self, lease: Duration) -> Vec<Holding> {
        self.map(|hold, watched| Holding {
            id: hold.id.clone(),
            task_id: hold.task_id.clone(),
            receipt: hold.text.clone(),
            is_kept: hold.is_kept(lease),
            hold: Weak::clone(watched),
        })
    }

    fn map<T>(&self, make: impl Fn(&Hold, &Weak<Hold>) -> T) -> Vec<T> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = watched
            .iter()
            .filter_map(|one| Some(make(&*one.upgrade()?, one)));
        alive.collect()
    }
}

impl Holding {
    /// Records that the server has renewed the lease of this claim; `asked_at` is when it was asked.
    pub(super) fn renewed(&self, asked_at: Instant, lease: Duration) {
        let Some(hold) = self.hold.upgrade() else {
            return;
        };
        let renewed_at = hold.renewed_at.lock();
        let mut renewed_at = renewed_at.unwrap_or_else(PoisonError::into_inner);
        // The server has seen both renewals in the time from the last call until now, so if that is less
        // than a lease, the lease has not lapsed between them.
        *renewed_at = renewed_at
            .filter(|at| at.elapsed() < lease)
            .map(|_| asked_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn a_dropped_receipt_is_not_held() {
        let held = Held::default();
        let kept = held.issue("1-0", "a", Instant::now());
        drop(held.issue("2-0", "b", Instant::now()));
        assert_eq!(held.ids(), ["1-0"]);
        drop(kept);
        assert!(held.ids().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn two_claims_of_one_task_have_two_receipts() {
        let held = Held::default();
        let (one, two) = (
            held.issue("1-0", "a", Instant::now()),
            held.issue("1-0", "a", Instant::now()),
        );
        assert_eq!(held.ids(), ["1-0", "1-0"]);
        assert_ne!(one.as_str(), two.as_str());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_lapsed_once_is_not_kept_any_more() {
        let held = Held::default();
        let receipt = held.issue("1-0", "a", Instant::now());
        for _ in 0..5 {
            tokio::time::advance(LEASE / 2).await;
            let asked_at = Instant::now();
            for one in held.holdings(LEASE) {
                one.renewed(asked_at, LEASE);
            }
            assert!(receipt.is_kept(LEASE));
        }
        tokio::time::advance(LEASE).await;
        assert!(!receipt.is_kept(LEASE));
        for one in held.holdings(LEASE) {
            one.renewed(Instant::now(), LEASE);
        }
        assert!(!receipt.is_kept(LEASE), "a late renewal changes nothing");
    }
}
