//! The transcript of one task, before a contract writes it in the contract's own shape.

use serde::{Deserialize, Serialize};

/// The text of one recording with its segments and words.
///
/// All times are seconds from the start of the audio and are not negative. The engine rounds them; the
/// contracts write them as they are. A field that is `None` is written as absent or null: the SDK invents
/// no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The whole text; empty for silence.
    pub text: String,
    /// The segments in order of time; empty for silence.
    pub segments: Vec<TranscriptSegment>,
    /// ISO 639-1 code, or [`UNKNOWN_LANGUAGE`].
    pub language: String,
    /// How sure the engine is of `language`, in [0, 1].
    pub language_confidence: Option<f64>,
    /// Where `language` comes from; `None` when it is a property of the model.
    pub language_source: Option<LanguageSource>,
    /// Length of the audio in seconds.
    pub duration: Option<f64>,
    /// How the words got their times.
    pub alignment_method: AlignmentMethod,
    /// The name of the method that computed the confidences, such as `max_prob`.
    pub confidence_method: Option<String>,
    /// Sentences for the user: which parts of the request the engine did not follow.
    pub warnings: Vec<String>,
}

/// The ISO 639-2 code for an unknown language, as the pipeline writes it.
pub const UNKNOWN_LANGUAGE: &str = "und";

/// A sentence-like run of words.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptSegment {
    /// Start in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// The segment's text.
    pub text: String,
    /// The segment's words in order of time; empty when the engine knows no word times.
    pub words: Vec<TranscriptWord>,
    /// Confidence in [0, 1]; `None` when unknown.
    pub confidence: Option<f64>,
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptWord {
    /// The word, with its punctuation if the model writes any.
    pub text: String,
    /// Start in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// Confidence in [0, 1]; `None` when unknown.
    pub confidence: Option<f64>,
}

impl Transcript {
    /// Whether any segment has words. The merge stage asks the same when no ALIGN stage ran.
    pub fn has_words(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| !segment.words.is_empty())
    }

    /// The finest times that the transcript has.
    pub(crate) fn granularity(&self) -> TimestampGranularity {
        if self.has_words() {
            TimestampGranularity::Word
        } else {
            TimestampGranularity::Segment
        }
    }
}

/// How word times were produced. The names are those of both of Dalston's eras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlignmentMethod {
    /// Cross-attention weights.
    Attention,
    /// Frames of a CTC network.
    Ctc,
    /// Frames of a transducer.
    Rnnt,
    /// Frames and durations of a token-and-duration transducer.
    Tdt,
    /// The method is not known.
    Unknown,
}

/// Where the language of a transcript comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LanguageSource {
    /// The user asked for it.
    Requested,
    /// The engine recognised it in the audio.
    Detected,
}

/// How fine the times of a transcript are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimestampGranularity {
    /// Segments have times.
    Segment,
    /// Words have times.
    Word,
}
