//! A task's end is told once: when a right is missing, when the server forgets, when a report is repeated.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use dalston_engine_sdk::queue::testsuite::{Backend as _, LEASE};
use dalston_engine_sdk::queue::{Claim, Ending, Event, PutBack, Queue, QueueError};
use redis::Commands as _;

use crate::queue_contract::{Served, list, next, stream};

fn event(what: &str, claim: &Claim) -> Event {
    let message = format!("{what} {}", claim.task_id);
    Event {
        fields: vec![("payload".to_owned(), message.clone())],
        message,
    }
}

async fn start(worker: &dyn Queue, claim: &Claim) -> Result<(), QueueError> {
    worker.start(claim, &event("started", claim)).await
}

async fn finish(worker: &dyn Queue, claim: &Claim) -> Result<(), QueueError> {
    let completed = event("completed", claim);
    worker.finish(claim, &completed, Ending::Completed).await
}

fn flush(backend: &Served) {
    let done = redis::cmd("FLUSHALL").exec(&mut backend.server.connect());
    done.expect("the server answers");
}

#[tokio::test]
async fn a_stream_tells_once_although_the_channel_is_forbidden() {
    let backend = stream("mute").await.unwrap();
    let worker = backend.joined("a").await;
    backend.push("one").await;
    let one = next(&*worker).await;
    backend.allow("-publish");
    for _ in 0..2 {
        start(&*worker, &one).await.unwrap();
    }
    for _ in 0..2 {
        finish(&*worker, &one).await.unwrap();
    }
    backend.allow("+publish");
    finish(&*worker, &one).await.unwrap();
    assert_eq!(backend.events().await, ["started one", "completed one"]);
}

#[tokio::test]
async fn a_list_keeps_a_task_whose_end_may_not_be_told() {
    let backend = list("mute").await.unwrap();
    let worker = backend.joined("a").await;
    backend.push("one").await;
    let one = next(&*worker).await;
    backend.allow("-publish");
    let refused = start(&*worker, &one).await;
    assert!(matches!(refused, Err(QueueError::Unavailable { .. })));
    backend.allow("+publish");
    start(&*worker, &one).await.unwrap();
    backend.allow("-publish");
    for _ in 0..2 {
        let refused = finish(&*worker, &one).await;
        assert!(matches!(refused, Err(QueueError::Unavailable { .. })));
        assert!(worker.renew().await.unwrap().is_empty(), "it is still held");
    }
    backend.allow("+publish");
    for _ in 0..2 {
        finish(&*worker, &one).await.unwrap();
    }
    assert_eq!(backend.events().await, ["started one", "completed one"]);
    drop(one);
    let mut server = backend.server.connect();
    let unheard: usize = server.zadd("dalston:unheard:mute", "an end", 1e15).unwrap();
    backend.allow("-publish");
    assert!(
        worker.renew().await.unwrap().is_empty(),
        "it keeps its lease"
    );
    backend.allow("+publish");
    worker.renew().await.unwrap();
    assert_eq!(backend.events().await.len(), 2 + unheard);
    assert!(worker.claim(Duration::ZERO).await.unwrap().is_none());
}

/// Checks that a worker which kept its lease ends its task although the server has forgotten everything.
async fn check_forgotten(backend: &Served) {
    let (a, b) = (backend.joined("a").await, backend.joined("b").await);
    for task in ["one", "two", "three"] {
        backend.push(task).await;
    }
    let (one, two, three) = (next(&*a).await, next(&*a).await, next(&*b).await);
    start(&*a, &one).await.unwrap();
    // Longer than a lease, in which only one of the workers lives.
    for _ in 0..4 {
        tokio::time::sleep(LEASE / 3).await;
        assert!(a.renew().await.unwrap().is_empty());
    }
    flush(backend);
    assert!(a.renew().await.unwrap().is_empty(), "no task is lost");
    for _ in 0..2 {
        finish(&*a, &one).await.unwrap();
    }
    assert_eq!(b.renew().await.unwrap().len(), 1, "its lease lapsed");
    let late = finish(&*b, &three).await;
    assert!(matches!(late, Err(QueueError::NotHeld)), "{late:?}");
    // The orchestrator queues a task again: it is that of the worker that claims it now.
    backend.push("two").await;
    let again = next(&*b).await;
    finish(&*b, &again).await.unwrap();
    let late = finish(&*a, &two).await;
    assert!(matches!(late, Err(QueueError::NotHeld)), "{late:?}");
    assert_eq!(a.renew().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_that_forgot_everything_gets_each_end_once() {
    let backend = list("flushed").await.unwrap();
    check_forgotten(&backend).await;
    let expected = ["started one", "completed one", "completed two"];
    assert_eq!(backend.events().await, expected);
}

#[tokio::test]
async fn a_stream_that_forgot_everything_gets_each_end_once() {
    let backend = stream("flushed").await.unwrap();
    check_forgotten(&backend).await;
    // The start was forgotten with the stream of events.
    let expected = ["completed one", "completed two"];
    assert_eq!(backend.events().await, expected);
}

#[tokio::test]
async fn a_task_that_waits_again_is_not_ended_by_its_last_worker() {
    for backend in [list("again").await.unwrap(), stream("again").await.unwrap()] {
        let worker = backend.joined("a").await;
        backend.push("one").await;
        let one = next(&*worker).await;
        worker.put_back(&one, PutBack::Untouched).await.unwrap();
        let other = backend.joined("b").await;
        let taken = next(&*other).await;
        other.put_back(&taken, PutBack::Untouched).await.unwrap();
        let end = finish(&*worker, &one).await;
        assert!(matches!(end, Err(QueueError::NotHeld)), "{end:?}");
    }
}

#[tokio::test]
async fn a_list_shows_the_tasks_at_work() {
    let backend = list("working").await.unwrap();
    let mut server = backend.server.connect();
    let mut check = |expected: &[&str]| {
        let at_work = server.zrange("dalston:working:working", 0, -1);
        let mut at_work: Vec<String> = at_work.unwrap();
        at_work.sort();
        assert_eq!(at_work, expected);
    };
    let (a, b) = (backend.joined("a").await, backend.joined("b").await);
    for task in ["one", "two", "three"] {
        backend.push(task).await;
    }
    check(&[]);
    let (one, two, three) = (next(&*a).await, next(&*a).await, next(&*b).await);
    a.renew().await.unwrap();
    check(&["one", "three", "two"]);
    finish(&*a, &one).await.unwrap();
    check(&["three", "two"]);
    a.put_back(&two, PutBack::Untouched).await.unwrap();
    check(&["three"]);
    // A dead worker's task is counted until another worker takes it over.
    drop((b, three));
    tokio::time::sleep(LEASE * 2).await;
    a.renew().await.unwrap();
    check(&["three"]);
    let three = next(&*a).await;
    assert_eq!(three.task_id, "three");
    check(&["three"]);
    a.leave().await.unwrap();
    check(&[]);
}
