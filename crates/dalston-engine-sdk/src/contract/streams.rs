//! `streams`: `Transcript` as Dalston's HEAD reads it.
//!
//! Every key is always written, null when unknown, in the order of the recorded responses.

use serde::Serialize;

use crate::transcript::{
    AlignmentMethod, LanguageSource, TimestampGranularity, Transcript, TranscriptSegment,
    TranscriptWord,
};

/// `data` of a response in the contract `streams`.
#[derive(Debug, Serialize)]
pub(super) struct StreamsTranscript<'a> {
    schema_version: &'static str,
    text: &'a str,
    segments: Vec<Segment<'a>>,
    language: &'a str,
    language_confidence: Option<f64>,
    language_source: Option<LanguageSource>,
    languages: Option<()>,
    duration: Option<f64>,
    timestamp_granularity: TimestampGranularity,
    alignment_method: AlignmentMethod,
    engine_id: &'a str,
    channel: Option<u32>,
    warnings: &'a [String],
    metadata: Metadata<'a>,
}

#[derive(Debug, Serialize)]
struct Segment<'a> {
    id: Option<()>,
    start: f64,
    end: f64,
    text: &'a str,
    words: Option<Vec<Word<'a>>>,
    language: Option<()>,
    language_confidence: Option<()>,
    confidence: Option<f64>,
    is_final: Option<()>,
    is_speech: Option<()>,
    metadata: SegmentMetadata,
}

#[derive(Debug, Serialize)]
struct Word<'a> {
    text: &'a str,
    start: f64,
    end: f64,
    confidence: Option<f64>,
    alignment_method: AlignmentMethod,
    language: Option<()>,
    characters: Option<()>,
    phonemes: Option<()>,
    metadata: Empty,
}

#[derive(Debug, Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_method: Option<&'a str>,
}

/// Dalston's assembler of the final transcript reads a segment's confidence from here, and ignores the
/// segment's own field.
#[derive(Debug, Serialize)]
struct SegmentMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Empty {}

impl<'a> StreamsTranscript<'a> {
    pub(super) fn new(
        transcript: &'a Transcript,
        engine_id: &'a str,
        channel: Option<u32>,
    ) -> Self {
        let segment = |it| Segment::new(it, transcript.alignment_method);
        Self {
            schema_version: "1",
            text: &transcript.text,
            segments: transcript.segments.iter().map(segment).collect(),
            language: &transcript.language,
            language_confidence: transcript.language_confidence,
            language_source: transcript.language_source,
            languages: None,
            duration: transcript.duration,
            timestamp_granularity: transcript.granularity(),
            alignment_method: transcript.alignment_method,
            engine_id,
            channel,
            warnings: &transcript.warnings,
            metadata: Metadata {
                confidence_method: transcript.confidence_method.as_deref(),
            },
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
            language: None,
            language_confidence: None,
            confidence: segment.confidence,
            is_final: None,
            is_speech: None,
            metadata: SegmentMetadata {
                confidence: segment.confidence,
            },
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
            alignment_method,
            language: None,
            characters: None,
            phonemes: None,
            metadata: Empty {},
        }
    }
}
