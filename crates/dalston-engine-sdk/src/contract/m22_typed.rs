//! `m22-typed`: `TranscribeOutput`, the typed output of the M22 era's last days.
//!
//! Every key is always written, null when unknown, in the order of the recorded outputs. A merge stage that
//! finds a key it does not know drops all words and reports nothing.

use serde::Serialize;

use crate::transcript::{
    AlignmentMethod, TimestampGranularity, Transcript, TranscriptSegment, TranscriptWord,
};

/// `data` of an output in the contract `m22-typed`.
#[derive(Debug, Serialize)]
pub(super) struct TranscribeOutput<'a> {
    segments: Vec<Segment<'a>>,
    text: &'a str,
    language: &'a str,
    language_confidence: Option<f64>,
    duration: Option<f64>,
    timestamp_granularity_requested: TimestampGranularity,
    timestamp_granularity_actual: TimestampGranularity,
    alignment_method: AlignmentMethod,
    engine_id: &'a str,
    skipped: bool,
    skip_reason: Option<()>,
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct Segment<'a> {
    id: Option<()>,
    start: f64,
    end: f64,
    text: &'a str,
    words: Option<Vec<Word<'a>>>,
    confidence: Option<f64>,
    language: Option<()>,
    is_speech: Option<()>,
    is_final: Option<()>,
}

#[derive(Debug, Serialize)]
struct Word<'a> {
    text: &'a str,
    start: f64,
    end: f64,
    confidence: Option<f64>,
    characters: Option<()>,
    phonemes: Option<()>,
    alignment_method: AlignmentMethod,
}

impl<'a> TranscribeOutput<'a> {
    pub(super) fn new(transcript: &'a Transcript, engine_id: &'a str) -> Self {
        let segment = |it| Segment::new(it, transcript.alignment_method);
        Self {
            segments: transcript.segments.iter().map(segment).collect(),
            text: &transcript.text,
            language: &transcript.language,
            language_confidence: transcript.language_confidence,
            duration: transcript.duration,
            // The era's default, and the only value that its gateway passes on.
            timestamp_granularity_requested: TimestampGranularity::Word,
            timestamp_granularity_actual: transcript.granularity(),
            alignment_method: transcript.alignment_method,
            engine_id,
            skipped: false,
            skip_reason: None,
            warnings: &transcript.warnings,
        }
    }
}

impl<'a> Segment<'a> {
    fn new(segment: &'a TranscriptSegment, alignment_method: AlignmentMethod) -> Self {
        let word = |it| Word::new(it, alignment_method);
        let words: Vec<_> = segment.words.iter().map(word).collect();
        Self {
            id: None,
            start: segment.start,
            end: segment.end,
            text: &segment.text,
            words: (!words.is_empty()).then_some(words),
            confidence: segment.confidence,
            language: None,
            is_speech: None,
            is_final: None,
        }
    }
}

impl<'a> Word<'a> {
    fn new(word: &'a TranscriptWord, alignment_method: AlignmentMethod) -> Self {
        Self {
            text: &word.text,
            start: word.start,
            end: word.end,
            confidence: word.confidence,
            characters: None,
            phonemes: None,
            alignment_method,
        }
    }
}
