//! `kill -9` and SIGTERM at any moment lose no task, end none twice, and leave nothing for Dalston's own nets
//! to fail.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, quantile, start_worker};
use e2e_tests::{Contract, EventKind, Signal, Task, Worker, WorkerSettings, isolation};

use crate::ENGINE;

/// Number of kills, or of SIGTERMs, for each contract.
const DEFAULT_BLOWS: usize = 32;

/// The sizes of the fleets, which share the blows of a contract. Each fleet has a pipeline of its own.
///
/// A killed worker that is restarted waits until the lease of its predecessor lapses. Meanwhile a fleet of one
/// has no worker at all, and in a fleet of three the others take what the dead worker had.
const FLEETS: [usize; 3] = [1, 2, 3];

/// The longest time from queueing the tasks to a blow. Blows therefore fall before the claim, between download,
/// start, work, upload and commit, between tasks, and after the last task.
const SWEEP: Duration = Duration::from_millis(200);

/// How workers end.
#[derive(Clone, Copy)]
enum Blow {
    Kill,
    Term,
}

impl Blow {
    /// `E2E_KILLS=250` makes 500 kills in all, `E2E_TERMS=100` 200 SIGTERMs.
    fn number(self) -> usize {
        let variable = match self {
            Self::Kill => "E2E_KILLS",
            Self::Term => "E2E_TERMS",
        };
        std::env::var(variable).map_or(DEFAULT_BLOWS, |n| n.parse().expect("a number of blows"))
    }

    /// How long the engine works on each of the tasks that are queued before a blow.
    fn work_ms(self, blow: usize) -> Vec<u64> {
        match self {
            // Long enough that some kills fall into this time, and short enough that others fall before and
            // after it. Enough tasks for every worker.
            Self::Kill => vec![30; 6],
            // Shorter and longer than the grace periods.
            Self::Term => vec![30, [5, 300, 2000][blow % 3]],
        }
    }

    fn settings(self, pipeline: &Pipeline, slot: usize, blow: usize) -> WorkerSettings {
        let mut settings = pipeline.settings(&format!("worker-{slot}"));
        settings.more.push(match self {
            // These tasks are good ones, and must not be failed for the number of kills that interrupt them.
            Self::Kill => ("DALSTON_MAX_DELIVERIES", "100".to_owned()),
            Self::Term => ("DALSTON_GRACE_S", ["0", "1", "2", "5"][blow % 4].to_owned()),
        });
        settings
    }

    #[track_caller]
    fn strike(self, worker: &mut Worker) {
        match self {
            Self::Kill => worker.program.kill(),
            Self::Term => {
                worker.program.signal(Signal::TERM);
                let end = worker.program.wait(Duration::from_secs(20));
                assert!(
                    end.success(),
                    "SIGTERM ended the worker with {end}: {}",
                    worker.program.log()
                );
            }
        }
    }
}

#[test]
fn a_worker_of_a_list_can_be_killed_at_any_moment() {
    let _guard = isolation::alone();
    sweep(Contract::M22, Blow::Kill);
}

#[test]
fn a_worker_of_a_stream_can_be_killed_at_any_moment() {
    let _guard = isolation::alone();
    sweep(Contract::Streams, Blow::Kill);
}

#[test]
fn a_worker_of_a_list_can_be_asked_to_end_at_any_moment() {
    let _guard = isolation::alone();
    sweep(Contract::M22, Blow::Term);
}

#[test]
fn a_worker_of_a_stream_can_be_asked_to_end_at_any_moment() {
    let _guard = isolation::alone();
    sweep(Contract::Streams, Blow::Term);
}

/// What a sweep measured. It found no lost task and none that ended twice, or it would have failed.
#[derive(Default)]
struct Figures {
    n_tasks: usize,
    n_restarted: usize,
    n_extra_runs: usize,
    /// From each kill that interrupted a task to the next start of that task.
    restarts: Vec<Duration>,
    /// From each blow to the end of all tasks that had not ended then.
    recoveries: Vec<Duration>,
}

