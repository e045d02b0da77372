//! A worker that stands still, or has more to do than its time allows: what becomes of its tasks.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use e2e_tests::pipeline::{Pipeline, start_worker};
use e2e_tests::{Contract, EventKind, Task, isolation};

use crate::ENGINE;

/// How long a task of a hung engine may take to fail, and another worker to end its next task.
const LIMIT: Duration = Duration::from_secs(60);

/// One contract for each transport.
const CONTRACTS: [Contract; 2] = [Contract::M22, Contract::Streams];

/// Has an engine hang on a task whose time or whose watchdog ends after `allowed`, and checks that the task
/// fails once, that the worker ends, and that another one ends the next task.
#[track_caller]
fn hang(contract: Contract, setting: &'static str, allowed: Duration, reason: &str) {
    let mut pipeline = Pipeline::start(contract);
    let seconds = allowed.as_secs();
    pipeline.producer.time_limit = match setting {
        "DALSTON_DEFAULT_TASK_TIMEOUT_S" => TimeDelta::seconds(seconds as i64),
        _ => TimeDelta::hours(1),
    };
    let mut settings = pipeline.settings("hung");
    settings.more.push((setting, seconds.to_string()));
    let mut worker = start_worker(ENGINE, &settings);
    let bad = pipeline
        .submit(1, |task| task.with("then", "hang"))
        .remove(0);
    let listener = &pipeline.listener;
    listener.wait_for(EventKind::Started, &bad.task_id, LIMIT);
    let begun = Instant::now();
    let next = pipeline.submit(1, |task| task);
    let end = pipeline
        .listener
        .wait_for(EventKind::Failed, &bad.task_id, allowed + LIMIT);
    assert_eq!(end.error(), reason);
    let status = worker.program.wait(LIMIT);
    assert_eq!(status.code(), Some(70), "{}", worker.program.log());
    assert!(worker.program.log().contains("engine_hung"));

    let _other = start_worker(ENGINE, &pipeline.settings("other"));
    let n_ended = |task: &Task| pipeline.listener.ends()[&task.task_id].len();
    pipeline
        .listener
        .wait_for(EventKind::Completed, &next[0].task_id, LIMIT);
    let took = begun.elapsed();
    println!(
        "{}, {setting}={seconds}: next task done after {took:.1?}",
        contract.name()
    );
    assert!(took < allowed + LIMIT, "{took:?}");
    assert_eq!((n_ended(&bad), n_ended(&next[0])), (1, 1));
}

#[test]
fn a_hung_engine_fails_its_task_and_another_worker_does_the_next() {
    let _guard = isolation::shared();
    let allowed = Duration::from_secs(2);
    let reason = "the engine made no progress on the task for 2 s";
    for contract in CONTRACTS {
        hang(contract, "DALSTON_WATCHDOG_S", allowed, reason);
    }
}

#[test]
fn a_task_that_ignores_the_end_of_its_time_fails_within_a_minute() {
    let _guard = isolation::shared();
    let allowed = Duration::from_secs(2);
    let reason = "the engine did not stop when the task's time was over";
    std::thread::scope(|scope| {
        for contract in CONTRACTS {
            scope.spawn(move || {
                hang(contract, "DALSTON_DEFAULT_TASK_TIMEOUT_S", allowed, reason);
            });
        }
    });
}

#[test]
fn a_backlog_longer_than_the_time_for_a_task_fails_none() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        pipeline.producer.time_limit = TimeDelta::seconds(4);
        let tasks = pipeline.submit(12, |task| task.with("work_ms", 500));
        let mut settings = pipeline.settings("worker");
        settings
            .more
            .push(("DALSTON_DEFAULT_TASK_TIMEOUT_S", "4".to_owned()));
        let _worker = start_worker(ENGINE, &settings);
        pipeline.check_completed(&tasks, LIMIT);
    }
}

#[test]
fn a_worker_whose_log_nobody_reads_keeps_its_lease() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let settings = pipeline.settings("unread");
        let mut worker = settings.start_unread(Path::new(ENGINE), &[]);
        worker.wait_until_ready(LIMIT);
        // More than the pipe holds, and more than the worker keeps.
        let mut tasks = pipeline.submit(1, |task| task.with("log_mb", 8).with("work_ms", 6000));
        let first = tasks[0].task_id.clone();
        pipeline
            .listener
            .wait_for(EventKind::Started, &first, LIMIT);
        // This worker would take the task if the lease lapsed, which is a third as long as the work.
        let _idle = start_worker(ENGINE, &pipeline.settings("idle"));
        pipeline
            .listener
            .wait_for(EventKind::Completed, &first, LIMIT);
        assert!(worker.is_ready());
        tasks.extend(pipeline.submit(20, |task| task.with("log_mb", 1)));
        pipeline.check_completed(&tasks, LIMIT);
        assert_eq!(pipeline.listener.starts()[&first], 1);
        worker.program.signal(e2e_tests::Signal::TERM);
        assert!(worker.program.wait(LIMIT).success());
    }
}
