//! A store that answers and refuses: what is computed is kept.

use std::thread;
use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, start_worker};
use e2e_tests::{Contract, Fault, FaultProxy, Task, Worker, WorkerSettings, isolation};

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(90);

const FULL: &[u8] =
    b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A number from the environment, for a run that takes longer than CI has time for.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |it| it.parse().expect("a whole number"))
}

/// How often the worker has begun to compute a task.
fn n_computed(worker: &Worker, task: &Task) -> usize {
    let log = worker.program.log();
    let lines = log.lines().filter(|it| it.contains("\"task_processing\""));
    lines.filter(|it| it.contains(&task.task_id)).count()
}

#[test]
fn a_result_that_the_store_refuses_for_a_while_is_computed_once() {
    let _guard = isolation::shared();
    let n_tasks = number("E2E_REFUSED_TASKS", 6) as usize;
    let refused = Duration::from_secs(number("E2E_REFUSED_S", 4));
    thread::scope(|scope| {
        for contract in [Contract::M22, Contract::Streams] {
            scope.spawn(move || {
                let mut pipeline = Pipeline::start(contract);
                let store = FaultProxy::start(&pipeline.store.address());
                let settings = WorkerSettings {
                    s3_endpoint: format!("http://{}", store.address()),
                    ..pipeline.settings("worker")
                };
                let worker = start_worker(ENGINE, &settings);
                worker.wait_until_ready(TIMEOUT);
                store.set(Fault::AnswerTo("PUT /", FULL));
                let tasks = pipeline.submit(n_tasks, |task| task.with("work_ms", 20));
                thread::sleep(refused);
                store.set(Fault::None);
                pipeline.check_completed(&tasks, TIMEOUT);
                for task in &tasks {
                    assert_eq!(n_computed(&worker, task), 1, "{}", worker.program.log());
                }
                println!(
                    "{}: {n_tasks} tasks, PUT refused for {refused:.1?}, each computed once",
                    contract.name()
                );
            });
        }
    });
}
