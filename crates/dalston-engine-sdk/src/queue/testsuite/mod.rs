//! The contract of every [`Queue`], as tests that run on the queue in memory and on Redis.
//!
//! [`queue_contract!`](crate::queue_contract) makes one test of each function below. A [`Backend`] adds tasks
//! and reads events.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attempts;
mod random_walk;
mod redis_backend;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use super::{Claim, Ending, Event, PutBack, Queue, QueueError};

pub use attempts::*;
pub use random_walk::random_walk;
pub use redis_backend::RedisBackend;

/// The other side of a queue: what the orchestrator does, and a way to start workers. New for every test.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Connects a process that works under the id `worker`.
    fn connect(&self, worker: &str) -> Arc<dyn Queue>;

    /// Adds a task to the queue.
    async fn push(&self, task_id: &str);

    /// The messages published so far about the backend's tasks, oldest first.
    async fn events(&self) -> Vec<String>;
}

/// Makes one test of each promise of the contract. The argument is an async function that makes a
/// [`Backend`] from the test's name; it returns `None` to skip the test.
#[macro_export]
macro_rules! queue_contract {
    (@each $backend:path, $settings:tt, $($claim:ident)*) => {
        $(
            #[tokio::test $settings]
            async fn $claim() {
                if let Some(backend) = $backend(stringify!($claim)).await {
                    $crate::queue::testsuite::$claim(&backend).await;
                }
            }
        )*
    };
    ($backend:path $(, $setting:ident = $value:tt)*) => {
        $crate::queue_contract! {
            @each $backend, ($($setting = $value),*),
            tasks_come_oldest_first
            a_task_ends_once
            a_discarded_task_ends_without_a_word
            a_dead_workers_task_waits_for_its_lease_and_no_longer
            a_worker_that_was_silent_too_long_publishes_nothing
            renewing_keeps_a_task_for_longer_than_a_lease
            a_dropped_claim_comes_again
            a_restarted_worker_gets_its_task_back
            a_twin_is_refused
            processes_that_died_over_a_task_count_until_it_is_completed
            a_process_that_begins_twice_counts_once
            a_start_is_told_again_only_after_a_death
            a_failed_end_keeps_the_processes_that_died
            a_deferred_task_lets_others_go_first
            a_task_that_is_queued_twice_ends_twice
            a_task_put_back_is_next_in_line_with_its_count_as_before
            a_worker_that_leaves_frees_its_tasks_at_once
            an_abandoned_wait_loses_no_task
            a_task_wakes_a_waiting_worker
        }
    };
}

/// The lease that backends give their workers: short, but much longer than a call takes.
pub const LEASE: Duration = Duration::from_secs(1);

/// A claim that does not wait.
const NOW: Duration = Duration::ZERO;

/// The queue is first in, first out.
pub async fn tasks_come_oldest_first(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    for task in ["one", "two", "three"] {
        backend.push(task).await;
    }
    for task in ["one", "two", "three"] {
        let claim = claim(&*worker).await;
        assert_eq!((claim.task_id.as_str(), claim.deliveries), (task, 0));
        finish(&*worker, &claim).await.unwrap();
    }
    assert!(worker.claim(NOW).await.unwrap().is_none());
}

/// The end is published once, however often a worker reports it: the answer to a report may get lost.
pub async fn a_task_ends_once(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    backend.push("one").await;
    let one = claim(&*worker).await;
    start(&*worker, &one).await;
    finish(&*worker, &one).await.unwrap();
    finish(&*worker, &one).await.unwrap();
    worker.discard(&one).await.unwrap();
    assert_eq!(backend.events().await, ["started one", "completed one"]);
}

/// The task of a cancelled job ends without an event.
pub async fn a_discarded_task_ends_without_a_word(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    backend.push("one").await;
    let one = claim(&*worker).await;
    worker.discard(&one).await.unwrap();
    drop(one);
    assert!(worker.claim(NOW).await.unwrap().is_none());
    assert!(backend.events().await.is_empty());
}

