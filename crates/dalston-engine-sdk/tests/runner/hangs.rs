//! An engine that hangs, and the time that a task has.

use std::time::{Duration, Instant};

use dalston_engine_sdk::runner::RunError;
use dalston_engine_sdk::status::Phase;
use serde_json::json;
use tokio::time::sleep;

use crate::suspects::free_tasks;
use crate::world::{World, end};

const WATCHDOG: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_hung_engine_fails_its_task_once_and_gives_the_others_back_as_they_were() {
    let mut world = World::new();
    world.engine.n_at_once = 2;
    world.settings().watchdog = Some(WATCHDOG);
    world.submit("bad", json!({"do": "hang"})).await;
    let worker = world.start();
    world.wait_for_events(1).await;
    // The engine does not take this one any more.
    sleep(Duration::from_millis(50)).await;
    world.submit("next", json!({})).await;
    let mut status = world.status.clone();
    let hung = status.wait_for(|status| status.phase == Phase::Hung).await;
    assert!(!hung.unwrap().is_alive());
    let ended = end(worker).await;
    assert!(matches!(ended, Err(RunError::Hung)), "{ended:?}");
    let reported = world.reported();
    let failed = "failed bad: the engine made no progress on the task for 0.5 s";
    assert_eq!(reported, ["started bad", "started next", failed]);
    assert_eq!(free_tasks(&world).await, [("next".to_owned(), 0)]);
    // If the orchestrator queues the task again, it counts as one that ended a worker.
    world.queue("bad");
    let both = [("next".to_owned(), 0), ("bad".to_owned(), 1)];
    assert_eq!(free_tasks(&world).await, both);
    assert!(world.figure("active_tasks") < 0.1);
    assert!(world.figure("seconds_since_progress") >= 0.5);
}

#[tokio::test]
async fn of_several_tasks_that_an_engine_held_when_it_hung_only_the_one_at_fault_fails() {
    let world = World::new();
    world.submit("slow", json!({"do": "batch"})).await;
    let mut n_workers = 0;
    while world
        .reported()
        .iter()
        .filter(|it| !it.starts_with("started"))
        .count()
        < 4
    {
        n_workers += 1;
        assert!(n_workers < 6, "{:?}", world.reported());
        let mut next = world.another(&format!("worker-{n_workers}"));
        next.engine.n_at_once = 3;
        next.settings().watchdog = Some(WATCHDOG);
        let worker = next.start();
        if n_workers == 1 {
            world.wait_for_events(1).await;
            sleep(Duration::from_millis(50)).await;
            for task in ["before", "bad", "after"] {
                let script = if task == "bad" { "hang" } else { "" };
                world.submit(task, json!({"do": script})).await;
            }
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while !worker.is_finished() && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
            if world.reported().len() >= 9 {
                break;
            }
        }
    }
    let mut ends = world.reported();
    ends.retain(|it| !it.starts_with("started"));
    ends.sort_unstable();
    assert_eq!(
        ends,
        [
            "completed after",
            "completed before",
            "completed slow",
            "failed bad: the engine made no progress on the task for 0.5 s"
        ]
    );
}

#[tokio::test]
async fn an_engine_that_ignores_the_end_of_a_tasks_time_hangs() {
    let mut world = World::new();
    world.settings().task_timeout = Duration::from_millis(300);
    world.settings().overtime = Duration::from_millis(300);
    world.submit("bad", json!({"do": "hang"})).await;
    let ended = end(world.start()).await;
    assert!(matches!(ended, Err(RunError::Hung)), "{ended:?}");
    let failed = "failed bad: the engine did not stop when the task's time was over";
    assert_eq!(world.reported(), ["started bad", failed]);
}

#[tokio::test]
async fn a_task_without_stamps_has_the_time_of_the_settings() {
    let mut world = World::new();
    world.settings().task_timeout = Duration::from_millis(200);
    world.submit("long", json!({"do": "work"})).await;
    world.submit("short", json!({})).await;
    world.start();
    let reported = world.wait_for_events(4).await;
    assert_eq!(reported[1], "failed long: the task ran out of time");
    assert_eq!(reported[3], "completed short");
}
