//! What an engine reports about itself: its capabilities, and its state after a load or a task.

/// The engine's state for the health page and the registry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineHealth {
    /// The model that is ready, or was ready last; `None` before the first load.
    pub model_name: Option<String>,
    /// Every model in memory.
    pub models_loaded: Vec<String>,
    /// The device that the engine runs on: `cpu` or `cuda`.
    pub device: String,
    /// Whether a CUDA device can be used.
    pub cuda_available: bool,
    /// How many CUDA devices there are.
    pub cuda_device_count: u32,
    /// Memory in use on the device, in bytes; `None` without a GPU.
    pub gpu_memory_used_bytes: Option<u64>,
    /// Memory of the device, in bytes; `None` without a GPU.
    pub gpu_memory_total_bytes: Option<u64>,
}

/// What an engine can do, as the registry and `/v1/capabilities` show it to the orchestrator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capabilities {
    /// The engine's version, `1.2.3`.
    pub version: String,
    /// The stages that the engine implements, such as `transcribe`.
    pub stages: Vec<String>,
    /// Whether the engine's words carry times, so that the ALIGN stage can be skipped.
    pub supports_word_timestamps: bool,
    /// Whether a task can set its language.
    pub supports_language_forcing: bool,
    /// The models that a task can ask for; `None` when the engine offers no choice.
    pub model_variants: Option<Vec<String>>,
    /// Whether the engine cannot run without a GPU.
    pub gpu_required: bool,
    /// Memory of the GPU that the engine needs, in MB.
    pub gpu_vram_mb: Option<u64>,
    /// Whether the engine runs on a CPU.
    pub supports_cpu: bool,
    /// Main memory that the engine needs, in GB.
    pub min_ram_gb: Option<u64>,
    /// Measured seconds of work per second of audio on a GPU.
    pub rtf_gpu: Option<f64>,
    /// Measured seconds of work per second of audio on a CPU.
    pub rtf_cpu: Option<f64>,
    /// How many tasks one worker runs at a time.
    pub max_concurrency: Option<u32>,
}
