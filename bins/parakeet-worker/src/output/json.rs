//! JSON, one object per line: the `data` object of contract `m22`, plus `file`, `alignment_method` and, on
//! request, `tokens`.

use std::io::{self, Write};

use dalston_engine_sdk::contract::M22Transcript;
use rnnt_decode::{Token, TokenId, Vocabulary};
use serde::Serialize;

use super::wire::{Label, wire};
use crate::transcriber::Transcript;

/// Prints one transcript; with its tokens if their vocabulary is given.
pub(super) fn print(
    out: &mut impl Write,
    name: &str,
    transcript: &Transcript,
    label: &Label<'_>,
    tokens: Option<&Vocabulary>,
) -> io::Result<()> {
    let wire = wire(transcript, label);
    let line = Line {
        file: name,
        data: M22Transcript::from(&wire).with_alignment_method(wire.alignment_method),
        tokens: tokens.map(|vocabulary| {
            let line_token = |token| LineToken::new(token, vocabulary);
            transcript.tokens.iter().map(line_token).collect()
        }),
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(flatten)]
    data: M22Transcript<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<LineToken<'a>>>,
}

#[derive(Serialize)]
struct LineToken<'a> {
    id: TokenId,
    piece: &'a str,
    frame: usize,
    duration: u32,
    log_prob: f32,
}

impl<'a> LineToken<'a> {
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

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use rnnt_decode::{Head, Word};
    use segmenter::Segment;

    use super::*;

    fn transcript_of_two_words() -> Transcript {
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
            language: "en",
            head: Head::Tdt,
        };
        print(&mut out, "a.wav", transcript, &label, tokens).expect("a vector takes anything");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn a_transcript_is_one_line_and_an_unknown_confidence_is_absent() {
        expect![[r#"
            {"file":"a.wav","text":"it's \"fine\"","segments":[{"start":0.08,"end":0.48,"text":"it's \"fine\"","words":[{"word":"it's","start":0.08,"end":0.24,"confidence":0.9877},{"word":"\"fine\"","start":0.32,"end":0.48}]}],"language":"en","native_word_timestamps":true,"alignment_method":"tdt","confidence_method":"max_prob"}
        "#]]
        .assert_eq(&printed(&transcript_of_two_words(), None));
    }

    #[test]
    fn tokens_and_warnings_are_listed_when_there_are_any() {
        let vocabulary = Vocabulary::new(vec!["<unk>".into(), "▁it".into()]).expect("two pieces");
        let transcript = Transcript {
            segments: Vec::new(),
            warnings: vec!["cut".into()],
            ..transcript_of_two_words()
        };
        expect![[r#"
            {"file":"a.wav","text":"","segments":[],"language":"en","native_word_timestamps":true,"alignment_method":"tdt","confidence_method":"max_prob","warnings":["cut"],"tokens":[{"id":1,"piece":"▁it","frame":1,"duration":1,"log_prob":-0.125}]}
        "#]]
        .assert_eq(&printed(&transcript, Some(&vocabulary)));
    }
}
