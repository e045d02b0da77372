//! Reads the requests of tasks that Dalston sent.

use dalston_engine_sdk::contract::{Contract, Request};
use dalston_engine_sdk::queue::Claim;
use serde_json::{Value, json};

use super::recorded;

fn read(contract: Contract, claim: &Claim, body: &str) -> Request {
    let request = recorded::protocol(contract, "nemo").read_request(claim, body.as_bytes());
    request.unwrap_or_else(|err| panic!("{}: {}", claim.task_id, err.chain()))
}

fn m22(task: &str) -> Request {
    let body = recorded::text(&format!("m22/{task}.input.json"));
    read(Contract::M22, &recorded::m22_claim(task), &body)
}

fn head(task: &str) -> Request {
    let body = recorded::text(&format!("head/{task}.request.json"));
    read(Contract::Streams, &recorded::head_claim(task), &body)
}

fn audio(request: &Request) -> &str {
    assert_eq!(request.files.len(), 1, "{:?}", request.files);
    assert_eq!(request.files[0].0, "audio");
    &request.files[0].1
}

#[test]
fn every_recorded_task_of_the_m22_era_is_read() {
    for task in [
        "typed.transcribe",
        "mp3.transcribe",
        "raw.transcribe",
        "fail.transcribe",
    ] {
        let request = m22(task);
        assert_eq!(request.stage, "transcribe", "{task}");
        assert_eq!(
            request.config["model"], "nvidia/parakeet-rnnt-0.6b",
            "{task}"
        );
        assert_eq!(request.config["language"], "auto", "{task}");
        assert!(request.previous_outputs["prepare"].is_object(), "{task}");
        assert_eq!(request.budget, None, "{task}");
    }
    for task in [
        "typed.prepare",
        "pc.prepare",
        "typed.merge",
        "mp3.merge",
        "raw.merge",
        "pc.merge",
    ] {
        assert_eq!(m22(task).stage, task.split('.').nth(1).expect("a stage"));
    }
}

#[test]
fn the_prepared_file_is_taken_and_not_the_upload() {
    for task in ["typed.transcribe", "mp3.transcribe", "raw.transcribe"] {
        let request = m22(task);
        let uri = audio(&request);
        assert!(uri.ends_with("/audio/prepared.wav"), "{task}: {uri}");
    }
}

#[test]
fn without_a_prepared_file_the_upload_is_taken() {
    let claim = recorded::m22_claim("mp3.transcribe");
    let mut body = recorded::json("m22/mp3.transcribe.input.json");
    for prepare in [json!({"audio_uri": null}), json!("later"), Value::Null] {
        body["previous_outputs"]["prepare"] = prepare;
        let request = read(Contract::M22, &claim, &body.to_string());
        assert!(audio(&request).ends_with("/audio/original.mp3"));
    }
}

#[test]
fn a_task_for_one_channel_gets_its_own_file() {
    for channel in [0, 1] {
        let task = format!("pc.transcribe_ch{channel}");
        let request = m22(&task);
        assert_eq!(request.stage, format!("transcribe_ch{channel}"));
        assert!(audio(&request).ends_with(&format!("/audio/prepared_ch{channel}.wav")));

        // The channel's file is read even if the prepare stage names a file of all channels.
        let claim = recorded::m22_claim(&task);
        let mut body = recorded::json(&format!("m22/{task}.input.json"));
        body["previous_outputs"]["prepare"]["audio_uri"] = json!("s3://dalston-artifacts/all.wav");
        let request = read(Contract::M22, &claim, &body.to_string());
        assert!(audio(&request).ends_with(&format!("/audio/prepared_ch{channel}.wav")));

        let request = head(&task);
        assert_eq!(request.stage, format!("transcribe_ch{channel}"));
        assert!(audio(&request).ends_with(&format!("/prepared_audio_ch{channel}.wav")));
        assert_eq!(request.config["channel"], channel);
    }
}

