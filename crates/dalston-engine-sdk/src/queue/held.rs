//! The tasks that this process holds: those whose [`Claim`](super::Claim) is alive.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The id by which a queue knows a claimed task.
///
/// The claim owns the receipt, and the queue only watches it. So a claim that is dropped, for example by a
/// panic, is a task that is no longer held, and no code has to say so.
#[derive(Clone, Debug, Default)]
pub struct Receipt(Arc<str>);

impl Receipt {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The receipts of live claims. A task that the server lists for this worker, but that is not held here,
/// comes again with the next call of `claim`.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Vec<Weak<str>>>);

impl Held {
    /// Makes a receipt that counts as held until it is dropped.
    pub(super) fn issue(&self, id: &str) -> Receipt {
        let receipt = Arc::from(id);
        // The lists are short, and a panic cannot leave them half changed: poison is ignored.
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Dead entries are removed here and not when a claim is dropped, so that a drop needs no lock.
        watched.retain(|one| one.strong_count() > 0);
        watched.push(Arc::downgrade(&receipt));
        Receipt(receipt)
    }

    /// The ids that are held now.
    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_receipt_is_not_held() {
        let held = Held::default();
        let kept = held.issue("a");
        drop(held.issue("b"));
        assert_eq!(held.ids(), [Arc::from("a")]);
        drop(kept);
        assert!(held.ids().is_empty());
    }
}
