//! A worker that is asked to stop finishes the tasks that it can, puts back the others, and ends in time.

use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, start_worker};
use e2e_tests::{Contract, EventKind, Signal, Worker, isolation, wait_until};
use redis::Commands as _;

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(30);

/// One contract for each transport.
const CONTRACTS: [Contract; 2] = [Contract::M22, Contract::Streams];

/// Sends SIGTERM and returns how long the worker took to end.
#[track_caller]
fn stop(worker: &mut Worker) -> Duration {
    worker.program.signal(Signal::TERM);
    end(worker)
}

/// Waits for the end of the worker, checks that it was a success, and returns how long it took.
#[track_caller]
fn end(worker: &mut Worker) -> Duration {
    let asked = Instant::now();
    let end = worker.program.wait(TIMEOUT);
    assert!(
        end.success(),
        "the worker ended with {end}: {}",
        worker.program.log()
    );
    check_no_secrets(worker);
    asked.elapsed()
}

/// Starts a worker and waits until it has completed a task.
fn working(pipeline: &mut Pipeline, grace: &str) -> Worker {
    let mut settings = pipeline.settings("worker");
    settings.more.push(("DALSTON_GRACE_S", grace.to_owned()));
    let worker = start_worker(ENGINE, &settings);
    let tasks = pipeline.submit(1, |task| task);
    pipeline.check_completed(&tasks, TIMEOUT);
    worker
}

#[test]
fn an_idle_worker_ends_within_a_second() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = working(&mut pipeline, "10");
        let time = stop(&mut worker);
        println!("{}: idle, SIGTERM to exit {time:.2?}", contract.name());
        assert!(time < Duration::from_secs(1), "{time:?}");
    }
}

#[test]
fn a_task_at_work_is_finished_and_no_other_begun() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = working(&mut pipeline, "10");
        let tasks = pipeline.submit(2, |task| task.with("work_ms", 1500));
        let (first, second) = (&tasks[0], &tasks[1]);
        pipeline
            .listener
            .wait_for(EventKind::Started, &first.task_id, TIMEOUT);
        assert!(worker.is_ready());
        worker.program.signal(Signal::TERM);
        let unready = wait_until(Duration::from_millis(500), || !worker.is_ready());
        assert!(unready, "a draining worker reports that it takes tasks");
        let alive = worker.page("/health/live").map(|(status, _)| status);
        assert_eq!(
            alive,
            Some(200),
            "a draining worker does not report that it is alive"
        );
        let time = end(&mut worker);
        println!(
            "{}: a task of 1.5 s in flight, SIGTERM to exit {time:.2?}",
            contract.name()
        );
        pipeline
            .listener
            .wait_for(EventKind::Completed, &first.task_id, TIMEOUT);
        assert!(!pipeline.listener.starts().contains_key(&second.task_id));

        // The next worker gets the remaining task at once and not after a lease, because the first worker left
        // the queue in order.
        let restarted = Instant::now();
        let _next = start_worker(ENGINE, &pipeline.settings("worker"));
        pipeline.check_completed(&tasks, TIMEOUT);
        println!(
            "{}: the next worker was done after {:.2?}",
            contract.name(),
            restarted.elapsed()
        );
    }
}

#[test]
fn a_task_that_outlasts_the_grace_period_goes_back_untouched() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = working(&mut pipeline, "1");
        let tasks = pipeline.submit(1, |task| task.with("work_ms", 5_000));
        let task = &tasks[0];
        pipeline
            .listener
            .wait_for(EventKind::Started, &task.task_id, TIMEOUT);
        let time = stop(&mut worker);
        println!(
            "{}: grace of 1 s exceeded, SIGTERM to exit {time:.2?}",
            contract.name()
        );
        assert!(time < Duration::from_secs(4), "{time:?}");
        assert!(
            !pipeline.listener.ends().contains_key(&task.task_id),
            "the task has ended"
        );

        // A graceful return does not count as a delivery, so the task runs again although the limit is one.
        let mut settings = pipeline.settings("next");
        settings
            .more
            .push(("DALSTON_MAX_DELIVERIES", "1".to_owned()));
        let _next = start_worker(ENGINE, &settings);
        pipeline
            .listener
            .wait_for(EventKind::Completed, &task.task_id, TIMEOUT);
        pipeline.check_completed(&tasks, TIMEOUT);
    }
}

#[test]
fn a_second_signal_ends_the_work_at_once() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = working(&mut pipeline, "60");
        let tasks = pipeline.submit(1, |task| task.with("work_ms", 5_000));
        pipeline
            .listener
            .wait_for(EventKind::Started, &tasks[0].task_id, TIMEOUT);
        worker.program.signal(Signal::TERM);
        // The kernel merges two equal signals that are pending at the same time.
        std::thread::sleep(Duration::from_millis(200));
        let time = stop(&mut worker);
        println!("{}: second SIGTERM to exit {time:.2?}", contract.name());
        assert!(time < Duration::from_secs(3), "{time:?}");
        let _next = start_worker(ENGINE, &pipeline.settings("next"));
        pipeline
            .listener
            .wait_for(EventKind::Started, &tasks[0].task_id, TIMEOUT);
    }
}

#[test]
fn a_task_that_is_cancelled_between_two_workers_ends_without_work() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::Streams);
    let mut worker = working(&mut pipeline, "0");
    let begun = pipeline
        .submit(1, |task| task.with("work_ms", 30_000))
        .remove(0);
    let unbegun = pipeline.submit(1, |task| task).remove(0);
    pipeline
        .listener
        .wait_for(EventKind::Started, &begun.task_id, TIMEOUT);
    stop(&mut worker);
    let mut redis = pipeline.redis.connect();
    for task in [&begun, &unbegun] {
        let cancelled = format!("dalston:job:cancelled:{}", task.job_id);
        let _: () = redis.set(cancelled, "1").expect("SET");
    }
    let _next = start_worker(ENGINE, &pipeline.settings("next"));
    pipeline
        .listener
        .wait_for(EventKind::Completed, &begun.task_id, TIMEOUT);
    assert_eq!(
        pipeline.store.get(&begun.output_key(Contract::Streams)),
        None
    );
    let after = pipeline.submit(1, |task| task);
    pipeline.check_completed(&after, TIMEOUT);
    assert_eq!(pipeline.listener.starts()[&begun.task_id], 1);
    let ends = pipeline.listener.ends();
    assert_eq!(ends[&begun.task_id].len(), 1);
    assert!(!ends.contains_key(&unbegun.task_id), "nobody waits for it");
}
