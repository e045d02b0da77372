//! JSON, one object per line: the `data` object of the pipeline's first contract, plus `file` and
//! `alignment_method`.

use std::io::{self, Write};

use rnnt_decode::{CONFIDENCE_METHOD, Head, Token, TokenId, Vocabulary, Word};
use segmenter::Segment;
use serde::Serialize;

use super::{rounded, rounded_confidence};
use crate::engine::Transcript;

/// What an object says beside the transcript.
pub(super) struct Label<'a> {
    pub(super) file: &'a str,
    pub(super) language: &'a str,
    pub(super) head: Head,
}

/// Prints one transcript; with its tokens if their vocabulary is given.
pub(super) fn print(
    out: &mut impl Write,
    label: &Label,
    transcript: &Transcript,
    tokens: Option<&Vocabulary>,
) -> io::Result<()> {
    let object = WireTranscript {
        file: label.file,
        text: super::text(transcript),
        segments: transcript.segments.iter().map(WireSegment::from).collect(),
        language: label.language,
        native_word_timestamps: true,
        alignment_method: alignment_method(label.head),
        confidence_method: CONFIDENCE_METHOD,
        warnings: &transcript.warnings,
        tokens: tokens.map(|vocabulary| {
            let wire = |token| WireToken::new(token, vocabulary);
            transcript.tokens.iter().map(wire).collect()
        }),
    };
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)
}

#[derive(Serialize)]
struct WireTranscript<'a> {
    file: &'a str,
    text: String,
    segments: Vec<WireSegment<'a>>,
    language: &'a str,
    native_word_timestamps: bool,
    alignment_method: &'static str,
    confidence_method: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<WireToken<'a>>>,
}

#[derive(Serialize)]
struct WireSegment<'a> {
    start: f64,
    end: f64,
    text: &'a str,
    words: Vec<WireWord<'a>>,
}

#[derive(Serialize)]
struct WireWord<'a> {
    word: &'a str,
    start: f64,
    end: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
}

#[derive(Serialize)]
struct WireToken<'a> {
    id: TokenId,
    piece: &'a str,
    frame: usize,
    duration: u32,
    log_prob: f32,
}

impl<'a> From<&'a Segment> for WireSegment<'a> {
    fn from(segment: &'a Segment) -> Self {
        Self {
            start: rounded(segment.start),
            end: rounded(segment.end),
            text: &segment.text,
            words: segment.words.iter().map(WireWord::from).collect(),
        }
    }
}

impl<'a> From<&'a Word> for WireWord<'a> {
    fn from(word: &'a Word) -> Self {
        Self {
            word: &word.text,
            start: rounded(word.start),
            end: rounded(word.end),
            confidence: word.confidence.map(f64::from).map(rounded_confidence),
        }
    }
}

impl<'a> WireToken<'a> {
    fn new(token: &Token, vocabulary: &'a Vocabulary) -> Self {
        Self {
            id: token.id,
            piece: vocabulary.piece(token.id).unwrap_or_default(),
            frame: token.frame,
            duration: token.duration,
            log_prob: token.log_prob,
        }
    }
}

/// The pipeline's name for the way that a head times its words.
fn alignment_method(head: Head) -> &'static str {
    match head {
        Head::Rnnt => "rnnt",
        Head::Tdt => "tdt",
        Head::Ctc => "ctc",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn heard() -> Transcript {
        let word = |text: &str, start, end, confidence| Word {
            text: text.to_owned(),
            start,
            end,
            confidence,
        };
        let words = vec![
            word("it's", 0.08, 0.240_000_000_1, Some(0.987_654_3)),
            word("\"fine\"", 0.32, 0.48, None),
        ];
        let token = Token {
            id: 1,
            frame: 1,
            duration: 1,
            log_prob: -0.125,
        };
        Transcript {
            duration_s: 1.0,
            segments: vec![Segment {
                start: 0.08,
                end: 0.48,
                text: "it's \"fine\"".into(),
                words,
            }],
            tokens: vec![token],
            warnings: Vec::new(),
        }
    }

    fn printed(transcript: &Transcript, tokens: Option<&Vocabulary>) -> String {
        let mut out = Vec::new();
        let label = Label {
            file: "a.wav",
            language: "en",
            head: Head::Tdt,
        };
        print(&mut out, &label, transcript, tokens).expect("a vector takes anything");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn a_transcript_is_one_line_and_an_unknown_confidence_is_absent() {
        expect![[r#"
            {"file":"a.wav","text":"it's \"fine\"","segments":[{"start":0.08,"end":0.48,"text":"it's \"fine\"","words":[{"word":"it's","start":0.08,"end":0.24,"confidence":0.9877},{"word":"\"fine\"","start":0.32,"end":0.48}]}],"language":"en","native_word_timestamps":true,"alignment_method":"tdt","confidence_method":"max_prob"}
        "#]]
        .assert_eq(&printed(&heard(), None));
    }

    #[test]
    fn tokens_and_warnings_are_listed_when_there_are_any() {
        let vocabulary = Vocabulary::new(vec!["<unk>".into(), "▁it".into()]).expect("two pieces");
        let transcript = Transcript {
            segments: Vec::new(),
            warnings: vec!["cut".into()],
            ..heard()
        };
        expect![[r#"
            {"file":"a.wav","text":"","segments":[],"language":"en","native_word_timestamps":true,"alignment_method":"tdt","confidence_method":"max_prob","warnings":["cut"],"tokens":[{"id":1,"piece":"▁it","frame":1,"duration":1,"log_prob":-0.125}]}
        "#]]
        .assert_eq(&printed(&transcript, Some(&vocabulary)));
    }
}
