//! `kill -9` at any moment loses nothing and tells nothing twice.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, quantile, start_worker};
use e2e_tests::{Contract, EventKind, Task, WorkerSettings};

const ENGINE: &str = env!("CARGO_BIN_EXE_scripted_engine");

/// Kills of one contract; `E2E_KILLS=250` makes 500 of the two.
const DEFAULT_KILLS: usize = 32;

/// Workers that are killed in turn: a new one waits for the lease of its dead namesake, so with more of
/// them there is always one that works.
const LANES: usize = 6;

/// Time of one task at work: long enough for a kill to fall into it, as it does into what comes before
/// and after.
const WORK_MS: u64 = 30;

/// Kills fall at times from 0 to here after the tasks were given out: before the claim, between
/// download, start, work, upload and commit, between tasks, and after the last one.
const SWEEP: Duration = Duration::from_millis(200);

/// Tasks given out before each kill: enough for every worker.
const TASKS_PER_KILL: usize = 6;

#[test]
fn a_worker_of_a_list_can_be_killed_at_any_moment() {
    sweep(Contract::M22);
}

#[test]
fn a_worker_of_a_stream_can_be_killed_at_any_moment() {
    sweep(Contract::Streams);
}

/// Kills workers again and again while tasks come in, then looks at every task.
fn sweep(contract: Contract) {
    let n_kills = std::env::var("E2E_KILLS")
        .map_or(DEFAULT_KILLS, |n| n.parse().expect("E2E_KILLS is a number"));
    let mut pipeline = Pipeline::start(contract);
    let mut workers: Vec<_> = (0..LANES)
        .map(|lane| start_worker(ENGINE, &settings(&pipeline, lane)))
        .collect();
    let mut tasks: Vec<Task> = Vec::new();
    let mut kills: Vec<(Instant, Vec<String>)> = Vec::new();
    for kill in 0..n_kills {
        let lane = kill % LANES;
        workers[lane].wait_until_ready(Duration::from_secs(30));
        let new = pipeline.submit(TASKS_PER_KILL, |task| task.with("work_ms", WORK_MS));
        tasks.extend(new);
        // A stride that is no divisor visits every part of the sweep in any number of kills.
        let part = (kill * 7919 % n_kills) as f64 / n_kills as f64;
        thread::sleep(SWEEP.mul_f64(part));
        workers[lane].program.kill();
        kills.push((Instant::now(), unfinished(&pipeline, &tasks)));
        check_no_secrets(&workers[lane]);
        workers[lane] = start_worker(ENGINE, &settings(&pipeline, lane));
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
        "{}: {n_kills} kills, {} tasks, 0 lost, 0 told twice, {} ran more than once ({} extra runs); a \
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

/// From each kill that interrupted a task to the task's next start. Work on a task is far shorter than
/// the time between two kills, so that the first kill after a start is the one that interrupted it.
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

fn settings(pipeline: &Pipeline, lane: usize) -> WorkerSettings {
    let mut settings = pipeline.settings(&format!("lane-{lane}"));
    // Tasks here are innocent, however often they are interrupted.
    settings
        .more
        .push(("DALSTON_MAX_DELIVERIES", "100".to_owned()));
    settings
}

/// The tasks that had been given out and had not ended.
fn unfinished(pipeline: &Pipeline, tasks: &[Task]) -> Vec<String> {
    let ends = pipeline.listener.ends();
    let ids = tasks.iter().map(|task| &task.task_id);
    ids.filter(|id| !ends.contains_key(*id)).cloned().collect()
}
