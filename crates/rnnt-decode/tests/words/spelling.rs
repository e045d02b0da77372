//! The text of words equals the text of SentencePiece, on recorded tokens of two tokenizers.

use rnnt_decode::{Hypothesis, Token, TokenId, TokenTimes, Vocabulary, text, words};
use serde::Deserialize;

use crate::clock;

/// `tests/data/write_spellings.py` wrote this file.
const SPELLINGS: &str = include_str!("../data/spellings.jsonl");

#[derive(Deserialize)]
struct Spelling {
    pieces: Vec<String>,
    text: String,
}

/// A text without the spaces that words drop: repeated spaces, and spaces before closing marks.
pub(crate) fn in_words(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if word.chars().all(|char| ".,!?;:…".contains(char)) => {
                last.push_str(word)
            }
            _ => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

#[test]
fn the_words_joined_by_one_space_are_what_sentencepiece_writes() {
    let mut n_checked = 0;
    for line in SPELLINGS.lines() {
        let spelling: Spelling = serde_json::from_str(line).expect("a spelling");
        let tokens = (0..spelling.pieces.len()).map(|at| Token {
            id: at as TokenId,
            frame: at,
            duration: 1,
            log_prob: 0.0,
        });
        let hypothesis = Hypothesis {
            tokens: tokens.collect(),
        };
        let vocabulary = Vocabulary::new(spelling.pieces).expect("a vocabulary");
        let words = words(
            &hypothesis,
            &vocabulary,
            &clock(160_000),
            TokenTimes::AsFound,
        );
        assert_eq!(text(&words), in_words(&spelling.text), "{line}");
        n_checked += 1;
    }
    assert_eq!(n_checked, 622);
}
