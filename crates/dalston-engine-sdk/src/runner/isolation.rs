//! Keeps a task that may have ended its worker apart from all others.

use tokio::sync::{Mutex, MutexGuard, watch};

/// Lets a suspect task work only alone, and no task begin beside it.
///
/// A task is suspect if work on it has begun before: it may have ended that worker. No claimed task waits
/// here for others to end, because another worker may be free for it: a task either gets a [`Permit`] at
/// once, or the caller puts it back.
#[derive(Debug, Default)]
pub(super) struct Isolation {
    work: watch::Sender<Work>,
    /// Held from before a claim until the claimed task has its permit. So no second slot claims a task in the
    /// moment in which a suspect one begins.
    turn: Mutex<()>,
}

/// What works now.
#[derive(Debug, Default)]
struct Work {
    n_tasks: usize,
    /// Whether the only task is suspect.
    is_suspect: bool,
}

/// Allows a task to work until it is dropped.
#[derive(Debug)]
pub(super) struct Permit<'a>(&'a Isolation);

impl Isolation {
    /// Waits until this caller may claim a task: until no other caller has the turn, and no suspect task
    /// works.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        let turn = self.turn.lock().await;
        self.wait_for(|work| !work.is_suspect).await;
        turn
    }

    /// Permits a task to work. `None` if a suspect task works, or if the task is suspect and others work.
    pub(super) fn permit(&self, is_suspect: bool) -> Option<Permit<'_>> {
        let may_work = |work: &Work| !work.is_suspect && (!is_suspect || work.n_tasks == 0);
        let permitted = self.work.send_if_modified(|work| {
            let may_work = may_work(work);
            if may_work {
                work.n_tasks += 1;
                work.is_suspect = is_suspect;
            }
            may_work
        });
        permitted.then(|| Permit(self))
    }

    /// Waits until no task works.
    pub(super) async fn idle(&self) {
        self.wait_for(|work| work.n_tasks == 0).await;
    }

    async fn wait_for(&self, condition: impl FnMut(&Work) -> bool) {
        let mut work = self.work.subscribe();
        let waited = work.wait_for(condition).await;
        waited.expect("`self` has the sender");
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.work.send_modify(|work| {
            work.n_tasks -= 1;
            // A suspect task was the only one.
            work.is_suspect = false;
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_suspect_task_works_only_alone_and_nothing_begins_beside_it() {
        let isolation = Isolation::default();
        let first = isolation.permit(false).expect("nothing works");
        let second = isolation.permit(false).expect("both are new");
        assert!(isolation.permit(true).is_none());
        assert!(isolation.idle().now_or_never().is_none());
        drop((first, second));
        assert!(isolation.idle().now_or_never().is_some());

        let alone = isolation.permit(true).expect("nothing works");
        assert!(isolation.permit(true).is_none());
        assert!(isolation.permit(false).is_none());
        assert!(isolation.turn().now_or_never().is_none(), "nobody claims");
        drop(alone);
        assert!(isolation.turn().now_or_never().is_some());
    }
}
