//! `kill -9` of a worker with the real model loses no task, publishes none twice, and changes no word.

use std::thread;
use std::time::Duration;

use e2e_tests::parakeet;
use e2e_tests::pipeline::{Pipeline, check_no_secrets};
use e2e_tests::{Contract, WorkerSettings, isolation};

/// Number of kills for each contract. `E2E_WORKER_KILLS` changes it.
const DEFAULT_KILLS: usize = 6;

/// Number of workers, which are killed in turn.
const N_WORKERS: usize = 2;

/// The longest time from queueing the tasks to a kill. A task takes about 50 ms.
const SWEEP: Duration = Duration::from_millis(300);

#[test]
fn every_task_of_workers_that_are_killed_has_its_words() {
    let _guard = isolation::shared();
    let n_kills = std::env::var("E2E_WORKER_KILLS").map_or(DEFAULT_KILLS, |n| {
        n.parse().expect("E2E_WORKER_KILLS is a number")
    });
    let recordings = parakeet::recordings([1, 12, 64, 75]);
    let expected = parakeet::transcribed(&recordings);
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let mut workers: Vec<_> = (0..N_WORKERS)
            .map(|slot| parakeet::start(&settings(&pipeline, slot)))
            .collect();
        let mut tasks = Vec::new();
        for kill in 0..n_kills {
            let slot = kill % N_WORKERS;
            workers[slot].wait_until_ready(Duration::from_secs(60));
            tasks.extend(pipeline.submit_recordings(&recordings, |task| task));
            thread::sleep(SWEEP.mul_f64((kill * 7919 % n_kills) as f64 / n_kills as f64));
            workers[slot].program.kill();
            check_no_secrets(&workers[slot]);
            workers[slot] = parakeet::start(&settings(&pipeline, slot));
        }
        pipeline.check_ended_once(&tasks, Duration::from_secs(120));
        for (task, expected) in tasks.iter().zip(expected.iter().cycle()) {
            assert_eq!(pipeline.output(task)["text"], expected["text"]);
        }
        let n_runs: usize = pipeline.listener.starts().values().sum();
        println!(
            "{}: {n_kills} kills of real workers, {} tasks, 0 lost, 0 completed twice, {} extra runs",
            contract.name(),
            tasks.len(),
            n_runs - tasks.len()
        );
    }
}

fn settings(pipeline: &Pipeline, slot: usize) -> WorkerSettings {
    let mut settings = parakeet::settings(pipeline, &format!("worker-{slot}"));
    // These tasks are good ones, and must not be failed for the number of kills that interrupt them.
    settings
        .more
        .push(("DALSTON_MAX_DELIVERIES", "100".to_owned()));
    // The first worker takes one task at a time, the second up to five together.
    let in_flight = ("DALSTON_BATCH_MAX_INFLIGHT", (1 + 4 * slot).to_string());
    settings.more.push(in_flight);
    settings
}
