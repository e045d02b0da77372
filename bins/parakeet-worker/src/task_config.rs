//! A task's `config`: the settings that a task may send.

use dalston_engine_sdk::TaskError;
use parakeet_model::ComputeType;
use schemars::JsonSchema;
use segmenter::{SegmentRules, TextLimit};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::language::is_language_code;

/// A task's settings. Every one may be missing or null, and then its default holds.
///
/// Keys of other engines arrive as well; they are ignored, with one line in the log.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TranscribeConfig {
    /// Which model: an id with a bundle. The name of another engine's model gives the default, with a
    /// warning in the transcript.
    #[schemars(extend("examples" = [
        "nvidia/parakeet-rnnt-0.6b", "nvidia/parakeet-rnnt-1.1b",
        "nvidia/parakeet-ctc-0.6b", "nvidia/parakeet-ctc-1.1b",
    ]))]
    pub model: Option<String>,
    /// Language spoken, `auto` or a code such as `de`. A label: no Parakeet can be told what to hear.
    pub language: Option<String>,
    /// The channel that the audio is of several.
    pub channel: Option<u32>,
    /// Most chunks of long audio in one encoder batch; by default 4 on a CPU, and on a GPU what its
    /// memory holds, 128 at most. The words do not depend on it.
    #[schemars(range(min = 1, max = 32))]
    pub batch_size: Option<u8>,
    /// Number format of the network; `auto`, the default, is the fastest in the bundle that keeps the
    /// words.
    #[schemars(with = "Option<String>", extend("enum" = compute_types()))]
    pub compute_type: Option<ComputeType>,
    /// Accepted and without effect: words always have their times.
    pub return_hypotheses: Option<bool>,
    /// Silence between two words that ends a segment, in seconds; 0.8 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub segment_pause: Option<f64>,
    /// Longest segment in seconds, 20 by default; a longer one is cut at its widest gap.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub segment_length: Option<f64>,
    /// Most characters of a segment; 0 is any number. By default 80, which Dalston's subtitles show whole.
    pub max_segment_chars: Option<usize>,
    /// Whether segments go on after `.`, `!` and `?`; they do not by default.
    pub ignore_punctuation: Option<bool>,
}

impl TranscribeConfig {
    /// Reads a task's `config`. Returns the settings and the unknown keys.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](dalston_engine_sdk::ErrorKind::Input) if the value of a known key is not allowed.
    /// The sentence names the key, the value, and what is allowed.
    pub fn read(config: &Map<String, Value>) -> Result<(Self, Vec<&str>), TaskError> {
        let mut read = Self::default();
        let mut unknown = Vec::new();
        for (key, value) in config.iter().filter(|(_, value)| !value.is_null()) {
            match read.set(key, value) {
                Ok(true) => {}
                Ok(false) => unknown.push(key.as_str()),
                Err(expected) => {
                    let value: String = value.to_string().chars().take(60).collect();
                    let sentence = format!("config.{key} is {value}, expected {expected}");
                    return Err(TaskError::input(sentence));
                }
            }
        }
        Ok((read, unknown))
    }

