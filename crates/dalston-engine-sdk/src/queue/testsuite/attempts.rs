//! The record of a task's attempts: what a claim tells of earlier ones, and when a start is told.

use std::time::Duration;

use super::{Backend, LEASE, NOW, claim, event, finish, join, start};
use crate::queue::{Claim, Ending, PutBack};

/// A task that ends its workers is recognised by the number of processes that began and did not end it.
pub async fn processes_that_died_over_a_task_count_until_it_is_completed(backend: &dyn Backend) {
    backend.push("one").await;
    for deliveries in 0..3 {
        let one = begin_and_die(backend, &format!("victim-{deliveries}")).await;
        assert_eq!(one.deliveries, deliveries);
    }
    let worker = join(backend, "last").await;
    let one = claim(&*worker).await;
    assert_eq!(one.deliveries, 3);
    finish(&*worker, &one).await.unwrap();
    backend.push("one").await;
    let again = claim(&*worker).await;
    assert_eq!((again.deliveries, again.was_started), (0, false));
}

/// A report that is repeated and a claim that was dropped end no process.
pub async fn a_process_that_begins_twice_counts_once(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    backend.push("one").await;
    for deliveries in [0, 1, 1] {
        let one = claim(&*worker).await;
        assert_eq!(one.deliveries, deliveries);
        start(&*worker, &one).await;
        start(&*worker, &one).await;
    }
    assert_eq!(claim(&*worker).await.deliveries, 1);
}

/// `task.started` is told once, not once for every try, unless a process died meanwhile.
pub async fn a_start_is_told_again_only_after_a_death(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    backend.push("one").await;
    for n in 0..3 {
        let one = claim(&*worker).await;
        assert_eq!(one.was_started, n > 0);
        start(&*worker, &one).await;
        start(&*worker, &one).await;
        worker.put_back(&one, PutBack::Untouched).await.unwrap();
    }
    assert_eq!(backend.events().await, ["started one"]);
    worker.leave().await.unwrap();
    begin_and_die(backend, "victim").await;
    assert_eq!(backend.events().await, ["started one"]);

    let other = join(backend, "b").await;
    for _ in 0..2 {
        let one = claim(&*other).await;
        start(&*other, &one).await;
        start(&*other, &one).await;
    }
    assert_eq!(backend.events().await, ["started one"; 2]);
    let one = claim(&*other).await;
    finish(&*other, &one).await.unwrap();
    backend.push("one").await;
    let one = claim(&*other).await;
    start(&*other, &one).await;
    let expected = ["started one", "started one", "completed one", "started one"];
    assert_eq!(backend.events().await, expected);
}

/// The orchestrator queues a failed task again under its id: what the earlier attempts cost is not forgotten.
pub async fn a_failed_end_keeps_the_processes_that_died(backend: &dyn Backend) {
    backend.push("one").await;
    begin_and_die(backend, "victim-1").await;
    begin_and_die(backend, "victim-2").await;
    let worker = join(backend, "a").await;
    for deferrals in 0..2 {
        let one = claim(&*worker).await;
        assert_eq!((one.deliveries, one.deferrals), (2, deferrals));
        start(&*worker, &one).await;
        let deferred = PutBack::Deferred { delay: NOW };
        worker.put_back(&one, deferred).await.unwrap();
    }
    // This process is no victim of the task.
    let one = claim(&*worker).await;
    start(&*worker, &one).await;
    let failed = event("failed", "one");
    worker.finish(&one, &failed, Ending::Failed).await.unwrap();
    drop(one);
    backend.push("one").await;
    let one = claim(&*worker).await;
    assert_eq!(one.deliveries, 2);
    assert_eq!((one.was_started, one.deferrals), (false, 0));

    // This process is: it ends as well.
    start(&*worker, &one).await;
    worker.finish(&one, &failed, Ending::Fatal).await.unwrap();
    drop(one);
    backend.push("one").await;
    assert_eq!(claim(&*worker).await.deliveries, 3);
}

/// A task whose object the store refuses does not keep a worker from all others.
pub async fn a_deferred_task_lets_others_go_first(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    for task in ["one", "two", "three"] {
        backend.push(task).await;
    }
    let one = claim(&*worker).await;
    let at_once = PutBack::Deferred { delay: NOW };
    worker.put_back(&one, at_once).await.unwrap();
    drop(one);
    let one = claim(&*worker).await;
    assert_eq!((one.task_id.as_str(), one.deferrals), ("one", 1));
    let later = PutBack::Deferred { delay: LEASE / 2 };
    worker.put_back(&one, later).await.unwrap();
    drop(one);
    for task in ["two", "three"] {
        let next = claim(&*worker).await;
        assert_eq!((next.task_id.as_str(), next.deferrals), (task, 0));
        finish(&*worker, &next).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let one = claim(&*worker).await;
    assert_eq!((one.task_id.as_str(), one.deferrals), ("one", 2));
    let since = one.deferred_for;
    assert!(since >= Duration::from_millis(20), "{since:?}");
    assert!(since < LEASE * 3, "{since:?}");
}

/// Two entries of one task are two claims, and neither takes the other's place.
pub async fn a_task_that_is_queued_twice_ends_twice(backend: &dyn Backend) {
    let worker = join(backend, "a").await;
    backend.push("one").await;
    backend.push("one").await;
    let (first, second) = (claim(&*worker).await, claim(&*worker).await);
    assert_ne!(first.receipt.as_str(), second.receipt.as_str());
    assert!(worker.claim(NOW).await.unwrap().is_none());
    start(&*worker, &first).await;
    start(&*worker, &second).await;
    for end in [&first, &first, &second, &second] {
        finish(&*worker, end).await.unwrap();
    }
    let events = backend.events().await;
    assert_eq!(events[events.len() - 2..], ["completed one"; 2]);
    assert_eq!(events.len(), 3);
    drop((first, second));
    assert!(worker.claim(NOW).await.unwrap().is_none());
}

/// A worker that begins the task and then dies; without its leave the next would have to wait for its lease.
async fn begin_and_die(backend: &dyn Backend, worker: &str) -> Claim {
    let victim = join(backend, worker).await;
    let one = claim(&*victim).await;
    start(&*victim, &one).await;
    victim.leave().await.unwrap();
    one
}
