//! The model as an engine of the pipeline: tasks in, transcripts out.

mod company;
mod models;

use std::collections::BTreeSet;

use dalston_engine_sdk::audio::AudioError;
use dalston_engine_sdk::config::{Config, DeviceChoice};
use dalston_engine_sdk::{BatchEngine, Capabilities, EngineHealth, TaskError, Tasks};
use parakeet_model::{Device, ParakeetModel};

use crate::engine::{Engine, Error, Settings};
use crate::engine_manifest::EngineManifest;
use crate::language::Language;
use crate::task_config::TranscribeConfig;

use models::{Bundle, ModelSettings, Models};

/// Parakeet as Dalston's worker runs it.
pub struct Worker {
    engine_id: String,
    capabilities: Capabilities,
    settings: ModelSettings,
    /// Tasks at a time, if somebody said.
    max_in_flight: Option<usize>,
    /// Bytes of a GPU's memory, if somebody said.
    vram_budget: Option<u64>,
    /// Present once [`load`](dalston_engine_sdk::Engine::load) has returned.
    models: Option<Models>,
    /// Settings of other engines that were told about in the log.
    ignored: BTreeSet<String>,
}

/// As many different unknown settings are told about; a task may invent more.
const MAX_IGNORED: usize = 100;

impl Worker {
    /// A worker that has loaded nothing yet.
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
            engine_id: config.engine_id.clone(),
            capabilities: Capabilities {
                model_variants: Some(settings.ids()),
                ..manifest.capabilities()
            },
            settings,
            max_in_flight: config.max_in_flight,
            vram_budget: config.vram_budget_mb.map(|mb| mb * 1_000_000),
            models: None,
            ignored: BTreeSet::new(),
        }
    }

    fn models(&mut self) -> Result<&mut Models, TaskError> {
        let models = self.models.as_mut();
        models.ok_or_else(|| TaskError::engine("the engine is not loaded"))
    }

    /// A model with the settings that tasks ask for.
    fn engine(&mut self, bundle: &Bundle, config: &TranscribeConfig) -> Result<Engine, TaskError> {
        let vram_budget = self.vram_budget;
        let compute_type = config.compute_type.unwrap_or_default();
        let model = self.models()?.load(bundle, compute_type)?;
        Ok(Engine {
            settings: config.over(Settings::of(&model, vram_budget)),
            model,
        })
    }

    /// Says once of each setting that it means nothing here.
    fn tell_ignored(&mut self, keys: &[&str]) {
        for key in keys {
            if self.ignored.len() < MAX_IGNORED && self.ignored.insert((*key).to_owned()) {
                tracing::warn!(key, "config_key_ignored");
            }
        }
    }

    /// The language to write, whether it was asked for, and a warning if it was in vain.
    fn language(&self, asked: Option<&str>, model: &ParakeetModel) -> (Language, bool) {
        let mut language = Language::settle(asked, model.manifest());
        let asked = asked.filter(|asked| !asked.eq_ignore_ascii_case("auto"));
        let is_requested = asked.is_some() && language.warning.is_none();
        // In the words of Dalston's own engines, then in ours.
        language.warning = language.warning.map(|why| {
            let asked = asked.unwrap_or_default();
            format!(
                "Engine '{}' cannot force language '{asked}'; {why}",
                self.engine_id
            )
        });
        (language, is_requested)
    }
}

impl BatchEngine for Worker {
    /// Loads the default model. After a panic too: what it left of the loaded ones is not to be
    /// trusted.
    fn load(&mut self) -> Result<(), TaskError> {
        self.models = None;
        self.models = Some(Models::open(&self.settings)?);
        Ok(())
    }

    fn process_all(&mut self, tasks: &mut Tasks) {
        let mut next = None;
        while let Some(task) = next.take().or_else(|| tasks.take()) {
            next = company::transcribe(self, tasks, task);
        }
    }

    fn tasks_at_once(&self) -> usize {
        let models = self.models.as_ref();
        self.max_in_flight
            .unwrap_or_else(|| match models.map(Models::device) {
                Some(Device::Cuda) => IN_FLIGHT_ON_A_GPU,
                _ => 1,
            })
    }

    fn health(&self) -> EngineHealth {
        self.models.as_ref().map(Models::health).unwrap_or_default()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }
}

/// Tasks that share the batches of a GPU: two minutes of audio each fill one.
const IN_FLIGHT_ON_A_GPU: usize = 16;

/// Whose fault it is that a file has no transcript.
fn fault(why: Error) -> TaskError {
    match why {
        // A file that was stored a moment ago: this machine's fault, and bounded like any other.
        Error::Audio(why @ AudioError::Io(_)) => TaskError::engine(why.to_string()).caused_by(why),
        Error::Audio(why) => TaskError::input(why.to_string()).caused_by(why),
        Error::Model(why @ parakeet_model::Error::OutOfMemory { .. }) => TaskError::engine(
            "there is not enough memory for this audio; a smaller config.batch_size needs less",
        )
        .caused_by(why),
        Error::Model(why @ parakeet_model::Error::DeviceLost { .. }) => give_up(&why),
        Error::Model(why) => {
            TaskError::engine("the network cannot transcribe this audio").caused_by(why)
        }
    }
}

/// After this nothing can be done in this process. The runner treats it as any breakdown of the engine: it
/// loads it anew, and if the GPU is not back then, the process ends and the next one has it. Every task at
/// work is tried again, but no task for ever.
fn give_up(why: &parakeet_model::Error) -> ! {
    let cause = std::error::Error::source(why);
    panic!(
        "{why}: {}",
        cause.map(ToString::to_string).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use dalston_engine_sdk::ErrorKind;

    use super::*;

    #[test]
    fn bad_audio_is_the_tasks_fault_and_a_full_memory_is_not() {
        let kind = |why: Error| fault(why).kind();
        assert_eq!(kind(AudioError::Empty.into()), ErrorKind::Input);
        assert_eq!(
            kind(AudioError::Io(std::io::Error::other("disk")).into()),
            ErrorKind::Engine
        );
        let full = parakeet_model::Error::OutOfMemory {
            method: "encode",
            arguments: String::new(),
            source: "2 GiB".into(),
        };
        assert_eq!(kind(full.into()), ErrorKind::Engine);
    }

    #[test]
    #[should_panic(expected = "the GPU was lost in encode")]
    fn a_lost_gpu_breaks_the_engine_down() {
        let lost = parakeet_model::Error::DeviceLost {
            method: "encode",
            arguments: String::new(),
            source: "CUDA error".into(),
        };
        fault(lost.into());
    }

    #[test]
    fn the_cause_of_a_fault_is_for_the_log_alone() {
        let disk = std::io::Error::other("/secret/place");
        let err = fault(AudioError::Io(disk).into());
        assert!(!err.to_string().contains("/secret"), "{err}");
        assert!(err.chain().contains("/secret"), "{}", err.chain());
    }
}
