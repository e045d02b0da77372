//! Compares events with those that Dalston's own engines published.

use dalston_engine_sdk::contract::{Contract, TaskEvent};
use dalston_engine_sdk::queue::{Claim, Event};
use serde_json::{Value, json};

use super::recorded;

/// Writes again the event that was recorded with type `kind` and these fields.
fn again(contract: Contract, kind: &str, payload: &Value) -> Event {
    let text = |key: &str| payload[key].as_str().expect("text").to_owned();
    let claim = Claim {
        task_id: text("task_id"),
        metadata: [("job_id".to_owned(), text("job_id"))].into(),
        ..Claim::default()
    };
    let event = match kind {
        "task.started" => TaskEvent::Started,
        "task.completed" => TaskEvent::Completed,
        "task.failed" => TaskEvent::Failed(payload["error"].as_str().expect("a sentence")),
        other => panic!("no engine publishes {other}"),
    };
    recorded::protocol(contract, &text("engine_id")).event(&claim, event)
}

/// The keys of a JSON object without nesting, in their order.
fn keys(line: &str) -> Vec<&str> {
    let names = line.split(['{', ',']).filter_map(|it| it.split_once("\":"));
    names
        .map(|(name, _)| name.trim_start_matches('"'))
        .collect()
}

#[test]
fn messages_are_those_of_dalstons_engines() {
    let mut n_checked = 0;
    for name in [
        "m22/typed.events_pubsub.json",
        "m22/pc.events_pubsub.json",
        "m22/fail.events_pubsub.json",
        "head/typed.events_pubsub.json",
        "head/fail.events_pubsub.json",
    ] {
        for theirs in recorded::json(name).as_array().expect("events") {
            let kind = theirs["type"].as_str().expect("a type");
            if !kind.starts_with("task.") {
                continue;
            }
            let event = again(Contract::M22, kind, theirs);
            let mut ours: Value = serde_json::from_str(&event.message).expect("JSON");
            let (now, then) = (ours["timestamp"].as_str(), theirs["timestamp"].as_str());
            assert_eq!(now.map(str::len), then.map(str::len), "{name}");
            ours["timestamp"] = theirs["timestamp"].clone();
            assert_eq!(&ours, theirs, "{name}");
            n_checked += 1;
        }
    }
    assert!(n_checked > 30, "{n_checked}");
}

#[test]
fn keys_stand_in_the_recorded_order() {
    let payload = json!({"task_id": "t", "job_id": "j", "engine_id": "e", "error": "bad"});
    let event = again(Contract::M22, "task.completed", &payload);
    let order = ["type", "task_id", "job_id", "engine_id", "timestamp"];
    assert_eq!(keys(&event.message), order);
    let event = again(Contract::M22, "task.failed", &payload);
    let order = [
        "type",
        "task_id",
        "job_id",
        "engine_id",
        "error",
        "timestamp",
    ];
    assert_eq!(keys(&event.message), order);
}

#[test]
fn entries_of_the_durable_stream_are_those_of_dalstons_engines() {
    for name in ["typed", "pc", "fail"] {
        let entries = recorded::json(&format!("head/{name}.events_durable_stream.json"));
        for entry in entries.as_array().expect("entries") {
            let theirs = &entry["fields"];
            let kind = theirs["type"].as_str().expect("a type");
            if !kind.starts_with("task.") {
                continue;
            }
            let payload = theirs["payload"].as_str().expect("JSON as text");
            let payload: Value = serde_json::from_str(payload).expect("JSON");
            let event = again(Contract::Streams, kind, &payload);
            let names: Vec<_> = event.fields.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["type", "timestamp", "payload"], "{name}");
            assert_eq!(event.fields[0].1, kind);
            let ours: Value = serde_json::from_str(&event.fields[2].1).expect("JSON");
            assert_eq!(ours, payload, "{name}");
        }
    }
}

#[test]
fn the_trace_of_a_task_goes_on_with_its_events() {
    let mut claim = recorded::head_claim("typed.transcribe");
    let protocol = recorded::protocol(Contract::Streams, "nemo");
    let trace = r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#;
    claim.metadata.insert("_trace_context".into(), trace.into());
    let event = protocol.event(&claim, TaskEvent::Completed);
    let last = event.fields.last().expect("fields");
    assert_eq!(last, &("_trace_context".to_owned(), trace.to_owned()));

    claim
        .metadata
        .insert("_trace_context".into(), "broken".into());
    assert_eq!(protocol.event(&claim, TaskEvent::Completed).fields.len(), 3);
}
