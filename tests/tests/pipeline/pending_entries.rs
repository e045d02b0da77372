//! What waits in a stream stays far from the idle time at which Dalston's scanner fails it, and any worker may
//! claim it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use dalston_engine_sdk::queue::testsuite::{Backend as _, LEASE};
use dalston_engine_sdk::queue::{Claim, Event, PutBack, Queue, QueueError};
use redis::Commands as _;
use redis::streams::{StreamInfoConsumersReply, StreamPendingCountReply};

use crate::queue_contract::{Served, next, stream};

/// Above a lease by the second that the scripts add, and what a busy machine needs.
const JUST_ABOVE: Duration = Duration::from_millis(1_500);

/// The pending entries: owner and idle time of each.
fn pending(backend: &Served, engine_id: &str) -> Vec<(String, Duration)> {
    let stream = format!("dalston:stream:{engine_id}");
    let entries = backend
        .server
        .connect()
        .xpending_count(stream, "engines", "-", "+", 100);
    let entries: StreamPendingCountReply = entries.expect("the group is there");
    let entries = entries.ids.into_iter();
    entries
        .map(|it| {
            (
                it.consumer,
                Duration::from_millis(it.last_delivered_ms as u64),
            )
        })
        .collect()
}

fn consumers(backend: &Served, engine_id: &str) -> Vec<String> {
    let stream = format!("dalston:stream:{engine_id}");
    let infos = backend.server.connect().xinfo_consumers(stream, "engines");
    let infos: StreamInfoConsumersReply = infos.expect("the group is there");
    infos.consumers.into_iter().map(|it| it.name).collect()
}

async fn begin(worker: &dyn Queue) -> Claim {
    let claim = next(worker).await;
    worker.start(&claim, &started()).await.unwrap();
    claim
}

fn started() -> Event {
    Event {
        message: "started".to_owned(),
        fields: vec![("payload".to_owned(), "started".to_owned())],
    }
}

/// Renews as a worker does that has no free slot. Returns the longest idle time that was seen after the first
/// two leases, in which a dead worker's lease lapses.
async fn keep_busy(backend: &Served, engine_id: &str, workers: &[Arc<dyn Queue>]) -> Duration {
    let mut longest = Duration::ZERO;
    for beat in 0..24 {
        for worker in workers {
            worker.renew().await.unwrap();
        }
        tokio::time::sleep(LEASE / 3).await;
        for (owner, idle) in pending(backend, engine_id) {
            println!("beat {beat}: {owner} {idle:?}");
            if beat >= 6 {
                longest = longest.max(idle);
            }
        }
    }
    longest
}

#[tokio::test]
async fn a_task_that_is_given_back_is_idle_for_just_above_a_lease() {
    let backend = stream("back").await.unwrap();
    let leaving = backend.joined("leaving").await;
    backend.push("one").await;
    for gives_back in [true, false] {
        let claim = begin(&*leaving).await;
        if gives_back {
            leaving.put_back(&claim, PutBack::Untouched).await.unwrap();
        } else {
            leaving.leave().await.unwrap();
        }
        drop(claim);
        let idle = pending(&backend, "back")[0].1;
        assert!(idle >= LEASE && idle <= LEASE + JUST_ABOVE, "{idle:?}");
    }
    let other = backend.joined("other").await;
    assert_eq!(
        next(&*other).await.task_id,
        "one",
        "any worker may claim it"
    );
}

#[tokio::test]
async fn a_busy_worker_takes_care_of_what_the_dead_and_itself_left() {
    let backend = stream("busy").await.unwrap();
    let dead = backend.joined("dead").await;
    backend.push("one").await;
    let one = begin(&*dead).await;
    let busy = backend.joined("busy").await;
    backend.push("two").await;
    let two = begin(&*busy).await;
    busy.put_back(&two, PutBack::Untouched).await.unwrap();
    drop((dead, one, two));

    let idle = keep_busy(&backend, "busy", &[Arc::clone(&busy)]).await;
    // A third of a lease passes between two heartbeats.
    assert!(idle <= LEASE + JUST_ABOVE + LEASE / 3, "{idle:?}");
    let owners: Vec<_> = pending(&backend, "busy")
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(owners, ["busy", "busy"], "a living consumer has both");

    let free = backend.joined("free").await;
    let (one, two) = (next(&*free).await, next(&*free).await);
    assert_eq!((one.task_id.as_str(), two.task_id.as_str()), ("one", "two"));
    assert_eq!((one.deliveries, two.deliveries), (1, 0));
    // They are at work now: nobody else takes care of them.
    let idle = keep_busy(&backend, "busy", &[busy, Arc::clone(&free)]).await;
    assert!(idle <= LEASE, "{idle:?}");
    assert!(free.renew().await.unwrap().is_empty());
}

