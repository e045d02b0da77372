//! Words and times equal those of NeMo, on recorded tokens of every head.

use rnnt_decode::{Hypothesis, Token, TokenId, TokenTimes, Vocabulary, words};
use serde::Deserialize;

use crate::clock;

/// `tests/data/write_nemo_words.py` wrote this file.
const NEMO_WORDS: &str = include_str!("../data/nemo_words.jsonl");

#[derive(Deserialize)]
struct Example {
    head: String,
    pieces: Vec<String>,
    frames: Vec<usize>,
    durations: Vec<u32>,
    /// The text, the first frame and the end of each word.
    words: Vec<(String, usize, usize)>,
}

/// NeMo's words, changed as this crate makes words: without spaces inside, and without overlap with the next
/// word.
fn cut(mut words: Vec<(String, usize, usize)>) -> Vec<(String, usize, usize)> {
    let mut limit = usize::MAX;
    for (text, start, end) in words.iter_mut().rev() {
        text.retain(|char| char != ' ');
        *end = (*end).min(limit).max(*start);
        limit = *start;
    }
    words
}

#[track_caller]
fn check(head: &str, times: TokenTimes, expected: usize) {
    let mut n_checked = 0;
    for line in NEMO_WORDS.lines() {
        let example: Example = serde_json::from_str(line).expect("an example");
        if example.head != head {
            continue;
        }
        let tokens = example.frames.iter().zip(&example.durations).enumerate();
        let token = |(id, (&frame, &duration))| Token {
            id: id as TokenId,
            frame,
            duration,
            log_prob: 0.0,
        };
        let hypothesis = Hypothesis {
            tokens: tokens.map(token).collect(),
        };
        let vocabulary = Vocabulary::new(example.pieces).expect("a vocabulary");
        let clock = clock(usize::MAX);
        let frame = |seconds: f64| (seconds / 0.08).round() as usize;
        let words: Vec<_> = words(&hypothesis, &vocabulary, &clock, times)
            .into_iter()
            .map(|word| (word.text, frame(word.start), frame(word.end)))
            .collect();
        assert_eq!(words, cut(example.words), "{line}");
        n_checked += 1;
    }
    assert_eq!(n_checked, expected);
}

#[test]
fn an_rnnt_has_the_words_of_nemo() {
    check("rnnt", TokenTimes::AsFound, 91);
}

#[test]
fn a_tdt_has_the_words_of_nemo() {
    check("tdt", TokenTimes::SilentMarks, 91);
}

#[test]
fn a_ctc_has_the_words_of_nemo_under_the_rule_of_nemo() {
    check("ctc", TokenTimes::NemoCtc, 91);
}