/// A dead worker's task can be claimed after one lease, and not before.
pub async fn a_dead_workers_task_waits_for_its_lease_and_no_longer(backend: &dyn Backend) {
    let dead = join(backend, "dead").await;
    backend.push("one").await;
    let last_seen = Instant::now();
    let one = claim(&*dead).await;
    start(&*dead, &one).await;
    drop((dead, one));
    let alive = join(backend, "alive").await;
    let claim = claim(&*alive).await;
    let waited = last_seen.elapsed();
    assert_eq!((claim.task_id.as_str(), claim.deliveries), ("one", 1));
    assert!(waited >= LEASE, "stolen after {waited:?}");
    assert!(waited <= LEASE * 3, "found only after {waited:?}");
}

/// A worker that was suspended for longer than its lease learns that another worker holds the task.
pub async fn a_worker_that_was_silent_too_long_publishes_nothing(backend: &dyn Backend) {
    let silent = join(backend, "silent").await;
    backend.push("one").await;
    let late = claim(&*silent).await;
    sleep(LEASE * 2).await;
    let other = join(backend, "other").await;
    let taken = claim(&*other).await;

    assert_eq!(
        silent.renew().await.unwrap().len(),
        1,
        "renew reports the loss"
    );
    let end = finish(&*silent, &late).await;
    assert!(matches!(end, Err(QueueError::NotHeld)), "{end:?}");
    let back = silent.put_back(&late, PutBack::Untouched).await;
    assert!(matches!(back, Err(QueueError::NotHeld)), "{back:?}");
    let begin = silent.start(&late, &event("started", "one")).await;
    assert!(matches!(begin, Err(QueueError::NotHeld)), "{begin:?}");
    assert!(backend.events().await.is_empty());

    finish(&*other, &taken).await.unwrap();
    // Nobody holds the task any more, but it has ended.
    let end = finish(&*silent, &late).await;
    assert!(matches!(end, Err(QueueError::NotHeld)), "{end:?}");
    assert_eq!(silent.renew().await.unwrap().len(), 1);
    assert_eq!(backend.events().await, ["completed one"]);
}

/// A task may take any time as long as its worker renews the lease.
pub async fn renewing_keeps_a_task_for_longer_than_a_lease(backend: &dyn Backend) {
    let busy = join(backend, "busy").await;
    let idle = join(backend, "idle").await;
    backend.push("one").await;
    let one = claim(&*busy).await;
    for _ in 0..8 {
        sleep(LEASE / 3).await;
        assert!(busy.renew().await.unwrap().is_empty());
        idle.renew().await.unwrap();
        assert!(idle.claim(NOW).await.unwrap().is_none());
    }
    finish(&*busy, &one).await.unwrap();
}

/// A task whose claim was dropped, for example by a panic, can be claimed again.
pub async fn a_dropped_claim_comes_again(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    backend.push("one").await;
    backend.push("two").await;
    drop(claim(&*worker).await);
    let one = claim(&*worker).await;
    let two = claim(&*worker).await;
    assert_eq!((one.task_id.as_str(), two.task_id.as_str()), ("one", "two"));
}

/// Another process with the same worker id gets the task at once.
pub async fn a_restarted_worker_gets_its_task_back(backend: &dyn Backend) {
    let before = join(backend, "a").await;
    backend.push("one").await;
    let lost = claim(&*before).await;
    let after = join(backend, "a").await;
    let one = claim(&*after).await;
    assert_eq!(one.task_id, "one");
    // The first process was only suspended. It must stop.
    let end = finish(&*before, &lost).await;
    assert!(matches!(end, Err(QueueError::Superseded)), "{end:?}");
    let renewed = before.renew().await;
    assert!(
        matches!(renewed, Err(QueueError::Superseded)),
        "{renewed:?}"
    );
    assert!(backend.events().await.is_empty());
    finish(&*after, &one).await.unwrap();
}