#[test]
fn a_task_without_audio_has_no_files() {
    let claim = recorded::m22_claim("typed.transcribe");
    let (task_id, job_id) = (&claim.task_id, claim.job_id());
    let body = json!({"task_id": task_id, "job_id": job_id, "audio_uri": null});
    let request = read(Contract::M22, &claim, &body.to_string());
    assert!(request.files.is_empty());
}

#[test]
fn every_recorded_task_of_the_streams_era_is_read() {
    for task in ["typed.transcribe", "fail.transcribe"] {
        let request = head(task);
        assert_eq!(request.stage, "transcribe", "{task}");
        assert!(audio(&request).ends_with("/prepared_audio.wav"), "{task}");
        assert!(request.previous_outputs["prepare"].is_object(), "{task}");
    }
    for task in ["typed.prepare", "pc.prepare", "fail.prepare"] {
        assert_eq!(head(task).stage, "prepare");
    }
}

#[test]
fn an_engine_finds_its_model_under_one_name_in_both_eras() {
    let request = head("typed.transcribe");
    assert_eq!(request.config["model"], "nvidia/parakeet-rnnt-0.6b");
    assert!(!request.config.contains_key("loaded_model_id"));
}

#[test]
fn the_artifacts_of_the_hash_win() {
    let mut claim = recorded::head_claim("pc.transcribe_ch1");
    let body = recorded::text("head/pc.transcribe_ch1.request.json");
    let resolved = claim.metadata["resolved_artifact_ids_json"].replace("_ch1", "_ch0");
    claim
        .metadata
        .insert("resolved_artifact_ids_json".into(), resolved);
    let request = read(Contract::Streams, &claim, &body);
    assert!(audio(&request).ends_with("/prepared_audio_ch0.wav"));
}

#[test]
fn the_budget_is_the_time_between_the_stamps_of_the_message() {
    let budget = head("typed.transcribe").budget.expect("both stamps");
    assert_eq!(budget.as_secs(), 3600);
}

#[test]
fn stamps_that_leave_no_time_give_no_budget() {
    let body = recorded::text("head/typed.transcribe.request.json");
    for change in [
        ("enqueued_at", "2999-01-01T00:00:00+00:00"),
        ("enqueued_at", "yesterday"),
    ] {
        let mut claim = recorded::head_claim("typed.transcribe");
        claim.message.insert(change.0.into(), change.1.into());
        let request = read(Contract::Streams, &claim, &body);
        assert_eq!(request.budget, None, "{change:?}");
    }
}

#[test]
fn objects_lie_where_dalston_puts_and_seeks_them() {
    for (run, task) in [
        ("typed", "transcribe"),
        ("mp3", "transcribe"),
        ("raw", "transcribe"),
        ("pc", "transcribe_ch0"),
        ("pc", "transcribe_ch1"),
    ] {
        let keys = recorded::json(&format!("m22/{run}.s3_keys.json")).to_string();
        let claim = recorded::m22_claim(&format!("{run}.{task}"));
        for contract in [Contract::M22, Contract::M22Typed] {
            check_keys(contract, &claim, &keys);
        }
    }
    for (run, task) in [
        ("typed", "transcribe"),
        ("pc", "transcribe_ch0"),
        ("pc", "transcribe_ch1"),
    ] {
        let keys = recorded::json(&format!("head/{run}.s3_keys.json")).to_string();
        let claim = recorded::head_claim(&format!("{run}.{task}"));
        check_keys(Contract::Streams, &claim, &keys);
    }
}

#[track_caller]
fn check_keys(contract: Contract, claim: &Claim, recorded_keys: &str) {
    let protocol = recorded::protocol(contract, "nemo");
    let request = protocol.request_key(claim).expect("a key");
    let output = protocol.output_key(claim).expect("a key");
    for key in [request, output] {
        assert!(
            recorded_keys.contains(&format!("\"{key}\"")),
            "{key} in {recorded_keys}"
        );
    }
}
