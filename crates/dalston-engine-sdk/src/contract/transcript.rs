//! What a speech engine heard in one task, before a contract gives it its shape.

use serde::{Deserialize, Serialize};

/// Text of one recording with segments and words.
///
/// All times are seconds from the start of the audio, not negative, rounded by the engine to what it
/// wants to show. Nothing is made up here: what is `None` is written as absent or null.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The whole text; empty for silence.
    pub text: String,
    /// In order of time; empty for silence.
    pub segments: Vec<TranscriptSegment>,
    /// ISO 639-1 code, or [`UNKNOWN_LANGUAGE`].
    pub language: String,
    /// In [0, 1].
    pub language_confidence: Option<f64>,
    /// Where `language` comes from; `None` when it is a property of the model.
    pub language_source: Option<LanguageSource>,
    /// Length of the audio in seconds.
    pub duration: Option<f64>,
    /// How the words got their times.
    pub alignment_method: AlignmentMethod,
    /// How confidences were computed, in a word that documentation explains.
    pub confidence_method: Option<String>,
    /// Sentences for the user about what could not be done as asked.
    pub warnings: Vec<String>,
}

/// The code of a language that nobody knows (ISO 639-2), as the pipeline writes it.
pub const UNKNOWN_LANGUAGE: &str = "und";

/// A sentence-like run of words.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptSegment {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// The segment's text.
    pub text: String,
    /// Empty when the engine knows no word times.
    pub words: Vec<TranscriptWord>,
    /// In [0, 1].
    pub confidence: Option<f64>,
}

/// A word with its times.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptWord {
    /// The word, with its punctuation if the model writes any.
    pub text: String,
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// In [0, 1].
    pub confidence: Option<f64>,
}

impl Transcript {
    /// Whether any segment has words: what the merge stage looks for when nothing was aligned.
    pub fn has_words(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| !segment.words.is_empty())
    }

    /// The finest times that the transcript has.
    pub(super) fn granularity(&self) -> TimestampGranularity {
        if self.has_words() {
            TimestampGranularity::Word
        } else {
            TimestampGranularity::Segment
        }
    }
}

/// How word times were produced, in the words of both eras.
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
    /// Not known.
    Unknown,
}

/// Where the language of a transcript comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LanguageSource {
    /// The user asked for it.
    Requested,
    /// The engine heard it.
    Detected,
}

/// How fine the times of a transcript are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimestampGranularity {
    /// Segments have times.
    Segment,
    /// Words have times.
    Word,
}
