//! `kill -9` at any moment loses no task and publishes no completion twice.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, quantile, start_worker};
use e2e_tests::{Contract, EventKind, Task, WorkerSettings, isolation};

use crate::ENGINE;

/// Number of kills for each contract. `E2E_KILLS=250` makes 500 in all.
const DEFAULT_KILLS: usize = 32;

/// Number of workers, which are killed in turn. A restarted worker waits until the lease of its predecessor
/// lapses, so there must be several for one to be working at any time.
const N_WORKERS: usize = 6;

/// How long the engine works on one task: long enough that some kills fall into this time, and short enough
/// that others fall before and after it.
const WORK_MS: u64 = 30;

/// The longest time from queueing the tasks to a kill. Kills therefore fall before the claim, between
/// download, start, work, upload and commit, between tasks, and after the last task.
const SWEEP: Duration = Duration::from_millis(200);

/// Number of tasks that are queued before each kill: enough for every worker.
const TASKS_PER_KILL: usize = 6;

#[test]
fn a_worker_of_a_list_can_be_killed_at_any_moment() {
    let _guard = isolation::alone();
    sweep(Contract::M22);
}

#[test]
fn a_worker_of_a_stream_can_be_killed_at_any_moment() {
    let _guard = isolation::alone();
    sweep(Contract::Streams);
}

/// Kills workers while tasks are queued, then checks every task.
fn sweep(contract: Contract) {
    let n_kills = std::env::var("E2E_KILLS")
        .map_or(DEFAULT_KILLS, |n| n.parse().expect("E2E_KILLS is a number"));
    let mut pipeline = Pipeline::start(contract);
    let mut workers: Vec<_> = (0..N_WORKERS)
        .map(|slot| start_worker(ENGINE, &settings(&pipeline, slot)))
        .collect();
    let mut tasks: Vec<Task> = Vec::new();
    let mut kills: Vec<(Instant, Vec<String>)> = Vec::new();
    for kill in 0..n_kills {
        let slot = kill % N_WORKERS;
        workers[slot].wait_until_ready(Duration::from_secs(30));
        let new = pipeline.submit(TASKS_PER_KILL, |task| task.with("work_ms", WORK_MS));
        tasks.extend(new);
        // A stride without a common divisor with `n_kills` visits every part of the sweep once.
        let part = (kill * 7919 % n_kills) as f64 / n_kills as f64;
        thread::sleep(SWEEP.mul_f64(part));
        workers[slot].program.kill();
        kills.push((Instant::now(), unfinished(&pipeline, &tasks)));
        check_no_secrets(&workers[slot]);
        workers[slot] = start_worker(ENGINE, &settings(&pipeline, slot));
    }
    pipeline.check_completed(&tasks, Duration::from_secs(60));

    let ends = pipeline.listener.ends();
    let mut recoveries: Vec<Duration> = kills
        .iter()
        .filter_map(|(at, tasks)| {
            let last = tasks.iter().map(|id| ends[id][0].at).max()?;
            Some(last.saturating_duration_since(*at))
        })
        .collect();
    let starts = pipeline.listener.starts();
    let n_runs: usize = starts.values().sum();
    let mut restarts = restarts(&pipeline, &kills);
    println!(
        "{}: {n_kills} kills, {} tasks, 0 lost, 0 completed twice, {} ran more than once ({} extra runs); a \
         task that a kill interrupted began again after p50 {:.2?}, p99 {:.2?}; all tasks known at a \
         kill, the waiting ones too, were done after p50 {:.2?}, p99 {:.2?}",
        contract.name(),
        tasks.len(),
        starts.values().filter(|n| **n > 1).count(),
        n_runs - tasks.len(),
        quantile(&mut restarts, 0.5),
        quantile(&mut restarts, 0.99),
        quantile(&mut recoveries, 0.5),
        quantile(&mut recoveries, 0.99),
    );
}

/// The times from each kill that interrupted a task to the next start of that task. A task is far shorter than
/// the time between two kills, so the first kill after a start is the kill that interrupted the task.
fn restarts(pipeline: &Pipeline, kills: &[(Instant, Vec<String>)]) -> Vec<Duration> {
    let mut last_starts = HashMap::new();
    let mut restarts = Vec::new();
    for event in pipeline.listener.events() {
        if event.kind != EventKind::Started {
            continue;
        }
        if let Some(last) = last_starts.insert(event.task_id, event.at) {
            let interrupted = kills.iter().map(|(at, _)| *at).find(|at| *at > last);
            restarts.extend(interrupted.map(|at| event.at.saturating_duration_since(at)));
        }
    }
    restarts
}

fn settings(pipeline: &Pipeline, slot: usize) -> WorkerSettings {
    let mut settings = pipeline.settings(&format!("worker-{slot}"));
    // These tasks are good ones, and must not be failed for the number of kills that interrupt them.
    settings
        .more
        .push(("DALSTON_MAX_DELIVERIES", "100".to_owned()));
    settings
}

/// The ids of the tasks that have not ended.
fn unfinished(pipeline: &Pipeline, tasks: &[Task]) -> Vec<String> {
    let ends = pipeline.listener.ends();
    let ids = tasks.iter().map(|task| &task.task_id);
    ids.filter(|id| !ends.contains_key(*id)).cloned().collect()
}
