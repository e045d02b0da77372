//! `kill -9` of a worker with the real model loses nothing, tells nothing twice, and changes no word.

use std::thread;
use std::time::Duration;

use e2e_tests::parakeet;
use e2e_tests::pipeline::{Pipeline, check_no_secrets};
use e2e_tests::{Contract, WorkerSettings};

/// Kills of one contract; `E2E_WORKER_KILLS` makes more of them.
const DEFAULT_KILLS: usize = 6;

/// Workers that are killed in turn.
const LANES: usize = 2;

/// Kills fall up to so long after tasks were given out: a task takes some 50 ms.
const SWEEP: Duration = Duration::from_millis(300);

#[test]
fn every_task_of_workers_that_are_killed_has_its_words() {
    let n_kills = std::env::var("E2E_WORKER_KILLS").map_or(DEFAULT_KILLS, |n| {
        n.parse().expect("E2E_WORKER_KILLS is a number")
    });
    let recordings = parakeet::recordings([1, 12, 64, 75]);
    let expected = parakeet::transcribed(&recordings);
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let mut workers: Vec<_> = (0..LANES)
            .map(|lane| parakeet::start(&settings(&pipeline, lane)))
            .collect();
        let mut tasks = Vec::new();
        for kill in 0..n_kills {
            let lane = kill % LANES;
            workers[lane].wait_until_ready(Duration::from_secs(60));
            tasks.extend(pipeline.submit_recordings(&recordings, |task| task));
            thread::sleep(SWEEP.mul_f64((kill * 7919 % n_kills) as f64 / n_kills as f64));
            workers[lane].program.kill();
            check_no_secrets(&workers[lane]);
            workers[lane] = parakeet::start(&settings(&pipeline, lane));
        }
        pipeline.check_ended_once(&tasks, Duration::from_secs(120));
        for (task, expected) in tasks.iter().zip(expected.iter().cycle()) {
            assert_eq!(pipeline.output(task)["text"], expected["text"]);
        }
        let n_runs: usize = pipeline.listener.starts().values().sum();
        println!(
            "{}: {n_kills} kills of real workers, {} tasks, 0 lost, 0 told twice, {} extra runs",
            contract.name(),
            tasks.len(),
            n_runs - tasks.len()
        );
    }
}

fn settings(pipeline: &Pipeline, lane: usize) -> WorkerSettings {
    let mut settings = parakeet::settings(pipeline, &format!("lane-{lane}"));
    // Tasks here are innocent, however often they are interrupted.
    settings
        .more
        .push(("DALSTON_MAX_DELIVERIES", "100".to_owned()));
    // One does its tasks one by one, the other as many together as are at hand.
    let in_flight = ("DALSTON_BATCH_MAX_INFLIGHT", (1 + 4 * lane).to_string());
    settings.more.push(in_flight);
    settings
}
