//! Malformed and hostile tasks: each is refused with one sentence, as the task's own fault.

use dalston_engine_sdk::contract::Contract;
use dalston_engine_sdk::queue::Claim;
use dalston_engine_sdk::{ErrorKind, TaskError};
use serde_json::{Value, json};

use super::recorded;

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, TaskError>, message: &str) {
    let err = result.expect_err("refused");
    assert_eq!(err.kind(), ErrorKind::Input);
    assert_eq!(err.to_string(), message);
}

/// Changes the body of a recorded request of HEAD or of M22, and reads it.
fn read_changed(contract: Contract, change: impl Fn(&mut Value)) -> Result<(), TaskError> {
    let (claim, name) = match contract {
        Contract::Streams => (
            recorded::head_claim("typed.transcribe"),
            "head/typed.transcribe.request.json",
        ),
        _ => (
            recorded::m22_claim("typed.transcribe"),
            "m22/typed.transcribe.input.json",
        ),
    };
    let mut body = recorded::json(name);
    change(&mut body);
    let protocol = recorded::protocol(contract, "nemo");
    let body = body.to_string();
    protocol.read_request(&claim, body.as_bytes()).map(drop)
}

#[test]
fn a_task_without_a_hash_fails_with_dalstons_own_sentence() {
    let recorded_event = &recorded::json("m22/unknown_task.events_pubsub.json")[0];
    let claim = Claim {
        task_id: "bogus-task-id".into(),
        ..Claim::default()
    };
    assert_eq!(claim.job_id(), recorded_event["job_id"]);
    for contract in [Contract::M22, Contract::Streams] {
        let protocol = recorded::protocol(contract, "nemo");
        let sentence = recorded_event["error"].as_str().expect("a sentence");
        refused(protocol.request_key(&claim), sentence);
        refused(protocol.output_key(&claim), sentence);
    }
}

#[test]
fn ids_that_could_name_another_object_are_refused() {
    let long = "a".repeat(129);
    for id in ["..", "", "a/b", "a b", "a\0b", "%2e%2e", "é", long.as_str()] {
        let mut claim = recorded::m22_claim("typed.transcribe");
        claim.metadata.insert("job_id".into(), id.into());
        let protocol = recorded::protocol(Contract::M22, "nemo");
        let short: String = id.chars().take(100).collect();
        let message = format!("id {short:?} cannot be a part of an object's key");
        refused(protocol.output_key(&claim), &message);
    }
}

#[test]
fn a_hash_without_a_job_is_refused() {
    let mut claim = recorded::m22_claim("typed.transcribe");
    claim.metadata.remove("job_id");
    let message = format!("task {} has no job_id in its hash", claim.task_id);
    let protocol = recorded::protocol(Contract::M22, "nemo");
    refused(protocol.request_key(&claim), &message);
}

#[test]
fn what_is_no_json_is_refused() {
    let claim = recorded::m22_claim("typed.transcribe");
    let protocol = recorded::protocol(Contract::M22, "nemo");
    let whole = recorded::text("m22/typed.transcribe.input.json");
    let deep = "[".repeat(100_000);
    let bodies = [
        "",
        "null",
        "[]",
        "{",
        "\u{0}",
        deep.as_str(),
        &whole[..whole.len() / 2],
    ];
    for body in bodies
        .into_iter()
        .map(str::as_bytes)
        .chain([&b"\xff\xfe"[..]])
    {
        let err = protocol.read_request(&claim, body).expect_err("refused");
        assert_eq!(err.kind(), ErrorKind::Input);
        let sentence = err.to_string();
        assert!(
            sentence.starts_with("input.json cannot be read: "),
            "{sentence}"
        );
        assert!(sentence.len() < 200, "{sentence}");
    }
}

#[test]
fn wrong_types_are_refused() {
    let wrong = [
        ("task_id", json!(1)),
        ("audio_uri", json!(["s3://a/b"])),
        ("config", json!("fast")),
        ("previous_outputs", json!([])),
    ];
    for (key, value) in wrong {
        let result = read_changed(Contract::M22, |body| body[key] = value.clone());
        let err = result.expect_err(key);
        assert_eq!(err.kind(), ErrorKind::Input, "{key}");
    }
    for (key, value) in [
        ("artifact_index", json!([])),
        ("resolved_artifact_ids", json!(1)),
    ] {
        let result = read_changed(Contract::Streams, |body| body[key] = value.clone());
        let err = result.expect_err(key);
        assert_eq!(err.kind(), ErrorKind::Input, "{key}");
    }
}

#[test]
fn a_request_of_another_task_is_refused() {
    for key in ["task_id", "job_id"] {
        let result = read_changed(Contract::M22, |body| body[key] = json!("another"));
        refused(
            result,
            "input.json is of another task than the one it belongs to",
        );
        let result = read_changed(Contract::Streams, |body| body[key] = json!("another"));
        refused(
            result,
            "request.json is of another task than the one it belongs to",
        );
    }
}

#[test]
fn a_slot_filled_with_an_unknown_artifact_is_refused() {
    let result = read_changed(Contract::Streams, |body| body["artifact_index"] = json!({}));
    refused(
        result,
        r#"request.json fills slot "audio" with an artifact it lacks"#,
    );
}

#[test]
fn a_deadline_that_is_no_time_is_refused() {
    let mut claim = recorded::head_claim("typed.transcribe");
    claim.message.insert("timeout_at".into(), "soon".into());
    let body = recorded::text("head/typed.transcribe.request.json");
    let protocol = recorded::protocol(Contract::Streams, "nemo");
    refused(
        protocol.read_request(&claim, body.as_bytes()),
        r#"timeout_at is "soon", expected an ISO 8601 time with an offset"#,
    );
}

#[test]
fn keys_that_nobody_knows_change_nothing() {
    for contract in [Contract::M22, Contract::Streams] {
        read_changed(contract, |body| body["priority"] = json!({"high": [true]}))
            .expect("left alone");
    }
}