/// Ends workers while tasks are queued, then checks every task.
fn sweep(contract: Contract, kind: Blow) {
    let n_blows = kind.number();
    let mut all = Figures::default();
    let fleets: Vec<Figures> = thread::scope(|scope| {
        let fleets = FLEETS.iter().enumerate().map(|(n, &n_workers)| {
            let n_blows = n_blows / FLEETS.len() + usize::from(n < n_blows % FLEETS.len());
            scope.spawn(move || sweep_fleet(contract, kind, n_workers, n_blows))
        });
        let fleets: Vec<_> = fleets.collect();
        let join = |fleet: thread::ScopedJoinHandle<'_, _>| fleet.join();
        let fleets: Result<_, _> = fleets.into_iter().map(join).collect();
        fleets.expect("a fleet lost a task, ended one twice, or was convicted")
    });
    for fleet in fleets {
        all.n_tasks += fleet.n_tasks;
        all.n_restarted += fleet.n_restarted;
        all.n_extra_runs += fleet.n_extra_runs;
        all.restarts.extend(fleet.restarts);
        all.recoveries.extend(fleet.recoveries);
    }
    println!(
        "{}: {n_blows} {}, {} tasks, 0 lost, 0 ended twice, 0 convicted by the referee; all tasks known at a \
         blow, the waiting ones too, were done after p50 {:.2?}, p99 {:.2?}",
        contract.name(),
        match kind {
            Blow::Kill => "kills",
            Blow::Term => "SIGTERMs",
        },
        all.n_tasks,
        quantile(&mut all.recoveries, 0.5),
        quantile(&mut all.recoveries, 0.99),
    );
    // A task that a worker has put back is not published as started once more.
    if matches!(kind, Blow::Kill) {
        println!(
            "  {} tasks ran more than once ({} extra runs); an interrupted task began again after p50 {:.2?}, \
             p99 {:.2?}",
            all.n_restarted,
            all.n_extra_runs,
            quantile(&mut all.restarts, 0.5),
            quantile(&mut all.restarts, 0.99),
        );
    }
}

fn sweep_fleet(contract: Contract, kind: Blow, n_workers: usize, n_blows: usize) -> Figures {
    let mut pipeline = Pipeline::start(contract);
    let mut workers: Vec<_> = (0..n_workers)
        .map(|slot| start_worker(ENGINE, &kind.settings(&pipeline, slot, slot)))
        .collect();
    let mut tasks: Vec<Task> = Vec::new();
    let mut blows: Vec<(Instant, Vec<String>)> = Vec::new();
    for blow in 0..n_blows {
        let slot = blow % n_workers;
        workers[slot].wait_until_ready(Duration::from_secs(30));
        for work_ms in kind.work_ms(blow) {
            tasks.extend(pipeline.submit(1, |task| task.with("work_ms", work_ms)));
        }
        // A stride without a common divisor with `n_blows` visits every part of the sweep once.
        let part = (blow * 7919 % n_blows) as f64 / n_blows as f64;
        thread::sleep(SWEEP.mul_f64(part));
        blows.push((Instant::now(), unfinished(&pipeline, &tasks)));
        kind.strike(&mut workers[slot]);
        check_no_secrets(&workers[slot]);
        let settings = kind.settings(&pipeline, slot, blow + n_workers);
        workers[slot] = start_worker(ENGINE, &settings);
    }
    pipeline.check_completed(&tasks, Duration::from_secs(60));
    pipeline.referee.check();

    let ends = pipeline.listener.ends();
    let starts = pipeline.listener.starts();
    let recoveries = blows.iter().filter_map(|(at, tasks)| {
        let last = tasks.iter().map(|id| ends[id][0].at).max()?;
        Some(last.saturating_duration_since(*at))
    });
    Figures {
        n_tasks: tasks.len(),
        n_restarted: starts.values().filter(|n| **n > 1).count(),
        n_extra_runs: starts.values().sum::<usize>() - tasks.len(),
        restarts: restarts(&pipeline, &blows),
        recoveries: recoveries.collect(),
    }
}

/// The times from each blow that interrupted a task to the next start of that task. The first blow after a start
/// is taken for the one that interrupted the task; a blow to another worker makes the time longer, not shorter.
fn restarts(pipeline: &Pipeline, blows: &[(Instant, Vec<String>)]) -> Vec<Duration> {
    let mut last_starts = HashMap::new();
    let mut restarts = Vec::new();
    for event in pipeline.listener.events() {
        if event.kind != EventKind::Started {
            continue;
        }
        if let Some(last) = last_starts.insert(event.task_id, event.at) {
            let interrupted = blows.iter().map(|(at, _)| *at).find(|at| *at > last);
            restarts.extend(interrupted.map(|at| event.at.saturating_duration_since(at)));
        }
    }
    restarts
}

/// The ids of the tasks that have not ended.
fn unfinished(pipeline: &Pipeline, tasks: &[Task]) -> Vec<String> {
    let ends = pipeline.listener.ends();
    let ids = tasks.iter().map(|task| &task.task_id);
    ids.filter(|id| !ends.contains_key(*id)).cloned().collect()
}
