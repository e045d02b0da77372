//! Who a worker is, and its engine's capabilities as the pipeline reads them.

use std::time::SystemTime;

use serde::Serialize;

use crate::engine::Capabilities;

/// Who a worker is; the same from start to end.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The engine's id; its queue is named after it.
    pub engine_id: String,
    /// The worker's own name; no other worker of the pipeline has it.
    pub instance: String,
    /// The machine's name, as people know it.
    pub hostname: String,
    /// The node's id: where Dalston's autoscaler runs, the id of the EC2 instance.
    pub node_id: String,
    /// Where the pipeline runs: `local`, `production`.
    pub deploy_env: String,
    /// What the engine can do.
    pub capabilities: Capabilities,
    /// When the worker started.
    pub registered_at: SystemTime,
}

/// [`Capabilities`] with HEAD's names and in HEAD's order. Fields that no engine of this SDK has are
/// written as absent: `false` or null.
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

    /// The stage that the registry lists the engine under.
    pub(super) fn stage(&self) -> &str {
        self.capabilities.stages.first().map_or("", String::as_str)
    }
}
