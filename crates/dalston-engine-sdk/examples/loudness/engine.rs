//! An engine that measures how loud a recording is, second by second.

use dalston_engine_sdk::audio::{self, AudioError, AudioLimits, SAMPLE_RATE_HZ};
use dalston_engine_sdk::{
    Capabilities, Engine, EngineHealth, TaskContext, TaskError, TaskInput, TaskOutput, TaskResult,
};
use serde_json::json;

/// Level of a second without any sound, in dB. All other levels are between this one and 0.
const SILENCE_DB: f64 = -100.0;

/// The engine. It has no weights, so there is nothing to hold.
#[derive(Debug, Default)]
pub(crate) struct Loudness;

impl Engine for Loudness {
    /// An engine with weights reads them here. Until the call returns, the worker answers health checks and
    /// takes no task.
    fn load(&mut self) -> Result<(), TaskError> {
        Ok(())
    }

    fn process(
        &mut self,
        input: &TaskInput,
        context: &TaskContext,
    ) -> Result<TaskOutput, TaskError> {
        let quiet_db = quiet_db(input)?;
        let waveform = audio::load(input.audio()?, &AudioLimits::default()).map_err(fault)?;
        let mut levels_db = Vec::new();
        for second in waveform.samples.chunks(SAMPLE_RATE_HZ as usize) {
            // Returns with an error when the task must stop: its time is over, or the worker shuts down.
            context.check()?;
            levels_db.push(level_db(second));
            context.progress(levels_db.len() as f64 / waveform.duration_s());
        }
        let n_quiet_s = levels_db.iter().filter(|&&level| level < quiet_db).count();
        let warnings: Vec<_> = waveform.warnings.iter().map(ToString::to_string).collect();
        Ok(TaskOutput {
            result: TaskResult::Data(json!({
                "levels_db": levels_db,
                "n_quiet_s": n_quiet_s,
                "warnings": warnings,
            })),
            model: None,
            audio_s: Some(waveform.duration_s()),
        })
    }

    fn health(&self) -> EngineHealth {
        EngineHealth {
            device: "cpu".to_owned(),
            ..EngineHealth::default()
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            stages: vec!["loudness".to_owned()],
            supports_cpu: true,
            ..Capabilities::default()
        }
    }
}

/// The level below which a second counts as quiet: the task's `config.quiet_db`, else -50.
fn quiet_db(input: &TaskInput) -> Result<f64, TaskError> {
    let Some(value) = input.config.get("quiet_db") else {
        return Ok(-50.0);
    };
    let level = value
        .as_f64()
        .filter(|level| (SILENCE_DB..=0.0).contains(level));
    level.ok_or_else(|| {
        TaskError::input(format!(
            "config.quiet_db is {value}, expected {SILENCE_DB} to 0"
        ))
    })
}

/// Level of these samples against full scale, rounded to a tenth.
fn level_db(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|&it| f64::from(it).powi(2)).sum();
    let level = 10.0 * (sum / samples.len() as f64).log10();
    (level.max(SILENCE_DB) * 10.0).round() / 10.0
}

/// If the file cannot be read, this machine is at fault; if the file is no audio, the task is.
fn fault(why: AudioError) -> TaskError {
    let sentence = why.to_string();
    match why {
        AudioError::Io(_) => TaskError::engine(sentence).caused_by(why),
        _ => TaskError::input(sentence).caused_by(why),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dalston_engine_sdk::ErrorKind;
    use serde_json::{Value, json};

    use super::*;

    /// Runs a task with this audio and this config, without a queue and without a store.
    fn process(audio: &Path, config: Value) -> Result<Value, TaskError> {
        let mut input = TaskInput::default();
        input.files.insert("audio".to_owned(), audio.to_owned());
        input.config = config.as_object().cloned().unwrap_or_default();
        let output = Loudness.process(&input, &TaskContext::default())?;
        match output.result {
            TaskResult::Data(data) => Ok(data),
            TaskResult::Transcript(_) => panic!("loudness is no transcript"),
        }
    }

    /// A WAV file: half a second of a square wave at half of full scale, then half a second of silence.
    fn recording() -> tempfile::NamedTempFile {
        let samples = (0..16_000).map(|n: i16| match n {
            8000.. => 0,
            _ if n % 2 == 0 => 16_384,
            _ => -16_384_i16,
        });
        let mut wav =
            b"RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0\
                        data\0\x7d\0\0"
                .to_vec();
        wav.extend(samples.flat_map(i16::to_le_bytes));
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), wav).expect("it can be written");
        file
    }

    #[test]
    fn a_second_that_is_half_silent_is_3_db_below_its_loud_half() {
        let file = recording();
        // 6 dB for half of full scale, 3 dB for half of the time.
        let expected = json!({"levels_db": [-9.0], "n_quiet_s": 0, "warnings": []});
        assert_eq!(process(file.path(), json!({})).ok(), Some(expected));
        let strict = process(file.path(), json!({"quiet_db": -8})).expect("a sound file");
        assert_eq!(strict["n_quiet_s"], 1);
    }

    #[test]
    fn what_is_wrong_with_a_task_is_told_as_its_own_fault() {
        let file = recording();
        let err = process(file.path(), json!({"quiet_db": "low"})).expect_err("no number");
        assert_eq!(
            (err.kind(), err.to_string().as_str()),
            (
                ErrorKind::Input,
                r#"config.quiet_db is "low", expected -100 to 0"#
            )
        );
        let text = tempfile::NamedTempFile::new().expect("a temporary file");
        let err = process(text.path(), json!({})).expect_err("an empty file");
        assert_eq!(err.kind(), ErrorKind::Input);
    }
}
