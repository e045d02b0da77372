//! Prepares a task: reads its settings, chooses its model, and finds its audio.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dalston_engine_sdk::config::Config;
use dalston_engine_sdk::{EngineHealth, Task, TaskError};
use parakeet_model::{Device, ParakeetModel};

use super::model_cache::{BundleChoice, ModelCache, ModelSettings};
use crate::language::Language;
use crate::settings::Settings;
use crate::task_config::TranscribeConfig;
use crate::transcriber::Transcriber;

/// A task's request, checked: nothing of it is loaded yet.
pub(super) struct PreparedTask {
    pub(super) audio: PathBuf,
    pub(super) key: BatchKey,
    /// The language that the task asks for.
    pub(super) language: Option<String>,
    /// A sentence for the user about the choice of the model.
    pub(super) warning: Option<String>,
}

/// Tasks with equal keys may share batches: they use the same model, and the same settings where a setting
/// changes tokens or segments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BatchKey {
    bundle: BundleChoice,
    config: TranscribeConfig,
}

/// The loaded models and all else that preparing a task needs.
pub(super) struct TaskPreparer {
    engine_id: String,
    /// Bytes of a GPU's memory that the worker may use, if the environment limits them.
    vram_budget: Option<u64>,
    /// `None` until the first load, and after a failed one.
    models: Option<ModelCache>,
    /// Settings of other engines that the log has already named.
    ignored: BTreeSet<String>,
}

/// Most settings of other engines that the log names. A task may invent names without end.
const MAX_IGNORED: usize = 100;

impl TaskPreparer {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            engine_id: config.engine_id.clone(),
            vram_budget: config.vram_budget_mb.map(|mb| mb * 1_000_000),
            models: None,
            ignored: BTreeSet::new(),
        }
    }

    /// Loads the default model. Frees all models that were loaded before: after a panic their state is unknown.
    pub(super) fn load(&mut self, settings: &ModelSettings) -> Result<(), TaskError> {
        self.models = None;
        self.models = Some(ModelCache::open(settings)?);
        Ok(())
    }

    /// Where the models run; `None` until one is loaded.
    pub(super) fn device(&self) -> Option<Device> {
        self.models.as_ref().map(ModelCache::device)
    }

    pub(super) fn health(&self) -> EngineHealth {
        let models = self.models.as_ref();
        models.map(ModelCache::health).unwrap_or_default()
    }

    /// Reads a task.
    pub(super) fn prepare(&mut self, task: &Task) -> Result<PreparedTask, TaskError> {
        let (mut config, unknown) = TranscribeConfig::read(&task.input.config)?;
        self.log_ignored(&unknown);
        let audio = task.input.audio()?.to_owned();
        let (bundle, warning) = self.models()?.choose(config.model.as_deref())?;
        task.context.check()?;
        let language = config.language.take();
        Ok(PreparedTask {
            audio,
            key: BatchKey {
                bundle,
                // Settings without effect on tokens and segments must not keep tasks apart; the bundle stands
                // for the model's name.
                config: TranscribeConfig {
                    model: None,
                    channel: None,
                    return_hypotheses: None,
                    ..config
                },
            },
            language,
            warning,
        })
    }

    /// The transcriber for all tasks with this key. Loads the model if it is not loaded.
    pub(super) fn transcriber(&mut self, key: &BatchKey) -> Result<Transcriber, TaskError> {
        let vram_budget = self.vram_budget;
        let compute_type = key.config.compute_type.unwrap_or_default();
        let model = self.models()?.load(&key.bundle, compute_type)?;
        Ok(Transcriber {
            settings: key.config.over(Settings::of(&model, vram_budget)),
            model,
        })
    }

    /// The label of a task's transcript, and whether the task asked for this language. A request that the model
    /// cannot meet gives the model's own label and a warning.
    pub(super) fn language(&self, asked: Option<&str>, model: &ParakeetModel) -> (Language, bool) {
        let mut language = Language::settle(asked, model.manifest());
        let asked = asked.filter(|asked| !asked.eq_ignore_ascii_case("auto"));
        let is_requested = asked.is_some() && language.warning.is_none();
        // The sentence of Dalston's own engines comes first, so that one search finds the warning of every
        // engine; the explanation follows.
        language.warning = language.warning.map(|why| {
            let asked = asked.unwrap_or_default();
            format!(
                "Engine '{}' cannot force language '{asked}'; {why}",
                self.engine_id
            )
        });
        (language, is_requested)
    }

    fn models(&mut self) -> Result<&mut ModelCache, TaskError> {
        let models = self.models.as_mut();
        models.ok_or_else(|| TaskError::engine("the engine is not loaded"))
    }

    /// Logs each unknown setting, once per worker.
    fn log_ignored(&mut self, keys: &[&str]) {
        for key in keys {
            if self.ignored.len() < MAX_IGNORED && self.ignored.insert((*key).to_owned()) {
                tracing::warn!(key, "config_key_ignored");
            }
        }
    }
}