    /// Sets the value of `key`. Returns whether the key is known; the error is a description of allowed values.
    fn set(&mut self, key: &str, value: &Value) -> Result<bool, String> {
        const SECONDS: &str = "a number of seconds above 0";
        const SWITCH: &str = "true or false";
        const COUNT: &str = "a whole number from 1 to 32";
        const CHARS: &str = "a whole number of 0 or more";
        const LANGUAGE: &str = "auto or a code such as de or de-AT";
        match key {
            "model" => put(&mut self.model, value, "a model's id", |_| true)?,
            "language" => put(&mut self.language, value, LANGUAGE, |it| {
                is_language_code(it)
            })?,
            "channel" => put(&mut self.channel, value, "a channel's number", |_| true)?,
            "batch_size" => put(&mut self.batch_size, value, COUNT, |it| {
                (1..=32).contains(it)
            })?,
            "compute_type" => {
                let name = value.as_str().unwrap_or_default();
                let names = ComputeType::ALL.map(ComputeType::name).join(", ");
                let known = name.parse().map_err(|_| format!("one of {names}"))?;
                self.compute_type = Some(known);
            }
            "return_hypotheses" => put(&mut self.return_hypotheses, value, SWITCH, |_| true)?,
            "segment_pause" => put(&mut self.segment_pause, value, SECONDS, |it| *it > 0.0)?,
            "segment_length" => put(&mut self.segment_length, value, SECONDS, |it| *it > 0.0)?,
            "max_segment_chars" => put(&mut self.max_segment_chars, value, CHARS, |_| true)?,
            "ignore_punctuation" => put(&mut self.ignore_punctuation, value, SWITCH, |_| true)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Where the task's segments end. `max_chars` holds if the task does not limit their text; 0 is no limit.
    pub fn segment_rules(&self, max_chars: usize) -> SegmentRules {
        let defaults = SegmentRules::default();
        let max_chars = self.max_segment_chars.unwrap_or(max_chars);
        SegmentRules {
            at_sentence_ends: !self
                .ignore_punctuation
                .unwrap_or(!defaults.at_sentence_ends),
            pause: self.segment_pause.unwrap_or(defaults.pause),
            max_length: self.segment_length.unwrap_or(defaults.max_length),
            max_text: (max_chars > 0).then(|| text_limit(max_chars)),
        }
    }
}

/// At most `max_chars` characters; and if that can be a subtitle of Dalston's, then one that shows every word.
///
/// Dalston's SRT and VTT wrap a segment between words into lines of 42 characters, and drop what follows the
/// second line. So 80 characters may be too many, if a long word moves to the second line.
fn text_limit(max_chars: usize) -> TextLimit {
    const LINES: usize = 2;
    const LINE_CHARS: usize = 42;
    if max_chars > LINES * LINE_CHARS {
        return TextLimit::of_chars(max_chars);
    }
    TextLimit {
        max_chars,
        max_lines: LINES,
        max_line_chars: LINE_CHARS,
    }
}

/// The values of `compute_type` in the schema, null included.
fn compute_types() -> Vec<Option<&'static str>> {
    let names = ComputeType::ALL.map(ComputeType::name).map(Some);
    names.into_iter().chain([None]).collect()
}

/// Reads a value that must have the type of `place` and fulfil `fits`; `expected` is the error.
fn put<T: DeserializeOwned>(
    place: &mut Option<T>,
    value: &Value,
    expected: &str,
    fits: impl FnOnce(&T) -> bool,
) -> Result<(), String> {
    *place = T::deserialize(value).ok().filter(fits);
    if place.is_some() {
        Ok(())
    } else {
        Err(expected.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    #[track_caller]
    fn refused(config: Value, sentence: &str) {
        let err = TranscribeConfig::read(&object(config)).expect_err("refused");
        assert_eq!(err.kind(), dalston_engine_sdk::ErrorKind::Input);
        assert_eq!(err.to_string(), sentence);
    }

    #[test]
    fn what_the_plan_sends_is_read() {
        let config = object(json!({
            "model": "nvidia/parakeet-ctc-1.1b", "batch_size": 32, "compute_type": "float16",
            "return_hypotheses": true, "language": "auto", "channel": 1,
        }));
        let (read, unknown) = TranscribeConfig::read(&config).expect("it is the plan's");
        assert_eq!(
            read,
            TranscribeConfig {
                model: Some("nvidia/parakeet-ctc-1.1b".to_owned()),
                language: Some("auto".to_owned()),
                channel: Some(1),
                batch_size: Some(32),
                compute_type: Some(ComputeType::Float16),
                return_hypotheses: Some(true),
                ..TranscribeConfig::default()
            }
        );
        assert!(unknown.is_empty());
    }

    #[test]
    fn keys_of_other_engines_are_told_and_null_is_no_value() {
        let config = object(json!({"beam_size": 5, "vad_filter": true, "language": null}));
        let (read, unknown) = TranscribeConfig::read(&config).expect("nothing is wrong with it");
        assert_eq!(read, TranscribeConfig::default());
        assert_eq!(unknown, ["beam_size", "vad_filter"]);
    }

    #[test]
    fn a_bad_value_is_refused_by_its_key() {
        let batch_sizes = [json!(0), json!(33), json!("4"), json!(-1), json!(1.5)];
        for value in batch_sizes {
            let sentence =
                format!("config.batch_size is {value}, expected a whole number from 1 to 32");
            refused(json!({"batch_size": value}), &sentence);
        }
        refused(
            json!({"compute_type": "fp16"}),
            "config.compute_type is \"fp16\", expected one of auto, float32, bfloat16, float16, int8, int8_float32",
        );
        refused(
            json!({"segment_pause": 0}),
            "config.segment_pause is 0, expected a number of seconds above 0",
        );
        refused(
            json!({"model": 5}),
            "config.model is 5, expected a model's id",
        );
        refused(
            json!({"language": "de; drop"}),
            "config.language is \"de; drop\", expected auto or a code such as de or de-AT",
        );
        let long = object(json!({"channel": "9".repeat(10_000)}));
        let err = TranscribeConfig::read(&long).expect_err("refused");
        assert!(err.to_string().len() < 120, "{err}");
    }

    #[track_caller]
    fn rules(config: Value) -> SegmentRules {
        let config = object(config);
        let (read, _) = TranscribeConfig::read(&config).expect("nothing is wrong with it");
        read.segment_rules(80)
    }

    #[test]
    fn what_a_task_says_about_segments_replaces_a_default_and_nothing_else_does() {
        let defaults = SegmentRules {
            max_text: Some(text_limit(80)),
            ..SegmentRules::default()
        };
        assert_eq!(rules(json!({"batch_size": 7})), defaults);
        let config = json!({
            "segment_pause": 0.25, "segment_length": 9, "ignore_punctuation": true,
            "max_segment_chars": 0,
        });
        let said = SegmentRules {
            at_sentence_ends: false,
            pause: 0.25,
            max_length: 9.0,
            max_text: None,
        };
        assert_eq!(rules(config), said);
    }

    #[test]
    fn a_limit_that_fits_two_lines_is_one_of_lines_and_a_larger_one_is_not() {
        let lines = |max_chars: usize| {
            let limit = rules(json!({"max_segment_chars": max_chars})).max_text;
            let limit = limit.expect("it is more than 0");
            (limit.max_chars, limit.max_lines)
        };
        assert_eq!(lines(40), (40, 2));
        assert_eq!(lines(84), (84, 2));
        assert_eq!(lines(85), (85, usize::MAX));
    }

    #[test]
    fn every_setting_of_the_schema_is_read_and_no_other() {
        let schema = schemars::schema_for!(TranscribeConfig).to_value();
        let properties = schema["properties"].as_object().expect("it has settings");
        for key in properties.keys() {
            let config = object(json!({key: {"no": "value"}}));
            TranscribeConfig::read(&config).expect_err("no setting is an object");
        }
        assert_eq!(properties.len(), 10);
    }
}
