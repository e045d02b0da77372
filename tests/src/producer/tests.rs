//! The producer writes the recorded messages of Dalston, and the listener reads them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use redis::Commands as _;
use redis::streams::StreamRangeReply;

use super::*;
use crate::listener::{EventKind, Listener};
use crate::project;

fn recorded(file: &str) -> Value {
    let path = project()
        .join("crates/dalston-engine-sdk/tests/data/dalston")
        .join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Every field that is written was recorded with the same type.
#[track_caller]
fn check_shape(written: &Value, recorded: &Value, place: &str) {
    match (written, recorded) {
        (Value::Object(written), Value::Object(recorded)) => {
            for (key, value) in written {
                // The keys of this one object are ids.
                let like = match place {
                    "/artifact_index" => recorded.values().next(),
                    _ => recorded.get(key),
                };
                let like = like.unwrap_or_else(|| panic!("{place}/{key} was never recorded"));
                check_shape(value, like, &format!("{place}/{key}"));
            }
        }
        (Value::Array(written), Value::Array(recorded)) => {
            for (value, like) in written.iter().zip(recorded) {
                check_shape(value, like, place);
            }
        }
        (written, recorded) => assert_eq!(
            std::mem::discriminant(written),
            std::mem::discriminant(recorded),
            "{place} is {written}, recorded {recorded}"
        ),
    }
}

#[test]
fn what_an_engine_reads_has_the_recorded_shape() {
    let task = Task::new().with("model", "nvidia/parakeet-rnnt-0.6b");
    let input = task.input(Contract::M22);
    let like = recorded("m22/typed.transcribe.input.json");
    check_shape(&input, &like, "");
    check_shape(&like, &input, "");

    let task = Task::new().with("loaded_model_id", "nvidia/parakeet-rnnt-0.6b");
    let request = task.input(Contract::Streams);
    check_shape(
        &request,
        &recorded("head/typed.transcribe.request.json"),
        "",
    );
}

/// The field names of hash and message as the server has them after a task was given out.
fn given_out(contract: Contract) -> (Vec<String>, Vec<String>) {
    let (redis, store) = (RedisServer::start(), ObjectServer::shared());
    let mut producer = Producer::new(contract, "engine", &redis, &store);
    let task = Task::new();
    producer.submit(std::slice::from_ref(&task));
    assert!(store.get(&task.input_key(contract)).is_some());
    let mut server = redis.connect();
    let hash: BTreeMap<String, String> = server
        .hgetall(format!("dalston:task:{}", task.task_id))
        .unwrap();
    let message = match contract {
        Contract::M22 | Contract::M22Typed => {
            let waiting: Vec<String> = server.lrange("dalston:queue:engine", 0, -1).unwrap();
            assert_eq!(waiting, [task.task_id]);
            Vec::new()
        }
        Contract::Streams => {
            let stream: StreamRangeReply = server.xrange_all("dalston:stream:engine").unwrap();
            stream.ids[0].map.keys().cloned().collect()
        }
    };
    (hash.into_keys().collect(), message)
}

fn names(fields: &Value) -> Vec<String> {
    let Value::Object(fields) = fields else {
        panic!("{fields} is no object")
    };
    fields.keys().cloned().collect()
}

#[test]
fn hashes_and_messages_have_the_recorded_fields() {
    let (hash, _) = given_out(Contract::M22);
    let like = &recorded("m22/typed.transcribe.redis_hash.json")["fields"];
    assert_eq!(hash, sorted(names(like)));

    let (hash, message) = given_out(Contract::Streams);
    let like = &recorded("head/typed.transcribe.redis_task_hash.json")["fields"];
    let mut like = sorted(names(like));
    // The orchestrator adds it for its own use, after the message.
    like.retain(|name| name != "stream_message_id");
    assert_eq!(hash, like);
    let like = &recorded("head/typed.transcribe.stream_messages.json")[0]["fields"];
    assert_eq!(sorted(message), sorted(names(like)));
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

#[test]
fn recorded_events_are_heard_in_both_ways() {
    let redis = RedisServer::start();
    let listener = Listener::start(Contract::M22, &redis);
    let of_stream = Listener::start(Contract::Streams, &redis);
    let mut server = redis.connect();
    for event in recorded("m22/typed.events_pubsub.json").as_array().unwrap() {
        let n_receivers: usize = server.publish("dalston:events", event.to_string()).unwrap();
        assert_eq!(n_receivers, 1);
    }
    for event in recorded("head/fail.events_durable_stream.json")
        .as_array()
        .unwrap()
    {
        let Value::Object(fields) = &event["fields"] else {
            panic!("{event} has no fields")
        };
        let fields: Vec<_> = fields
            .iter()
            .map(|(k, v)| (k, v.as_str().unwrap()))
            .collect();
        let _: String = server.xadd("dalston:events:stream", "*", &fields).unwrap();
    }
    let limit = Duration::from_secs(10);
    let id = "b1ca16e6-bb4d-4da1-922a-ea7f946c0dcf";
    let end = listener.wait_for(EventKind::Completed, id, limit);
    assert_eq!(end.body["engine_id"], "parakeet");
    assert_eq!(listener.starts()[id], 1);
    let id = "58c7b4b5-6c13-498d-8528-76d814c81748";
    let end = of_stream.wait_for(EventKind::Failed, id, limit);
    assert_eq!(end.error(), "CUDA out of memory (simulated)");
    crate::program::wait_until(limit, || of_stream.ends()[id].len() == 3);
    assert_eq!(
        of_stream.ends()[id].len(),
        3,
        "the orchestrator tried three times"
    );
}
