//! Compares the registry record with those of Dalston's own engines.

use std::collections::BTreeMap;

use dalston_engine_sdk::contract::{Contract, Protocol};
use dalston_engine_sdk::status::{Phase, WorkerStatus};
use dalston_engine_sdk::{Capabilities, EngineHealth};
use serde_json::Value;

use super::recorded;

/// The worker whose record was recorded in `registry.instance.audio.json`.
fn audio_prepare() -> Protocol {
    let mut protocol = recorded::protocol(Contract::Streams, "audio-prepare");
    protocol.identity.instance = "audio-prepare-a9e87db8f301".into();
    protocol.identity.capabilities = Capabilities {
        version: "1.0.0".into(),
        stages: vec!["prepare".into()],
        supports_cpu: true,
        min_ram_gb: Some(1),
        rtf_cpu: Some(0.1),
        supports_language_forcing: true,
        ..Capabilities::default()
    };
    protocol
}

fn fields(protocol: &Protocol, status: &WorkerStatus) -> BTreeMap<String, String> {
    let record = protocol.record(status).expect("a registry");
    record.fields.into_iter().collect()
}

fn idle() -> WorkerStatus {
    WorkerStatus {
        phase: Phase::Idle,
        ..WorkerStatus::default()
    }
}

#[test]
fn the_record_is_that_of_dalstons_own_engine() {
    let recorded = recorded::json("head/registry.instance.audio.json");
    let mut theirs: BTreeMap<String, String> =
        serde_json::from_value(recorded["fields"].clone()).expect("text");
    let mut ours = fields(&audio_prepare(), &idle());
    for time in ["last_heartbeat", "registered_at"] {
        let (now, then) = (ours.remove(time), theirs.remove(time));
        let (now, then) = (now.expect("a time"), then.expect("a time"));
        // Python omits zero microseconds; the SDK always writes them.
        assert_eq!(now.len(), then.len(), "{now}, recorded {then}");
    }
    assert_eq!(ours, theirs);
}

#[test]
fn every_beat_writes_the_whole_record() {
    let protocol = audio_prepare();
    let first: Vec<_> = fields(&protocol, &idle()).into_keys().collect();
    let busy = WorkerStatus {
        phase: Phase::Processing,
        n_in_flight: 1,
        ..WorkerStatus::default()
    };
    let later = fields(&protocol, &busy);
    assert_eq!(later["status"], "processing");
    assert_eq!(later["active_batch"], "1");
    assert_eq!(first, later.into_keys().collect::<Vec<_>>());
}

#[test]
fn native_word_times_are_said_in_both_places_that_the_selector_may_look() {
    let mut protocol = audio_prepare();
    protocol.identity.capabilities.supports_word_timestamps = true;
    let fields = fields(&protocol, &idle());
    assert_eq!(fields["supports_word_timestamps"], "true");
    let capabilities: Value = serde_json::from_str(&fields["capabilities"]).expect("JSON");
    assert_eq!(capabilities["supports_word_timestamps"], true);
    let schema = recorded::json("head/jsonschema.EngineCapabilities.json");
    assert!(jsonschema::is_valid(&schema, &capabilities));
}

#[test]
fn the_record_says_how_many_tasks_the_worker_takes_and_where_it_runs() {
    let mut protocol = audio_prepare();
    protocol.identity.node_id = "i-0abc".into();
    let worker = WorkerStatus {
        capacity: 16,
        ..idle()
    };
    let full = fields(&protocol, &worker);
    assert_eq!((&*full["capacity"], &*full["node_id"]), ("16", "i-0abc"));
    assert_ne!(full["hostname"], "i-0abc");
    let loading = fields(&protocol, &WorkerStatus::default());
    assert_eq!(loading["capacity"], "1", "nobody may divide by 0");
}

#[test]
fn the_model_and_the_memory_of_the_gpu_are_shown() {
    let worker = WorkerStatus {
        engine: EngineHealth {
            model_name: Some("a/b".into()),
            models_loaded: vec!["a/b".into(), "c".into()],
            gpu_memory_used_bytes: Some(2_540_000_000),
            ..EngineHealth::default()
        },
        ..idle()
    };
    let fields = fields(&audio_prepare(), &worker);
    assert_eq!(fields["loaded_model"], "a/b");
    assert_eq!(fields["models_loaded"], r#"["a/b","c"]"#);
    assert_eq!(fields["gpu_memory_used"], "2.5GB");
}

#[test]
fn the_m22_era_has_no_registry() {
    for contract in [Contract::M22, Contract::M22Typed] {
        assert!(
            recorded::protocol(contract, "nemo")
                .record(&idle())
                .is_none()
        );
    }
}
