//! A worker that is asked to stop finishes what it can, gives back the rest, and is quick.

use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, start_worker};
use e2e_tests::{Contract, EventKind, Signal, Worker, wait_until};

const ENGINE: &str = env!("CARGO_BIN_EXE_scripted_engine");

const PATIENCE: Duration = Duration::from_secs(30);

/// Both transports.
const CONTRACTS: [Contract; 2] = [Contract::M22, Contract::Streams];

/// Sends SIGTERM and says how long the worker took to end.
#[track_caller]
fn stop(worker: &mut Worker) -> Duration {
    worker.program.signal(Signal::TERM);
    end(worker)
}

/// Waits for the end, checks that it was a success, and says how long it took.
#[track_caller]
fn end(worker: &mut Worker) -> Duration {
    let asked = Instant::now();
    let end = worker.program.wait(PATIENCE);
    assert!(
        end.success(),
        "the worker ended with {end}: {}",
        worker.program.log()
    );
    check_no_secrets(worker);
    asked.elapsed()
}

/// A worker that has shown that it works.
fn working(pipeline: &mut Pipeline, grace: &str) -> Worker {
    let mut settings = pipeline.settings("worker");
    settings.more.push(("DALSTON_GRACE_S", grace.to_owned()));
    let worker = start_worker(ENGINE, &settings);
    let tasks = pipeline.submit(1, |task| task);
    pipeline.check_completed(&tasks, PATIENCE);
    worker
}

#[test]
fn an_idle_worker_ends_within_a_second() {
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
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = working(&mut pipeline, "10");
        let tasks = pipeline.submit(2, |task| task.with("work_ms", 1500));
        let (first, second) = (&tasks[0], &tasks[1]);
        pipeline
            .listener
            .wait_for(EventKind::Started, &first.task_id, PATIENCE);
        assert!(worker.is_ready());
        worker.program.signal(Signal::TERM);
        let unready = wait_until(Duration::from_millis(500), || !worker.is_ready());
        assert!(unready, "a worker that drains says that it takes tasks");
        let alive = worker.page("/health/live").map(|(status, _)| status);
        assert_eq!(alive, Some(200), "a worker that drains looks dead");
        let time = end(&mut worker);
        println!(
            "{}: at work for 1.5 s, SIGTERM to exit {time:.2?}",
            contract.name()
        );
        pipeline
            .listener
            .wait_for(EventKind::Completed, &first.task_id, PATIENCE);
        assert!(!pipeline.listener.starts().contains_key(&second.task_id));

        // What it left is there for the next, at once: it has said goodbye.
        let restarted = Instant::now();
        let _next = start_worker(ENGINE, &pipeline.settings("worker"));
        pipeline.check_completed(&tasks, PATIENCE);
        println!(
            "{}: the next worker was done after {:.2?}",
            contract.name(),
            restarted.elapsed()
        );
    }
}

#[test]
fn a_task_that_outlasts_the_grace_period_goes_back_untouched() {
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = working(&mut pipeline, "1");
        let tasks = pipeline.submit(1, |task| task.with("work_ms", 5_000));
        let task = &tasks[0];
        pipeline
            .listener
            .wait_for(EventKind::Started, &task.task_id, PATIENCE);
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

        // A graceful return is no delivery: with a limit of one the task runs again all the same.
        let mut settings = pipeline.settings("next");
        settings
            .more
            .push(("DALSTON_MAX_DELIVERIES", "1".to_owned()));
        let _next = start_worker(ENGINE, &settings);
        pipeline
            .listener
            .wait_for(EventKind::Completed, &task.task_id, PATIENCE);
        pipeline.check_completed(&tasks, PATIENCE);
    }
}

#[test]
fn a_second_signal_ends_the_work_at_once() {
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let mut worker = working(&mut pipeline, "60");
        let tasks = pipeline.submit(1, |task| task.with("work_ms", 5_000));
        pipeline
            .listener
            .wait_for(EventKind::Started, &tasks[0].task_id, PATIENCE);
        worker.program.signal(Signal::TERM);
        // Two equal signals that come together are one.
        std::thread::sleep(Duration::from_millis(200));
        let time = stop(&mut worker);
        println!("{}: second SIGTERM to exit {time:.2?}", contract.name());
        assert!(time < Duration::from_secs(3), "{time:?}");
        let _next = start_worker(ENGINE, &pipeline.settings("next"));
        pipeline
            .listener
            .wait_for(EventKind::Started, &tasks[0].task_id, PATIENCE);
    }
}
