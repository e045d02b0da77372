//! Turns tokens into words with times and confidence.
//!
//! A word starts at a piece that begins with `▁` and runs to the next such piece. Its start is the
//! encoder frame of its first token; its end is the end of its last token (which of them count is
//! said by [`TokenTimes`]), cut to the next word's start and to the audio's end. So words never
//! overlap and never run backwards, and a pause between two words shows.

use std::ops::Range;

use crate::{FrameClock, Hypothesis, Token, TokenTimes, Vocabulary};

/// How [`Word::confidence`] is made, as named in the output.
pub const CONFIDENCE_METHOD: &str = "max_prob";

/// Marks that close what was said: alone they are no word. NeMo joins any mark to the word before
/// it; an opening one, a dash or an apostrophe (`'tis`) would make one word of two.
const CLOSING: [char; 7] = ['.', ',', '!', '?', ';', ':', '…'];

/// One word, in the time of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word as the tokenizer writes it, without spaces around it; never empty.
    pub text: String,
    /// Seconds from the start of the file.
    pub start: f64,
    /// Seconds from the start of the file; never before `start`, and equal to it where the next
    /// word starts on the same encoder frame.
    pub end: f64,
    /// In [0, 1], the minimum over the word's tokens; see [`CONFIDENCE_METHOD`]. `None` where the
    /// network gave no probability.
    pub confidence: Option<f32>,
}

/// Makes the words of one utterance.
///
/// Nothing is merged: a word equal to its neighbour is a word. A first piece without `▁` starts a
/// word as well, `<unk>` and ids past the vocabulary are words of their own (`⁇`), byte pieces
/// (`<0xE2>`) are joined into UTF-8, a bare `▁` with nothing after it makes no word, and closing
/// punctuation belongs to the word before it even if a `▁` parts them. So [`text`] of the words is
/// what SentencePiece writes for the tokens, less repeated spaces and those before closing marks.
pub fn words(
    hypothesis: &Hypothesis,
    vocabulary: &Vocabulary,
    clock: &FrameClock,
    times: TokenTimes,
) -> Vec<Word> {
    let tokens = times.retime(&hypothesis.tokens, vocabulary);
    let mut words = Vec::new();
    // From the last word to the first, so that each one's limit, its follower's start, is known.
    let mut limit = clock.samples.end;
    for Spelling { text, tokens } in spell(&tokens, vocabulary).into_iter().rev() {
        let start = clock.sample(tokens[0].frame).min(limit);
        let end = clock
            .sample(times.end(tokens, vocabulary))
            .clamp(start, limit);
        words.push(Word {
            text,
            start: clock.seconds(start),
            end: clock.seconds(end),
            confidence: confidence(tokens, vocabulary),
        });
        limit = start;
    }
    words.reverse();
    words
}

/// The words joined by one space.
pub fn text(words: &[Word]) -> String {
    words
        .iter()
        .map(|word| word.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A word's text, and the tokens that say it.
struct Spelling<'a> {
    text: String,
    tokens: &'a [Token],
}

/// Parts tokens into words, in their order; tokens that write nothing between two words are in none.
fn spell<'a>(tokens: &'a [Token], vocabulary: &Vocabulary) -> Vec<Spelling<'a>> {
    let mut words: Vec<(String, Range<usize>)> = Vec::new();
    let mut start = 0;
    for run in tokens.chunk_by(|before, after| !vocabulary.splits(before, after)) {
        let end = start + run.len();
        let text = vocabulary.word(run);
        match words.last_mut() {
            _ if text.is_empty() => {}
            Some((word, tokens)) if text.chars().all(|char| CLOSING.contains(&char)) => {
                word.push_str(&text);
                tokens.end = end;
            }
            _ => words.push((text, start..end)),
        }
        start = end;
    }
    let spelling = |(text, range)| Spelling {
        text,
        tokens: &tokens[range],
    };
    words.into_iter().map(spelling).collect()
}

/// The lowest of the tokens' probabilities, scaled so that a guess among the V symbols is 0:
/// (p V - 1) / (V - 1) with V counting blank, NeMo's `max_prob`.
fn confidence(tokens: &[Token], vocabulary: &Vocabulary) -> Option<f32> {
    let n_symbols = f64::from(vocabulary.blank()) + 1.0;
    let mut lowest = 1.0;
    for token in tokens {
        let probability = f64::from(token.log_prob).exp();
        if probability.is_nan() {
            return None;
        }
        lowest = f64::min(lowest, (probability * n_symbols - 1.0) / (n_symbols - 1.0));
    }
    Some(lowest.max(0.0) as f32)
}
