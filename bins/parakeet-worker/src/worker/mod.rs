//! The model as an engine of the pipeline: one task in, one transcript out.

mod models;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use dalston_engine_sdk::audio::AudioError;
use dalston_engine_sdk::config::{Config, DeviceChoice};
use dalston_engine_sdk::contract::LanguageSource;
use dalston_engine_sdk::{
    Capabilities, EngineHealth, TaskContext, TaskError, TaskInput, TaskOutput, TaskResult,
};
use parakeet_model::{Device, ParakeetModel};

use crate::engine::{Engine, Error, Settings, Transcript};
use crate::engine_manifest::EngineManifest;
use crate::language::Language;
use crate::output::{Label, wire};
use crate::source::Source;
use crate::task_config::TranscribeConfig;

use models::{ModelSettings, Models};

/// Parakeet as Dalston's worker runs it.
pub struct Worker {
    engine_id: String,
    capabilities: Capabilities,
    settings: ModelSettings,
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
            models: None,
            ignored: BTreeSet::new(),
        }
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

impl dalston_engine_sdk::Engine for Worker {
    /// Loads the default model. After a panic too: what it left of the loaded ones is not to be
    /// trusted.
    fn load(&mut self) -> Result<(), TaskError> {
        self.models = None;
        self.models = Some(Models::open(&self.settings)?);
        Ok(())
    }

    fn process(
        &mut self,
        input: &TaskInput,
        context: &TaskContext,
    ) -> Result<TaskOutput, TaskError> {
        let (config, unknown) = TranscribeConfig::read(&input.config)?;
        self.tell_ignored(&unknown);
        let audio = input.audio()?;
        let models = self.models.as_mut();
        let models = models.ok_or_else(|| TaskError::engine("the engine is not loaded"))?;
        let (model, model_warning) = models.get(&config)?;
        context.check()?;

        let model_id = model.manifest().model_id.clone();
        let (language, is_requested) = self.language(config.language.as_deref(), &model);
        tracing::info!(model = model_id, language = language.code, "transcribing");
        let settings = config.over(Settings::of(&model));
        let head = model.manifest().head;
        let engine = Engine { model, settings };
        let (mut transcript, audio_s) = hear(&engine, audio, context)?;

        transcript.warnings.extend(model_warning);
        transcript.warnings.extend(language.warning);
        let label = Label {
            language: &language.code,
            head,
        };
        let mut written = wire(&transcript, &label);
        written.duration = Some(audio_s);
        written.language_source = is_requested.then_some(LanguageSource::Requested);
        tracing::info!(
            segment_count = written.segments.len(),
            word_count = written
                .segments
                .iter()
                .map(|it| it.words.len())
                .sum::<usize>(),
            char_count = written.text.chars().count(),
            "transcription_complete"
        );
        Ok(TaskOutput {
            result: TaskResult::Transcript(written),
            model: Some(model_id),
            audio_s: Some(audio_s),
        })
    }

    fn health(&self) -> EngineHealth {
        self.models.as_ref().map(Models::health).unwrap_or_default()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }
}

/// Transcribes one file, and stops between two batches when the task is to stop; the transcript and the
/// seconds of audio.
fn hear(
    engine: &Engine,
    audio: &Path,
    context: &TaskContext,
) -> Result<(Transcript, f64), TaskError> {
    let mut outcome = None;
    let stats = engine.transcribe(
        &[Source::File(audio.to_owned())],
        |stats| {
            context.progress(stats.heard_s / stats.audio_s);
            match context.check() {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        },
        |_, transcript| {
            outcome = Some(transcript);
            ControlFlow::Continue(())
        },
    );
    let Some(outcome) = outcome else {
        context.check()?;
        unreachable!("a file has an outcome unless its task is to stop");
    };
    let transcript = outcome.map_err(fault)?;
    Ok((transcript, stats.audio_s))
}

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
        Error::Model(why) => {
            TaskError::engine("the network cannot transcribe this audio").caused_by(why)
        }
    }
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
    fn the_cause_of_a_fault_is_for_the_log_alone() {
        let disk = std::io::Error::other("/secret/place");
        let err = fault(AudioError::Io(disk).into());
        assert!(!err.to_string().contains("/secret"), "{err}");
        assert!(err.chain().contains("/secret"), "{}", err.chain());
    }
}
