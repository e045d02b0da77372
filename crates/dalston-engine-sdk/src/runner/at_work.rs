//! The contexts of the tasks that the engine has, by what the queue knows them by.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::{StopReason, TaskContext};

/// Contexts by receipt.
#[derive(Debug, Default)]
pub(super) struct AtWork(Mutex<HashMap<String, TaskContext>>);

/// Keeps a context in [`AtWork`] for as long as it lives.
pub(super) struct Entry<'a> {
    at_work: &'a AtWork,
    receipt: &'a str,
    context: TaskContext,
}

impl AtWork {
    /// Lists a context until the entry is dropped; the task is told to stop then, because nobody waits
    /// for its result any more.
    pub(super) fn enter<'a>(&'a self, receipt: &'a str, context: TaskContext) -> Entry<'a> {
        self.contexts().insert(receipt.to_owned(), context.clone());
        Entry {
            at_work: self,
            receipt,
            context,
        }
    }

    /// Tells a task to stop; nothing happens if it is not at work.
    pub(super) fn stop(&self, receipt: &str, reason: StopReason) {
        if let Some(context) = self.contexts().get(receipt) {
            context.stop(reason);
        }
    }

    fn contexts(&self) -> MutexGuard<'_, HashMap<String, TaskContext>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.context.stop(StopReason::Shutdown);
        self.at_work.contexts().remove(self.receipt);
    }
}
