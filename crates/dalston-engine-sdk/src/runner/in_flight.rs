//! The contexts of the tasks that the engine holds, by their receipts.
//!
//! The heartbeat uses them to stop a task whose lease another worker has taken.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::{StopReason, TaskContext};

/// Contexts by receipt.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<String, TaskContext>>);

/// Keeps one context in [`InFlight`] until it is dropped.
pub(super) struct Entry<'a> {
    in_flight: &'a InFlight,
    receipt: &'a str,
    context: TaskContext,
}

impl InFlight {
    /// Lists a context until the entry is dropped.
    ///
    /// The drop also stops the task. After a normal end that changes nothing; if the slot was dropped
    /// while the engine still works, nobody awaits the result any more, and the engine can stop early.
    pub(super) fn enter<'a>(&'a self, receipt: &'a str, context: TaskContext) -> Entry<'a> {
        self.contexts().insert(receipt.to_owned(), context.clone());
        Entry {
            in_flight: self,
            receipt,
            context,
        }
    }

    /// Tells a task to stop. Does nothing if the task is not listed: the engine does not hold it yet, or
    /// not any more.
    pub(super) fn stop(&self, receipt: &str, reason: StopReason) {
        if let Some(context) = self.contexts().get(receipt) {
            context.stop(reason);
        }
    }

    /// A panic under the lock leaves the map as it was before or after one insertion or removal, so a
    /// poisoned lock is as good as any other.
    fn contexts(&self) -> MutexGuard<'_, HashMap<String, TaskContext>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.context.stop(StopReason::Shutdown);
        self.in_flight.contexts().remove(self.receipt);
    }
}
