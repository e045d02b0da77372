//! A worker's record in the registry of engines, every field of it.
//!
//! Dalston's own heartbeats write a part of the record: once it has lapsed, the selector sees an engine
//! without capabilities, believes that it knows no word times and puts ALIGN back in. Here one function
//! makes the whole record, for the first beat and for every other.

use std::time::SystemTime;

use serde::Serialize;

use super::timestamp;
use crate::engine::Capabilities;
use crate::health::gigabytes;
use crate::queue::Record;
use crate::runner::{Phase, WorkerState};

/// Who a worker is; the same from start to end.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The engine's id; its queue is named after it.
    pub engine_id: String,
    /// The worker's own name, unlike that of every other worker.
    pub instance: String,
    /// The machine, as people know it.
    pub hostname: String,
    /// `local`, `production`: where the pipeline runs.
    pub deploy_env: String,
    /// What the engine can do.
    pub capabilities: Capabilities,
    /// When the worker started.
    pub registered_at: SystemTime,
}

/// `schema_version` of HEAD's records.
const SCHEMA_VERSION: &str = "3";

/// [`Capabilities`] in HEAD's words and order; what no batch engine of ours has is said to be absent.
#[derive(Serialize)]
pub(crate) struct WireCapabilities<'a> {
    engine_id: &'a str,
    version: &'a str,
    stages: &'a [String],
    supports_word_timestamps: bool,
    supports_native_streaming: bool,
    model_variants: Option<&'a [String]>,
    gpu_required: bool,
    gpu_vram_mb: Option<u64>,
    supports_cpu: bool,
    min_ram_gb: Option<u64>,
    rtf_gpu: Option<f64>,
    rtf_cpu: Option<f64>,
    max_concurrency: Option<u32>,
    includes_diarization: bool,
    vocabulary_support: Option<()>,
    supports_language_forcing: bool,
}

impl Identity {
    /// The engine's capabilities as the registry and `/v1/capabilities` show them.
    pub(crate) fn wire_capabilities(&self) -> WireCapabilities<'_> {
        let capabilities = &self.capabilities;
        WireCapabilities {
            engine_id: &self.engine_id,
            version: &capabilities.version,
            stages: &capabilities.stages,
            supports_word_timestamps: capabilities.supports_word_timestamps,
            supports_native_streaming: false,
            model_variants: capabilities.model_variants.as_deref(),
            gpu_required: capabilities.gpu_required,
            gpu_vram_mb: capabilities.gpu_vram_mb,
            supports_cpu: capabilities.supports_cpu,
            min_ram_gb: capabilities.min_ram_gb,
            rtf_gpu: capabilities.rtf_gpu,
            rtf_cpu: capabilities.rtf_cpu,
            max_concurrency: capabilities.max_concurrency,
            includes_diarization: false,
            vocabulary_support: None,
            supports_language_forcing: capabilities.supports_language_forcing,
        }
    }

    /// The stage that the engine is listed under.
    fn stage(&self) -> &str {
        self.capabilities.stages.first().map_or("", String::as_str)
    }
}

/// The record of one beat.
pub(super) fn record(identity: &Identity, worker: &WorkerState) -> Record {
    let capabilities = serde_json::to_string(&identity.wire_capabilities())
        .expect("strings and numbers under string keys are JSON");
    let engine = &worker.engine;
    let mut fields = vec![
        ("instance", identity.instance.clone()),
        ("engine_id", identity.engine_id.clone()),
        ("stage", identity.stage().to_owned()),
        ("status", status(worker.phase).to_owned()),
        ("interfaces", r#"["batch"]"#.to_owned()),
        ("capacity", "1".to_owned()),
        ("active_batch", worker.active.to_string()),
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
        ("node_id", identity.hostname.clone()),
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

/// The pipeline's word for a phase.
fn status(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "loading",
        Phase::Idle => "idle",
        Phase::Processing => "processing",
        Phase::Draining => "draining",
    }
}
