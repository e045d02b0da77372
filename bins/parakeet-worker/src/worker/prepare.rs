//! Prepares a task: reads its settings, chooses its model, and finds its audio.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use dalston_engine_sdk::config::Config;
use dalston_engine_sdk::{EngineHealth, Task, TaskError, Tasks};
use parakeet_model::{ComputeType, Device, ParakeetModel};
use segmenter::SegmentRules;

use super::model_cache::{BundleChoice, ModelCache, ModelSettings};
use crate::language::Language;
use crate::settings::Settings;
use crate::task_config::TranscribeConfig;
use crate::transcriber::Transcriber;

/// A task's request, checked: nothing of it is loaded yet.
pub(super) struct PreparedTask {
    pub(super) audio: PathBuf,
    pub(super) key: BatchKey,
    /// Where the segments of this task end.
    pub(super) segment_rules: SegmentRules,
    /// The language that the task asks for.
    pub(super) language: Option<String>,
    /// A sentence for the user about the choice of the model.
    pub(super) warning: Option<String>,
}

/// Tasks with equal keys may share batches: they use the same model, and the same settings of batches.
/// Settings that say what becomes of a task's own tokens are in its [`PreparedTask`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BatchKey {
    bundle: BundleChoice,
    compute_type: ComputeType,
    batch_size: Option<NonZeroUsize>,
}

/// The loaded models and all else that preparing a task needs.
pub(super) struct TaskPreparer {
    engine_id: String,
    /// Bytes of a GPU's memory that the worker may use, if the environment limits them.
    vram_budget: Option<u64>,
    /// Most characters of a segment of a task that says nothing about it; 0 is any number.
    max_segment_chars: usize,
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
            max_segment_chars: config.max_segment_chars,
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
        let (config, unknown) = TranscribeConfig::read(&task.input.config)?;
        self.log_ignored(&unknown);
        let audio = task.input.audio()?.to_owned();
        let (bundle, warning) = self.models()?.choose(config.model.as_deref())?;
        task.context.check()?;
        Ok(PreparedTask {
            audio,
            key: BatchKey {
                bundle,
                compute_type: config.compute_type.unwrap_or_default(),
                batch_size: config
                    .batch_size
                    .and_then(|size| NonZeroUsize::new(size.into())),
            },
            segment_rules: config.segment_rules(self.max_segment_chars),
            language: config.language,
            warning,
        })
    }

    /// The transcriber for all tasks with this key. Loads the model if it is not loaded, and records in
    /// the metrics of `tasks` whether it was.
    pub(super) fn transcriber(
        &mut self,
        key: &BatchKey,
        tasks: &Tasks,
    ) -> Result<Transcriber, TaskError> {
        let vram_budget = self.vram_budget;
        let began = Instant::now();
        let (model, was_loaded) = self.models()?.load(&key.bundle, key.compute_type)?;
        let id = &model.manifest().model_id;
        match was_loaded {
            true => tasks.record_model_in_memory(id),
            false => tasks.record_model_load(id, began.elapsed()),
        }
        let mut settings = Settings::of(&model, vram_budget);
        settings.batch_size = key.batch_size.unwrap_or(settings.batch_size);
        Ok(Transcriber { model, settings })
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
