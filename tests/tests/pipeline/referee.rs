//! Workers under Dalston's own safety nets: the cases that the nets were seen to punish.
//!
//! The referee watches every pipeline test. The tests here bring about what it judges.

use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, start_worker};
use e2e_tests::{Charge, Contract, EventKind, Status, Worker, isolation};
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

#[test]
fn a_task_that_no_worker_comes_for_is_convicted() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::Streams);
    let (mut worker, task) = busy(&mut pipeline, "worker", Duration::from_secs(60));
    worker.program.kill();
    let limit = pipeline.referee.rules().stale_idle * 2;
    let failed = || pipeline.referee.status(&task.task_id) == Some(Status::Failed);
    assert!(e2e_tests::wait_until(limit, failed), "not in {limit:?}");
    let convictions = pipeline.referee.take_convictions();
    let charges: Vec<_> = convictions
        .iter()
        .map(|it| (it.task_id.as_str(), it.charge))
        .collect();
    assert_eq!(charges, [(task.task_id.as_str(), Charge::EngineDead)]);
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
        assert!(e2e_tests::wait_until(TIMEOUT, || listener.events().len() == 4));
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
