//! The runner's promises, with everything around the engine in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod away;
mod handle;
mod hangs;
mod suspects;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use dalston_engine_sdk::queue::{Claim, Queue, QueueError};
use dalston_engine_sdk::runner::{RunError, Shutdown};
use dalston_engine_sdk::status::Phase;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::json;
use tokio::time::sleep;

use world::{LEASE, World, end, event};

#[tokio::test]
async fn a_task_is_told_completed_when_its_output_is_stored() {
    let mut world = World::new();
    world.submit("one", json!({"answer": 42})).await;
    let worker = world.start();
    assert_eq!(
        world.wait_for_events(2).await,
        ["started one", "completed one"]
    );
    let output = world.output("one").await.expect("it is stored");
    assert_eq!(output["data"], json!({"answer": 42}));
    world.shutdown.send_replace(Shutdown::Drain);
    end(worker).await.unwrap();
}

#[tokio::test]
async fn the_time_in_the_queue_is_counted_where_the_pipeline_says_when_it_began() {
    let mut world = World::new();
    let minute_ago = DateTime::<Utc>::from(SystemTime::now() - Duration::from_secs(60));
    let hash = [("job_id", "job"), ("enqueued_at", &minute_ago.to_rfc3339())];
    let hash = hash.map(|(name, value)| (name.to_owned(), value.to_owned()));
    world.broker.push("waited", hash.into());
    world.queue("unsaid");
    world.start();
    world.wait_for_events(2).await;
    assert!(world.figure("queue_wait_seconds_sum") >= 60.0);
    assert!((world.figure("queue_wait_seconds_count") - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_panic_fails_its_task_and_the_next_one_is_done() {
    let mut world = World::new();
    world.submit("bad", json!({"do": "panic"})).await;
    world.submit("good", json!({})).await;
    world.start();
    let reported = world.wait_for_events(4).await;
    assert_eq!(
        reported[1],
        "failed bad: the engine broke down on this task"
    );
    assert_eq!(reported[3], "completed good");
    let by_fault = world.figure("task_failures_total{engine_id=\"scripted\",kind=\"engine\"}");
    assert!((by_fault - 1.0).abs() < 0.1, "{by_fault}");
    assert_eq!(
        world.engine.n_loads.load(Ordering::SeqCst),
        2,
        "it is loaded anew"
    );
}

#[tokio::test]
async fn an_engine_has_as_many_tasks_at_once_as_it_says_and_no_more() {
    for n_at_once in [1, 3] {
        let mut world = World::new();
        world.engine.n_at_once = n_at_once;
        // The other tasks arrive while the engine works on the first.
        world.submit("slow", json!({"do": "batch"})).await;
        for n in 0..7 {
            world.submit(&format!("quick-{n}"), json!({"n": n})).await;
        }
        let claimed = world.start();
        world.wait_for_events(n_at_once).await;
        sleep(Duration::from_millis(100)).await;
        assert_eq!(world.status.borrow().n_in_flight as usize, n_at_once);
        world.wait_for_events(16).await;
        // The first task came alone. Its slot may claim again before the engine takes the others.
        let most = world.engine.most_at_once.load(Ordering::SeqCst);
        assert!((n_at_once.min(2)..=n_at_once).contains(&most), "{most}");
        for n in 0..7 {
            let output = world.output(&format!("quick-{n}")).await.unwrap();
            assert_eq!(output["data"]["n"], n, "every task has its own answer");
        }
        world.shutdown.send_replace(Shutdown::Drain);
        end(claimed).await.unwrap();
    }
}

#[tokio::test]
async fn a_panic_over_several_tasks_fails_the_one_at_fault_alone() {
    let mut world = World::new();
    world.engine.n_at_once = 4;
    world.submit("slow", json!({"do": "batch"})).await;
    for task in ["before", "bad", "after"] {
        let script = if task == "bad" { "panic" } else { "" };
        world.submit(task, json!({"do": script})).await;
    }
    world.start();
    let mut reported = world.wait_for_events(8).await;
    // On a busy machine the last task starts after the first has ended.
    reported.retain(|event| !event.starts_with("started"));
    assert!(
        world.engine.most_at_once.load(Ordering::SeqCst) > 1,
        "several were at hand"
    );
    reported.sort_unstable();
    assert_eq!(
        reported,
        [
            "completed after",
            "completed before",
            "completed slow",
            "failed bad: the engine broke down on this task"
        ]
    );
}

#[tokio::test]
async fn a_task_that_cannot_be_done_fails_with_its_reason_and_is_not_tried_again() {
    let mut world = World::new();
    world.submit("bad", json!({"do": "refuse"})).await;
    world.queue("without-request");
    world.broker.push("without-hash", Default::default());
    world.submit("good", json!({})).await;
    world.start();
    let reported = world.wait_for_events(8).await;
    assert_eq!(reported[1], "failed bad: this is no speech");
    assert!(
        reported[3].starts_with("failed without-request: the task's request is missing"),
        "{reported:?}"
    );
    // Dalston queues a task that fails unstarted again once, and then waits for it for ever.
    assert_eq!(
        reported[4..6],
        [
            "started without-hash",
            "failed without-hash: Task metadata not found in Redis: without-hash"
        ]
    );
    assert_eq!(reported[7], "completed good");
    assert_eq!(world.engine.n_processed.load(Ordering::SeqCst), 2);
    let by_fault = world.figure("task_failures_total{engine_id=\"scripted\",kind=\"input\"}");
    assert!((by_fault - 3.0).abs() < 0.1, "{by_fault}");
}

#[tokio::test]
async fn a_task_that_ended_three_workers_is_failed_and_the_next_one_is_done() {
    let mut world = World::new();
    world.submit("poison", json!({})).await;
    for n in 0..3 {
        let victim = world.broker.connect(&format!("victim-{n}"), LEASE);
        victim.join().await.unwrap();
        let claim = claim(&victim).await;
        victim
            .start(&claim, &event("started poison"))
            .await
            .unwrap();
    }
    world.submit("good", json!({})).await;
    world.start();
    // The order depends on when the last victim's lease lapses.
    let reported = world.wait_for_events(7).await[3..].join(", ");
    // Started first: Dalston queues a task that fails unstarted again once, and then waits for it for ever.
    let refused = reported.find("failed poison: the task ended its worker 3 times");
    let started = reported.find("started poison");
    assert!(started.is_some() && started < refused, "{reported}");
    assert!(reported.contains("completed good"), "{reported}");
    assert_eq!(world.engine.n_processed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_output_that_is_stored_is_not_made_again() {
    let mut world = World::new();
    world.submit("one", json!({})).await;
    let victim = world.broker.connect("victim", LEASE);
    victim.join().await.unwrap();
    let claim = claim(&victim).await;
    victim.start(&claim, &event("started one")).await.unwrap();
    drop(claim);
    let key = Path::from("jobs/job/tasks/one/output.json");
    world.store.put(&key, "{}".into()).await.unwrap();
    world.start();
    assert_eq!(
        world.wait_for_events(3).await.last().unwrap(),
        "completed one"
    );
    assert_eq!(world.engine.n_processed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_worker_that_drains_ends_its_task_and_takes_no_other() {
    let mut world = World::new();
    world.submit("one", json!({"do": "work"})).await;
    world.submit("two", json!({})).await;
    let worker = world.start();
    world.wait_for_events(1).await;
    world.shutdown.send_replace(Shutdown::Drain);
    world
        .wait(|| world.status.borrow().phase == Phase::Draining)
        .await;
    assert!(!world.status.borrow().is_ready());
    end(worker).await.unwrap();
    assert_eq!(world.reported(), ["started one", "completed one"]);
}

#[tokio::test]
async fn an_idle_worker_ends_within_a_second() {
    let mut world = World::new();
    let worker = world.start();
    world
        .wait(|| world.status.borrow().phase == Phase::Idle)
        .await;
    let asked = Instant::now();
    world.shutdown.send_replace(Shutdown::Drain);
    end(worker).await.unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn a_task_that_outlasts_the_grace_period_goes_back_as_it_was() {
    for now in [Shutdown::Drain, Shutdown::Now] {
        let mut world = World::new();
        if now == Shutdown::Drain {
            world.settings().grace = Duration::from_millis(50);
        }
        world.submit("one", json!({"do": "work"})).await;
        let worker = world.start();
        world.wait_for_events(1).await;
        world.shutdown.send_replace(now);
        end(worker).await.unwrap();
        assert_eq!(world.reported(), ["started one"]);
        // At once: no lease needs to lapse.
        let other = world.broker.connect("other", LEASE);
        other.join().await.unwrap();
        let claim = other
            .claim(Duration::ZERO)
            .await
            .unwrap()
            .expect("it is back");
        assert_eq!((claim.task_id.as_str(), claim.deliveries), ("one", 0));
    }
}

#[tokio::test]
async fn a_worker_ends_after_its_engine_even_one_that_cannot_stop() {
    let mut world = World::new();
    world.submit("one", json!({"do": "batch"})).await;
    let worker = world.start();
    world.wait_for_events(1).await;
    sleep(Duration::from_millis(100)).await;
    world.shutdown.send_replace(Shutdown::Now);
    end(worker).await.unwrap();
    assert_eq!(world.reported(), ["started one"]);
    let n_engines = Arc::strong_count(&world.engine.n_loads) - 1;
    assert_eq!(
        n_engines, 0,
        "what the engine uses would be torn down under it"
    );
}

#[tokio::test]
async fn a_worker_shows_itself_while_it_loads_and_takes_no_task_before() {
    let mut world = World::new();
    world.engine.load = Duration::from_millis(500);
    world.submit("one", json!({})).await;
    world.start();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(world.status.borrow().phase, Phase::Loading);
    assert!(world.reported().is_empty());
    assert_eq!(world.wait_for_events(2).await[1], "completed one");
}

#[tokio::test]
async fn a_worker_keeps_its_lease_while_its_runtime_stands_still() {
    let mut world = World::new();
    world.submit("one", json!({"do": "batch"})).await;
    world.start();
    world.wait_for_events(1).await;
    let other = world.broker.connect("other", LEASE);
    // The test's runtime has one thread, on which the worker's slots run as well.
    std::thread::sleep(LEASE * 2);
    let stolen = other.claim(Duration::ZERO).await.unwrap();
    assert!(stolen.is_none(), "{stolen:?}");
    let reported = world.wait_for_events(2).await;
    assert_eq!(reported, ["started one", "completed one"]);
}

#[tokio::test]
async fn a_twin_does_not_start() {
    let mut world = World::new();
    let first = world.broker.connect("worker", LEASE);
    first.join().await.unwrap();
    let heartbeats = tokio::spawn(async move {
        loop {
            first.renew().await.unwrap();
            sleep(LEASE / 3).await;
        }
    });
    let ended = end(world.start()).await;
    assert!(
        matches!(ended, Err(RunError::Queue(QueueError::Superseded))),
        "{ended:?}"
    );
    heartbeats.abort();
}

async fn claim(queue: &impl Queue) -> Claim {
    loop {
        if let Some(claim) = queue.claim(LEASE).await.unwrap() {
            return claim;
        }
    }
}
