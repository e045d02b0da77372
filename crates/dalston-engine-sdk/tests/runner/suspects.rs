//! Tasks that may have ended a worker: who works on them, and what a worker's own fault does to its tasks.

use std::time::{Duration, Instant};

use dalston_engine_sdk::queue::{MemoryQueue, Queue};
use dalston_engine_sdk::runner::RunError;
use serde_json::json;
use tokio::time::sleep;

use crate::claim;
use crate::world::{LEASE, World, end, event};

/// A worker that has begun the task `suspect` and holds its lease until it leaves.
async fn victim(world: &World) -> MemoryQueue {
    world.submit("suspect", json!({"do": "batch"})).await;
    let victim = world.broker.connect("victim", 100 * LEASE);
    victim.join().await.unwrap();
    let taken = claim(&victim).await;
    let started = event("started suspect");
    victim.start(&taken, &started).await.unwrap();
    victim
}

/// A worker that is busy with the task `long`, and the task `suspect`, which another worker has left.
async fn busy_world() -> World {
    let mut world = World::new();
    world.engine.n_at_once = 4;
    let victim = victim(&world).await;
    world.submit("long", json!({"do": "work"})).await;
    world.start();
    world.wait_for_events(2).await;
    // The busy worker gets the task first, because it waits for one.
    victim.leave().await.unwrap();
    sleep(Duration::from_millis(100)).await;
    world
}

#[tokio::test]
async fn a_busy_worker_does_not_keep_a_suspect_task_from_an_idle_one() {
    let world = busy_world().await;
    let idle = world.broker.connect("idle", LEASE);
    idle.join().await.unwrap();
    let asked = Instant::now();
    let taken = claim(&idle).await;
    assert_eq!((taken.task_id.as_str(), taken.deliveries), ("suspect", 1));
    let waited = asked.elapsed();
    assert!(waited < Duration::from_millis(500), "{waited:?}");
}

#[tokio::test]
async fn a_suspect_task_runs_alone_when_the_worker_has_ended_its_others() {
    let world = busy_world().await;
    world.submit("later", json!({})).await;
    let reported = world.wait_for_events(7).await;
    assert_eq!(
        reported[2..],
        [
            "completed long",
            "started suspect",
            "completed suspect",
            "started later",
            "completed later"
        ]
    );
}

#[tokio::test]
async fn a_worker_whose_engine_cannot_be_loaded_again_puts_back_what_the_engine_had_not_begun() {
    let mut world = World::new();
    world.engine.n_at_once = 2;
    world.engine.loads_once = true;
    world.submit("bad", json!({"do": "batch-panic"})).await;
    let worker = world.start();
    world.wait_for_events(1).await;
    world.submit("innocent", json!({})).await;
    let ended = end(worker).await;
    assert!(matches!(ended, Err(RunError::Engine(_))), "{ended:?}");
    let mut reported = world.reported();
    reported.sort_unstable();
    assert_eq!(
        reported,
        [
            "failed bad: the engine broke down on this task",
            "started bad",
            "started innocent"
        ]
    );
    assert_eq!(free_tasks(&world).await, [("innocent".to_owned(), 0)]);
}

#[tokio::test]
async fn tasks_that_broke_an_engine_together_are_counted_if_it_cannot_be_loaded_again() {
    let mut world = World::new();
    world.engine.n_at_once = 3;
    world.engine.loads_once = true;
    world.submit("slow", json!({"do": "batch"})).await;
    let worker = world.start();
    world.wait_for_events(1).await;
    sleep(Duration::from_millis(50)).await;
    world.submit("bad", json!({"do": "batch-panic"})).await;
    world.submit("beside", json!({})).await;
    let ended = end(worker).await;
    assert!(matches!(ended, Err(RunError::Engine(_))), "{ended:?}");
    let mut free = free_tasks(&world).await;
    free.sort_unstable();
    assert_eq!(free, [("bad".to_owned(), 1), ("beside".to_owned(), 1)]);
}

/// The tasks that a worker can claim at once, and how often each was delivered before.
pub(crate) async fn free_tasks(world: &World) -> Vec<(String, u32)> {
    let other = world.broker.connect("other", LEASE);
    other.join().await.unwrap();
    let mut claims = Vec::new();
    while let Some(claim) = other.claim(Duration::ZERO).await.unwrap() {
        claims.push(claim);
    }
    let free = claims.iter().map(|it| (it.task_id.clone(), it.deliveries));
    let free = free.collect();
    other.leave().await.unwrap();
    free
}
