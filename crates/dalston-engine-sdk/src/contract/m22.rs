//! `m22`: the plan's shape, with the text of a word under the key `word`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

use crate::transcript::{AlignmentMethod, Transcript, TranscriptSegment, TranscriptWord};

/// `data` of an output in the contract `m22`. What is unknown is absent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct M22Transcript<'a> {
    /// The whole text; empty for silence.
    text: &'a str,
    /// In order of time; empty for silence.
    segments: Vec<Segment<'a>>,
    /// ISO 639-1 code.
    language: &'a str,
    /// Whether the words carry the engine's own times, so that nothing has to be aligned.
    native_word_timestamps: bool,
    // No key of the contract: the command line of an engine shows it beside the contract's keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    alignment_method: Option<AlignmentMethod>,
    /// How confidences were computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_method: Option<&'a str>,
    /// What could not be done as asked.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

/// A sentence-like run of words.
#[derive(Debug, Serialize, JsonSchema)]
struct Segment<'a> {
    /// Seconds.
    #[schemars(range(min = 0.0))]
    start: f64,
    /// Seconds.
    #[schemars(range(min = 0.0))]
    end: f64,
    /// The segment's text.
    text: &'a str,
    /// Absent when the engine knows no word times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    words: Vec<Word<'a>>,
}

/// A word with its times.
#[derive(Debug, Serialize, JsonSchema)]
struct Word<'a> {
    /// The word, with its punctuation if the model writes any.
    word: &'a str,
    /// Seconds.
    #[schemars(range(min = 0.0))]
    start: f64,
    /// Seconds.
    #[schemars(range(min = 0.0))]
    end: f64,
    /// Absent when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    confidence: Option<f64>,
}

/// The schema of [`M22Transcript`], made from the type: the plan's shape is in no recording.
pub(super) fn schema() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        // A manifest holds the schema as a part. A reference to the root would lead to the manifest's root.
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<M22Transcript<'static>>()
}

impl M22Transcript<'_> {
    /// Adds the key `alignment_method`, which the contract does not have, for output that people read.
    pub fn with_alignment_method(self, method: AlignmentMethod) -> Self {
        Self {
            alignment_method: Some(method),
            ..self
        }
    }
}

impl<'a> From<&'a Transcript> for M22Transcript<'a> {
    fn from(transcript: &'a Transcript) -> Self {
        Self {
            text: &transcript.text,
            segments: transcript.segments.iter().map(Segment::from).collect(),
            language: &transcript.language,
            native_word_timestamps: true,
            alignment_method: None,
            confidence_method: transcript.confidence_method.as_deref(),
            warnings: &transcript.warnings,
        }
    }
}

impl<'a> From<&'a TranscriptSegment> for Segment<'a> {
    fn from(segment: &'a TranscriptSegment) -> Self {
        Self {
            start: segment.start,
            end: segment.end,
            text: &segment.text,
            words: segment.words.iter().map(Word::from).collect(),
        }
    }
}

impl<'a> From<&'a TranscriptWord> for Word<'a> {
    fn from(word: &'a TranscriptWord) -> Self {
        Self {
            word: &word.text,
            start: word.start,
            end: word.end,
            confidence: word.confidence,
        }
    }
}
