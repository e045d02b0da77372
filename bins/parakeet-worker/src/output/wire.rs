//! Transcripts for the pipeline, in the SDK's words.

use dalston_engine_sdk::contract::{self, AlignmentMethod, TranscriptSegment, TranscriptWord};
use rnnt_decode::{CONFIDENCE_METHOD, Head, Word};
use segmenter::Segment;

use super::{rounded, rounded_confidence};
use crate::engine::Transcript;

/// What a transcript is labelled with.
pub struct Label<'a> {
    /// A code, or `und`.
    pub language: &'a str,
    /// The head of the model, which is how words got their times.
    pub head: Head,
}

/// The transcript as it goes to the pipeline: times in whole milliseconds, confidence in four digits.
pub fn wire(transcript: &Transcript, label: &Label<'_>) -> contract::Transcript {
    contract::Transcript {
        text: super::text(transcript),
        segments: transcript.segments.iter().map(segment).collect(),
        language: label.language.to_owned(),
        language_confidence: None,
        language_source: None,
        duration: None,
        alignment_method: match label.head {
            Head::Rnnt => AlignmentMethod::Rnnt,
            Head::Tdt => AlignmentMethod::Tdt,
            Head::Ctc => AlignmentMethod::Ctc,
        },
        confidence_method: Some(CONFIDENCE_METHOD.to_owned()),
        warnings: transcript.warnings.clone(),
    }
}

fn segment(segment: &Segment) -> TranscriptSegment {
    TranscriptSegment {
        start: rounded(segment.start),
        end: rounded(segment.end),
        text: segment.text.clone(),
        words: segment.words.iter().map(word).collect(),
        confidence: mean_confidence(&segment.words),
    }
}

fn word(word: &Word) -> TranscriptWord {
    TranscriptWord {
        text: word.text.clone(),
        start: rounded(word.start),
        end: rounded(word.end),
        confidence: word.confidence.map(f64::from).map(rounded_confidence),
    }
}

/// The mean over the words; `None` if one of them has none.
fn mean_confidence(words: &[Word]) -> Option<f64> {
    let confidences = words.iter().map(|word| word.confidence.map(f64::from));
    let sum: f64 = confidences.sum::<Option<f64>>()?;
    (!words.is_empty()).then(|| rounded_confidence(sum / words.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(confidences: &[Option<f32>]) -> Vec<Word> {
        let word = |&confidence| Word {
            text: "word".to_owned(),
            start: 0.0,
            end: 0.1,
            confidence,
        };
        confidences.iter().map(word).collect()
    }

    #[test]
    fn a_segment_is_as_sure_as_its_words_are_on_average() {
        let mean = |confidences| mean_confidence(&words(confidences));
        assert_eq!(mean(&[Some(1.0), Some(0.5)]), Some(0.75));
        assert_eq!(
            mean(&[Some(1.0), None]),
            None,
            "what is unknown is not made up"
        );
        assert_eq!(mean(&[]), None);
    }
}
