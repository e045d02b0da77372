//! The contexts of the tasks that the runner has passed to the engine, by their receipts.
//!
//! The heartbeat uses them to stop a task whose lease another worker has taken, and the watchdog to see whether
//! the engine makes progress.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::engine::{Place, StopReason, TaskContext};

/// Contexts by receipt.
///
/// Not every task in flight has a context here: a task gets its entry when the runner passes it to the
/// engine, and loses the entry when its result is stored or its work ends otherwise.
#[derive(Debug, Default)]
pub(super) struct TaskContexts(Mutex<HashMap<String, TaskContext>>);

/// A task that the engine holds.
#[derive(Debug)]
pub(super) struct HeldTask {
    pub(super) receipt: String,
    /// When the engine took the task.
    pub(super) since: Instant,
    pub(super) context: TaskContext,
}

/// Keeps one context in [`TaskContexts`] until it is dropped.
pub(super) struct Entry<'a> {
    contexts: &'a TaskContexts,
    receipt: &'a str,
    context: TaskContext,
}

impl TaskContexts {
    /// Lists a context until the entry is dropped.
    ///
    /// The drop also stops the task. After a normal end that changes nothing; if the slot was dropped
    /// while the engine still works, nobody awaits the result any more, and the engine can stop early.
    pub(super) fn enter<'a>(&'a self, receipt: &'a str, context: TaskContext) -> Entry<'a> {
        self.by_receipt()
            .insert(receipt.to_owned(), context.clone());
        Entry {
            contexts: self,
            receipt,
            context,
        }
    }

    /// Stops a task. Does nothing if the task is not listed: the runner has not passed it to the
    /// engine yet, or its work has ended.
    pub(super) fn stop(&self, receipt: &str, reason: StopReason) {
        if let Some(context) = self.by_receipt().get(receipt) {
            context.stop(reason);
        }
    }

    /// The tasks that the engine holds now.
    pub(super) fn held(&self) -> Vec<HeldTask> {
        let contexts = self.by_receipt();
        let held = contexts
            .iter()
            .filter_map(|(receipt, context)| match context.place() {
                Place::Held(since) => Some(HeldTask {
                    receipt: receipt.clone(),
                    since,
                    context: context.clone(),
                }),
                _ => None,
            });
        let mut held: Vec<_> = held.collect();
        // A map has no order of its own, and the watchdog compares two looks.
        held.sort_by(|a, b| a.receipt.cmp(&b.receipt));
        held
    }

    /// A panic under the lock leaves the map as it was before or after one insertion or removal, so a
    /// poisoned lock is as good as any other.
    fn by_receipt(&self) -> MutexGuard<'_, HashMap<String, TaskContext>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.context.stop(StopReason::Shutdown);
        self.contexts.by_receipt().remove(self.receipt);
    }
}
