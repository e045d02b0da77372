//! Makes the SDK's wire transcript: the one form from which the pipeline's outputs and our JSON are written.

use dalston_engine_sdk::contract::{self, AlignmentMethod, TranscriptSegment, TranscriptWord};
use rnnt_decode::{CONFIDENCE_METHOD, Head, Word};
use segmenter::Segment;

use super::rounding::{rounded, rounded_confidence};
use crate::transcriber::Transcript;

/// Facts about the model that go into every transcript of it.
pub(crate) struct Label<'a> {
    /// The language code, or `und`.
    pub(crate) language: &'a str,
    /// The head of the model, which determines how words get their times.
    pub(crate) head: Head,
}

/// The wire form of a transcript: times in whole milliseconds, confidences in four digits.
pub(crate) fn wire(transcript: &Transcript, label: &Label<'_>) -> contract::Transcript {
    contract::Transcript {
        text: transcript.text(),
        segments: transcript.segments.iter().map(segment).collect(),
        language: label.language.to_owned(),
        language_confidence: None,
        language_source: None,
        duration: None,
        alignment_method: alignment_method(label.head),
        confidence_method: Some(CONFIDENCE_METHOD.to_owned()),
        warnings: transcript.warnings.clone(),
    }
}

/// The pipeline's name for the way in which a head times its words.
fn alignment_method(head: Head) -> AlignmentMethod {
    match head {
        Head::Rnnt => AlignmentMethod::Rnnt,
        Head::Tdt => AlignmentMethod::Tdt,
        Head::Ctc => AlignmentMethod::Ctc,
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

/// The mean confidence of the words; `None` if any of them is unknown, or if there is no word.
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
