//! Parakeet as an engine of the pipeline: tasks in, transcripts out.

mod fault;
mod model_cache;
mod prepare;
mod task_batch;

use dalston_engine_sdk::config::{Config, DeviceChoice};
use dalston_engine_sdk::{BatchEngine, Capabilities, EngineHealth, TaskError, Tasks};
use parakeet_model::Device;

use crate::engine_manifest::EngineManifest;

use model_cache::ModelSettings;
use prepare::TaskPreparer;

/// Parakeet as Dalston's worker runs it.
pub struct ParakeetEngine {
    capabilities: Capabilities,
    settings: ModelSettings,
    /// Most tasks in flight, if the environment says so.
    max_in_flight: Option<usize>,
    preparer: TaskPreparer,
}

impl ParakeetEngine {
    /// An engine that has loaded no model yet.
    pub fn new(manifest: &EngineManifest, config: &Config) -> Self {
        let settings = ModelSettings {
            default_model: config.default_model.clone(),
            model_dir: config.model_dir.clone(),
            max_models: config.max_loaded_models,
            device: match config.device {
                DeviceChoice::Auto => Device::Auto,
                DeviceChoice::Cpu => Device::Cpu,
                DeviceChoice::Cuda => Device::Cuda,
            },
        };
        Self {
            capabilities: Capabilities {
                model_variants: Some(settings.ids()),
                ..manifest.capabilities()
            },
            settings,
            max_in_flight: config.max_in_flight,
            preparer: TaskPreparer::new(config),
        }
    }
}

impl BatchEngine for ParakeetEngine {
    fn load(&mut self) -> Result<(), TaskError> {
        self.preparer.load(&self.settings)
    }

    fn process_all(&mut self, tasks: &mut Tasks) {
        // A batch ends with the first task that may not share it; that task starts the next batch.
        let mut deferred = None;
        while let Some(task) = deferred.take().or_else(|| tasks.take()) {
            deferred = task_batch::transcribe(&mut self.preparer, tasks, task);
        }
    }

    fn tasks_at_once(&self) -> usize {
        self.max_in_flight.unwrap_or(match self.preparer.device() {
            Some(Device::Cuda) => IN_FLIGHT_ON_A_GPU,
            _ => 1,
        })
    }

    fn health(&self) -> EngineHealth {
        self.preparer.health()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }
}

/// Tasks in flight on a GPU: with two minutes of audio each, their 64 chunks of 30 s are half of the largest
/// encoder batch.
const IN_FLIGHT_ON_A_GPU: usize = 16;
