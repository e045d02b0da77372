//! Workers that share a queue complete each task once; the latency of the queue.

use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, check_no_secrets, quantile, start_worker};
use e2e_tests::{Contract, EventKind, Task, isolation};

use crate::ENGINE;

#[test]
fn two_workers_do_1000_tasks_of_a_list_once_each() {
    let _guard = isolation::alone();
    share(Contract::M22Typed, 2);
}

#[test]
fn four_workers_do_1000_tasks_of_a_list_once_each() {
    let _guard = isolation::alone();
    share(Contract::M22, 4);
}

#[test]
fn four_workers_do_1000_tasks_of_a_stream_once_each() {
    let _guard = isolation::alone();
    share(Contract::Streams, 4);
}

fn share(contract: Contract, n_workers: usize) {
    const N_TASKS: usize = 1000;
    let mut pipeline = Pipeline::start(contract);
    // A long lease, so that workers on a busy machine keep their tasks: this test kills none.
    let workers: Vec<_> = (0..n_workers)
        .map(|n| {
            let mut settings = pipeline.settings(&format!("worker-{n}"));
            settings.lease = Duration::from_secs(15);
            start_worker(ENGINE, &settings)
        })
        .collect();
    let tasks = pipeline.submit(N_TASKS, |task| task);
    let started = Instant::now();
    pipeline
        .listener
        .wait_for_ends(N_TASKS, Duration::from_secs(120));
    let time = started.elapsed().as_secs_f64();
    pipeline.check_completed(&tasks, Duration::ZERO);
    let starts = pipeline.listener.starts();
    let repeated = starts.values().filter(|n| **n != 1).count();
    assert_eq!(
        (starts.len(), repeated),
        (N_TASKS, 0),
        "tasks started, and more than once"
    );

    let cpu = |program: &e2e_tests::Program| program.usage().cpu.as_secs_f64();
    println!(
        "{}, {n_workers} workers, S3: {:.0} tasks/s; seconds of CPU: workers {:.1}, Redis {:.1}, S3 \
         server {:.1} (since its start)",
        contract.name(),
        N_TASKS as f64 / time,
        workers.iter().map(|it| cpu(&it.program)).sum::<f64>(),
        cpu(&pipeline.redis.program),
        cpu(&pipeline.store.program),
    );
    workers.iter().for_each(check_no_secrets);
}

#[test]
fn the_way_through_the_queue_is_short() {
    let _guard = isolation::alone();
    const N_TASKS: usize = 50;
    for contract in [Contract::M22, Contract::Streams] {
        let mut pipeline = Pipeline::start(contract);
        let _worker = start_worker(ENGINE, &pipeline.settings("worker"));
        let mut times = Vec::new();
        let tasks: Vec<Task> = pipeline.new_tasks(N_TASKS);
        for task in &tasks {
            pipeline.producer.submit(std::slice::from_ref(task));
            let submitted = Instant::now();
            let limit = Duration::from_secs(30);
            let end = pipeline
                .listener
                .wait_for(EventKind::Completed, &task.task_id, limit);
            times.push(end.at.saturating_duration_since(submitted));
        }
        // The first task waits until the worker has started.
        let mut times = times.split_off(1);
        let median = quantile(&mut times, 0.5);
        println!(
            "{}: from message to completion p50 {median:.1?}, p99 {:.1?}",
            contract.name(),
            quantile(&mut times, 0.99)
        );
        assert!(
            median < Duration::from_millis(500),
            "an idle worker is slow to notice a task"
        );
    }
}
