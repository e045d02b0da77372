//! The trace context of a task goes from its hash into the worker's log and into its events.

use std::time::Duration;

use e2e_tests::pipeline::{Pipeline, start_worker};
use e2e_tests::{Contract, Task, isolation};
use redis::Commands as _;
use redis::streams::StreamRangeReply;
use serde_json::Value;

use crate::ENGINE;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

#[test]
fn a_tasks_trace_is_in_the_log_and_goes_on_with_its_events() {
    let _guard = isolation::shared();
    let mut pipeline = Pipeline::start(Contract::Streams);
    let tasks: Vec<_> = pipeline.new_tasks(2).into_iter().map(with_model).collect();
    let [traced, untraced] = tasks.as_slice() else {
        unreachable!("two were asked for")
    };
    let context = format!(r#"{{"traceparent":"00-{TRACE_ID}-{SPAN_ID}-01"}}"#);
    let mut redis = pipeline.redis.connect();
    let hash = format!("dalston:task:{}", traced.task_id);
    let set: redis::RedisResult<()> = redis.hset(hash, "_trace_context", &context);
    set.expect("the server answers");
    pipeline.producer.submit(&tasks);
    let worker = start_worker(ENGINE, &pipeline.settings("worker"));
    pipeline.check_completed(&tasks, Duration::from_secs(30));

    let events: StreamRangeReply = redis
        .xrange_all("dalston:events:stream")
        .expect("the server answers");
    let contexts = |task: &Task| -> Vec<Option<String>> {
        let is_its = |payload: String| payload.contains(&task.task_id);
        let events = events.ids.iter();
        let its = events.filter(|event| event.get("payload").is_some_and(is_its));
        its.map(|event| event.get("_trace_context")).collect()
    };
    let started_and_completed = vec![Some(context); 2];
    assert_eq!(contexts(traced), started_and_completed);
    assert_eq!(contexts(untraced), [None, None]);

    let log = worker.program.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect();
    let is_its = |line: &&Value| line["task_id"] == traced.task_id.as_str();
    let its: Vec<_> = lines.iter().filter(is_its).collect();
    assert!(!its.is_empty(), "{log}");
    for line in its {
        assert_eq!(line["trace_id"], TRACE_ID, "{line}");
        assert_eq!(line["span_id"], SPAN_ID, "{line}");
        // Before it reads the request, the worker knows no model.
        let is_early = line["event"] == "task_received";
        assert_eq!(line["model"].is_string(), !is_early, "{line}");
    }
}

/// A task that names its model, as HEAD does.
fn with_model(task: Task) -> Task {
    task.with("loaded_model_id", "nvidia/parakeet-rnnt-0.6b")
}
