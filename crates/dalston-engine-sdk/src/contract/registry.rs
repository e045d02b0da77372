//! A worker's record in the registry of engines, with all its fields.
//!
//! The heartbeats of Dalston's own engines write only a part of the record. After their record has lapsed
//! once, Dalston's selector finds an engine without capabilities, takes it for an engine without word
//! times, and adds the ALIGN stage again. Here one function makes the whole record for every heartbeat.

use std::time::SystemTime;

use super::identity::Identity;
use crate::queue::Record;
use crate::status::{Phase, WorkerStatus};
use crate::timestamp;

/// `schema_version` of HEAD's records.
const SCHEMA_VERSION: &str = "3";

/// The whole record, for one heartbeat.
pub(super) fn record(identity: &Identity, worker: &WorkerStatus) -> Record {
    let capabilities = serde_json::to_string(&identity.wire_capabilities())
        .expect("strings and numbers under string keys are JSON");
    let engine = &worker.engine;
    let mut fields = vec![
        ("instance", identity.instance.clone()),
        ("engine_id", identity.engine_id.clone()),
        ("stage", identity.stage().to_owned()),
        ("status", status(worker.phase).to_owned()),
        ("interfaces", r#"["batch"]"#.to_owned()),
        ("capacity", worker.capacity.max(1).to_string()),
        ("active_batch", worker.n_in_flight.to_string()),
        ("active_realtime", "0".to_owned()),
        ("gpu_memory_used", gigabytes(engine.gpu_memory_used_bytes)),
        ("gpu_memory_total", gigabytes(engine.gpu_memory_total_bytes)),
        ("last_heartbeat", timestamp::format(SystemTime::now())),
        ("registered_at", timestamp::format(identity.registered_at)),
        (
            "supports_word_timestamps",
            identity.capabilities.supports_word_timestamps.to_string(),
        ),
        ("includes_diarization", "false".to_owned()),
        ("execution_profile", "container".to_owned()),
        ("hostname", identity.hostname.clone()),
        ("node_id", identity.node_id.clone()),
        ("deploy_env", identity.deploy_env.clone()),
        (
            "stream_name",
            format!("dalston:stream:{}", identity.engine_id),
        ),
        ("capabilities", capabilities),
        ("schema_version", SCHEMA_VERSION.to_owned()),
    ];
    if let Some(model) = &engine.model_name {
        fields.push(("loaded_model", model.clone()));
        let models = serde_json::Value::from(engine.models_loaded.clone());
        fields.push(("models_loaded", models.to_string()));
    }
    Record {
        stage: identity.stage().to_owned(),
        fields: fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

/// The pipeline's name of a phase.
fn status(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "loading",
        Phase::Idle => "idle",
        Phase::Processing => "processing",
        // The pipeline has no word for a hung worker, which takes no task either.
        Phase::Draining | Phase::Hung => "draining",
    }
}

/// An amount of memory as Dalston's own engines write it: `2.5GB`, and `0GB` without a GPU.
pub(crate) fn gigabytes(bytes: Option<u64>) -> String {
    match bytes {
        None | Some(0) => "0GB".to_owned(),
        Some(bytes) => format!("{:.1}GB", bytes as f64 / 1e9),
    }
}