/// Each of two processes with one id would take the other's tasks for its own.
pub async fn a_twin_is_refused(backend: &dyn Backend) {
    let first = join(backend, "a").await;
    let twin = backend.connect("a");
    let heartbeats = async {
        loop {
            sleep(LEASE / 3).await;
            first.renew().await.unwrap();
        }
    };
    let refused = tokio::select! {
        joined = twin.join() => joined,
        () = heartbeats => unreachable!("heartbeats go on for ever"),
    };
    assert!(
        matches!(refused, Err(QueueError::Superseded)),
        "{refused:?}"
    );
    assert!(first.renew().await.unwrap().is_empty());
}

/// A worker that stops in good order does not raise the task's count.
pub async fn a_task_put_back_is_next_in_line_with_its_count_as_before(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    backend.push("one").await;
    backend.push("two").await;
    let one = claim(&*worker).await;
    start(&*worker, &one).await;
    worker.put_back(&one, PutBack::Untouched).await.unwrap();
    drop(one);
    let other = join(backend, "b").await;
    let one = claim(&*other).await;
    assert_eq!((one.task_id.as_str(), one.deliveries), ("one", 0));
    assert_eq!((one.deferrals, one.deferred_for), (0, NOW));
}

/// Another worker need not wait for the lease to lapse.
pub async fn a_worker_that_leaves_frees_its_tasks_at_once(backend: &dyn Backend) {
    let leaving = join(backend, "leaving").await;
    backend.push("one").await;
    let one = claim(&*leaving).await;
    leaving.leave().await.unwrap();
    drop(one);
    let other = join(backend, "other").await;
    let found = other.claim(NOW).await.unwrap();
    assert_eq!(found.map(|claim| claim.task_id).as_deref(), Some("one"));
    // The worker id is free as well.
    timeout(LEASE / 3, backend.connect("leaving").join())
        .await
        .unwrap()
        .unwrap();
}

/// The future of a claim may be dropped at any moment, for example by a shutdown.
pub async fn an_abandoned_wait_loses_no_task(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    for n in 0..20 {
        let task = format!("task-{n}");
        let wait = Duration::from_micros(300 * n);
        let (_, got) = tokio::join!(
            async {
                sleep(wait / 2).await;
                backend.push(&task).await;
            },
            timeout(wait, worker.claim(LEASE)),
        );
        // The task comes in time or with a later claim.
        let found = match got {
            Ok(Ok(Some(claim))) => claim,
            _ => claim(&*worker).await,
        };
        assert_eq!(found.task_id, task);
        finish(&*worker, &found).await.unwrap();
    }
}

/// A waiting worker is woken and does not poll.
pub async fn a_task_wakes_a_waiting_worker(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    let (pushed, claimed) = tokio::join!(
        async {
            sleep(LEASE / 12).await;
            backend.push("one").await;
            Instant::now()
        },
        async {
            let claim = worker.claim(LEASE / 2).await.unwrap();
            (claim.map(|claim| claim.task_id), Instant::now())
        },
    );
    assert_eq!(claimed.0.as_deref(), Some("one"));
    let late = claimed.1.duration_since(pushed);
    assert!(late < LEASE / 4, "{late:?} after it was queued");
}

async fn join(backend: &dyn Backend, worker: &str) -> Arc<dyn Queue> {
    let queue = backend.connect(worker);
    queue.join().await.unwrap();
    queue
}

/// Claims a task, which must come within a few leases.
async fn claim(queue: &dyn Queue) -> Claim {
    let end = Instant::now() + LEASE * 5;
    while Instant::now() < end {
        if let Some(claim) = queue.claim(LEASE / 10).await.unwrap() {
            return claim;
        }
    }
    panic!("no task came in time");
}

async fn start(queue: &dyn Queue, claim: &Claim) {
    let started = event("started", &claim.task_id);
    queue.start(claim, &started).await.unwrap();
}

async fn finish(queue: &dyn Queue, claim: &Claim) -> Result<(), QueueError> {
    let completed = event("completed", &claim.task_id);
    queue.finish(claim, &completed, Ending::Completed).await
}

fn event(what: &str, task_id: &str) -> Event {
    let message = format!("{what} {task_id}");
    Event {
        fields: vec![("payload".to_owned(), message.clone())],
        message,
    }
}