#[tokio::test]
async fn of_two_busy_workers_one_takes_care_and_either_may_claim() {
    let backend = stream("two").await.unwrap();
    let dead = backend.joined("dead").await;
    backend.push("one").await;
    drop((begin(&*dead).await, dead));
    let (a, b) = (backend.joined("a").await, backend.joined("b").await);
    let idle = keep_busy(&backend, "two", &[Arc::clone(&a), Arc::clone(&b)]).await;
    assert!(idle <= LEASE + JUST_ABOVE + LEASE / 3, "{idle:?}");
    let owner = pending(&backend, "two").remove(0).0;
    for _ in 0..4 {
        tokio::try_join!(a.renew(), b.renew()).unwrap();
        assert_eq!(pending(&backend, "two")[0].0, owner, "it changed hands");
    }
    let other = if owner == "a" { &b } else { &a };
    let claim = next(&**other).await;
    tokio::try_join!(a.renew(), b.renew()).unwrap();
    assert!(other.renew().await.unwrap().is_empty());
    assert_eq!(claim.task_id, "one");
}

#[tokio::test]
async fn a_claim_that_was_lost_never_becomes_good_again() {
    let backend = stream("lost").await.unwrap();
    let suspended = backend.joined("suspended").await;
    backend.push("one").await;
    let late = next(&*suspended).await;
    tokio::time::sleep(LEASE * 2).await;
    let other = backend.joined("other").await;
    drop((next(&*other).await, other));
    // The other dies as well, so the task waits, and the first is the only worker to take care of it.
    for _ in 0..12 {
        assert_eq!(suspended.renew().await.unwrap().len(), 1);
        tokio::time::sleep(LEASE / 3).await;
    }
    assert!(suspended.claim(Duration::ZERO).await.unwrap().is_none());
    let started = suspended.start(&late, &started()).await;
    assert!(matches!(started, Err(QueueError::NotHeld)), "{started:?}");
    drop(late);
    // A worker looks after the dead three times a lease.
    tokio::time::sleep(LEASE / 2).await;
    assert_eq!(next(&*suspended).await.task_id, "one");
}

#[tokio::test]
async fn a_task_that_waits_for_its_time_is_claimed_by_nobody_and_stays_young() {
    let backend = stream("later").await.unwrap();
    let (a, b) = (backend.joined("a").await, backend.joined("b").await);
    backend.push("one").await;
    let claim = begin(&*a).await;
    let later = PutBack::Deferred { delay: LEASE * 9 };
    a.put_back(&claim, later).await.unwrap();
    drop(claim);
    let idle = keep_busy(&backend, "later", &[Arc::clone(&a), Arc::clone(&b)]).await;
    assert!(idle <= LEASE + JUST_ABOVE + LEASE / 3, "{idle:?}");
    for worker in [&a, &b] {
        assert!(worker.claim(Duration::ZERO).await.unwrap().is_none());
    }
    tokio::time::sleep(LEASE).await;
    let claim = next(&*b).await;
    assert_eq!((claim.task_id.as_str(), claim.deferrals), ("one", 1));
}

#[tokio::test]
async fn a_consumer_is_deleted_without_pending_entries_only() {
    let backend = stream("gone").await.unwrap();
    let workers = "dalston:workers:gone";
    let mut server = backend.server.connect();
    backend.push("one").await;
    let keeping = backend.joined("keeping").await;
    let one = begin(&*keeping).await;
    let empty = backend.joined("empty").await;
    assert!(
        empty
            .claim(Duration::from_millis(1))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(consumers(&backend, "gone"), ["empty", "keeping"]);
    keeping.leave().await.unwrap();
    empty.leave().await.unwrap();
    drop(one);
    assert_eq!(consumers(&backend, "gone"), ["keeping"]);
    assert_eq!(pending(&backend, "gone").len(), 1, "its task is not lost");

    // A worker that died long ago, and whose task another keeps, is forgotten; one that died just now is not.
    let killed = backend.joined("killed").await;
    assert!(
        killed
            .claim(Duration::from_millis(1))
            .await
            .unwrap()
            .is_some()
    );
    let hour_ago = "-inf";
    let _: usize = server.zadd(workers, "keeping", hour_ago).unwrap();
    let alive = backend.joined("alive").await;
    alive.renew().await.unwrap();
    let mut known: Vec<String> = server.zrange(workers, 0, -1).unwrap();
    known.sort();
    assert_eq!(known, ["alive", "empty", "killed"]);
    assert_eq!(consumers(&backend, "gone"), ["killed"]);
    let _: usize = server.zadd(workers, "killed", hour_ago).unwrap();
    alive.renew().await.unwrap();
    assert_eq!(consumers(&backend, "gone"), ["killed"], "it has a task");
    tokio::time::sleep(LEASE * 2).await;
    alive.renew().await.unwrap();
    alive.renew().await.unwrap();
    assert_eq!(consumers(&backend, "gone"), ["alive"]);
    assert_eq!(next(&*alive).await.task_id, "one");
}
