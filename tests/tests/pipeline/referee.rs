//! Workers under Dalston's own safety nets: the cases that the nets were seen to punish.
//!
//! The referee watches every pipeline test. The tests here bring about what it judges.

use std::thread;
use std::time::{Duration, Instant};

use e2e_tests::pipeline::{Pipeline, start_worker};
use e2e_tests::{Charge, Contract, EventKind, Signal, Status, Worker, isolation, wait_until};
use redis::Commands as _;
use serde_json::json;

use crate::ENGINE;

const TIMEOUT: Duration = Duration::from_secs(60);

/// One contract for each transport.
const CONTRACTS: [Contract; 2] = [Contract::M22, Contract::Streams];

/// Starts a worker and queues one task of this length, which the worker begins.
fn busy(pipeline: &mut Pipeline, worker_id: &str, work: Duration) -> (Worker, e2e_tests::Task) {
    let mut settings = pipeline.settings(worker_id);
    settings.more.push(("DALSTON_GRACE_S", "0".to_owned()));
    let worker = start_worker(ENGINE, &settings);
    let work_ms = work.as_millis() as u64;
    let task = pipeline
        .submit(1, |task| task.with("work_ms", work_ms))
        .remove(0);
    pipeline
        .listener
        .wait_for(EventKind::Started, &task.task_id, TIMEOUT);
    (worker, task)
}

/// Ends one of two busy workers. Its task waits until the other one is done, which is longer than the scanner
/// lets a task of a dead engine wait.
fn end_one_of_two(end: impl FnOnce(&mut Worker)) {
    let mut pipeline = Pipeline::start(Contract::Streams);
    let stale_idle = pipeline.referee.rules().stale_idle;
    let (_staying, long) = busy(
        &mut pipeline,
        "staying",
        stale_idle + Duration::from_secs(5),
    );
    let (mut leaving, short) = busy(&mut pipeline, "leaving", Duration::from_secs(2));
    end(&mut leaving);
    let waits_from = Instant::now();
    let listener = &pipeline.listener;
    listener.wait_for(EventKind::Completed, &long.task_id, TIMEOUT);
    assert!(waits_from.elapsed() > stale_idle, "the task did not wait");
    pipeline.check_completed(&[long, short], TIMEOUT);
}

#[test]
fn a_rolling_restart_of_a_busy_fleet_costs_no_job() {
    let _guard = isolation::shared();
    end_one_of_two(|worker| {
        worker.program.signal(Signal::TERM);
        assert!(worker.program.wait(TIMEOUT).success());
    });
}

#[test]
fn a_task_of_a_killed_worker_may_wait_for_a_busy_fleet() {
    let _guard = isolation::shared();
    end_one_of_two(|worker| worker.program.kill());
}

#[test]
fn a_task_that_no_worker_comes_for_is_convicted() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::Streams);
    let (mut worker, task) = busy(&mut pipeline, "worker", Duration::from_secs(60));
    worker.program.kill();
    let limit = pipeline.referee.rules().stale_idle * 2;
    let failed = || pipeline.referee.status(&task.task_id) == Some(Status::Failed);
    assert!(wait_until(limit, failed), "not in {limit:?}");
    let convictions = pipeline.referee.take_convictions();
    let charges: Vec<_> = convictions
        .iter()
        .map(|it| (it.task_id.as_str(), it.charge))
        .collect();
    assert_eq!(charges, [(task.task_id.as_str(), Charge::EngineDead)]);
}

#[test]
fn a_cancelled_task_whose_worker_died_ends_with_its_job() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::Streams);
    let (mut worker, task) = busy(&mut pipeline, "worker", Duration::from_secs(60));
    let cancelled = format!("dalston:job:cancelled:{}", task.job_id);
    let set: redis::RedisResult<()> = pipeline.redis.connect().set(cancelled, "1");
    set.expect("the server answers");
    worker.program.kill();
    let _next = start_worker(ENGINE, &pipeline.settings("next"));
    // Without an event the task would run for ever in Dalston's database, until the reconciler finds an orphan
    // and fails the job that the user has cancelled.
    pipeline.check_ended_once(std::slice::from_ref(&task), TIMEOUT);
    let output = pipeline.store.get(&task.output_key(pipeline.contract));
    assert_eq!(output, None, "a cancelled task was computed");
}

#[test]
fn a_worker_that_sleeps_through_its_lease_tells_no_second_end() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let (sleeper, task) = busy(&mut pipeline, "sleeper", Duration::from_secs(1));
        sleeper.program.signal(Signal::STOP);
        let _next = start_worker(ENGINE, &pipeline.settings("next"));
        pipeline
            .listener
            .wait_for(EventKind::Completed, &task.task_id, TIMEOUT);
        sleeper.program.signal(Signal::CONT);
        let is_awake = || sleeper.program.log().contains("task_lost");
        assert!(wait_until(TIMEOUT, is_awake), "the sleeper still sleeps");
        // As long as the sleeper would work on the task, and a little more.
        thread::sleep(Duration::from_secs(2));
        pipeline.check_completed(&[task], TIMEOUT);
    }
}

#[test]
fn an_end_that_is_told_twice_is_convicted() {
    let _guard = isolation::shared();
    for contract in CONTRACTS {
        let mut pipeline = Pipeline::start(contract);
        let tasks = pipeline.submit(1, |task| task);
        let publish = |kind: &str| publish(&pipeline, kind, &tasks[0].task_id);
        ["task.started", "task.completed"]
            .into_iter()
            .for_each(publish);
        pipeline.listener.wait_for_ends(1, TIMEOUT);
        assert!(pipeline.referee.take_convictions().is_empty());
        ["task.completed", "task.started"]
            .into_iter()
            .for_each(publish);
        let listener = &pipeline.listener;
        assert!(wait_until(TIMEOUT, || listener.events().len() == 4));
        let convictions = pipeline.referee.take_convictions();
        let charges: Vec<_> = convictions.iter().map(|it| it.charge).collect();
        match contract {
            // The handlers of streams ignore a start after the end.
            Contract::Streams => assert_eq!(charges, [Charge::ToldTwice]),
            _ => assert_eq!(charges, [Charge::ToldTwice, Charge::NeverEnds]),
        }
    }
}

/// Publishes an event about a task as an engine does.
fn publish(pipeline: &Pipeline, kind: &str, task_id: &str) {
    let mut redis = pipeline.redis.connect();
    let published: redis::RedisResult<redis::Value> = match pipeline.contract {
        Contract::Streams => {
            let payload = json!({"task_id": task_id, "job_id": "job"}).to_string();
            let fields = [("type", kind), ("payload", &payload)];
            redis.xadd("dalston:events:stream", "*", &fields)
        }
        _ => {
            let event = json!({"type": kind, "task_id": task_id, "job_id": "job"});
            redis.publish("dalston:events", event.to_string())
        }
    };
    published.expect("the server answers");
}

#[test]
fn a_poison_task_that_dalston_queues_again_kills_three_workers_in_all() {
    let _guard = isolation::shared();
    thread::scope(|scope| {
        for contract in CONTRACTS {
            scope.spawn(move || poison(contract));
        }
    });
}

fn poison(contract: Contract) {
    let mut pipeline = Pipeline::start(contract);
    let producer = pipeline.producer.another(&pipeline.redis);
    pipeline.referee.act(producer);
    let poison = pipeline.submit(1, |task| task.with("then", "abort"));
    let poison = &poison[0].task_id;
    let good = pipeline.submit(3, |task| task);
    let mut worker = start_worker(ENGINE, &pipeline.settings("worker"));
    let mut n_deaths = 0;
    let begun = Instant::now();
    while pipeline.referee.status(poison) != Some(Status::Failed) && begun.elapsed() < TIMEOUT {
        if worker.program.ended().is_some() {
            n_deaths += 1;
            worker = start_worker(ENGINE, &pipeline.settings("worker"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let n_failures = pipeline.listener.ends()[poison].len();
    println!(
        "{}: a poison task killed {n_deaths} workers and failed {n_failures} times",
        contract.name()
    );
    assert_eq!(n_deaths, 3, "{}", contract.name());
    assert_eq!(n_failures, 3, "once, and at both retries");
    pipeline.check_completed(&good, TIMEOUT);
}
