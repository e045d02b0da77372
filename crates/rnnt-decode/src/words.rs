//! Turns tokens into words with times and confidence.
//!
//! A word starts at a piece that begins with `▁` and runs to the next such piece. The word's start is the
//! encoder frame of its first token. The word's end is the end of its last token that has a sound
//! ([`TokenTimes`] says which have), but no later than the next word's start and the audio's end. So words do
//! not overlap, their starts do not decrease, and a pause between two words shows.

use std::ops::Range;

use crate::{FrameClock, Hypothesis, Token, TokenTimes, Vocabulary};

/// The name of the method that makes [`Word::confidence`], for the output.
pub const CONFIDENCE_METHOD: &str = "max_prob";

/// Closing marks, which belong to the word before them. NeMo joins every mark to the word before it. With an
/// opening mark, a dash or an apostrophe (`'tis`) that would make one word of two, so these are not in the
/// list.
const CLOSING: [char; 7] = ['.', ',', '!', '?', ';', ':', '…'];

/// One word, with times in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word as the tokenizer writes it, without spaces around it. Never empty.
    pub text: String,
    /// Seconds from the start of the file.
    pub start: f64,
    /// Seconds from the start of the file, at least `start`. Equal to `start` if the next word starts on the
    /// same encoder frame.
    pub end: f64,
    /// The minimum over the word's tokens, in [0, 1]; see [`CONFIDENCE_METHOD`]. `None` if the
    /// log-probability of a token is NaN.
    pub confidence: Option<f32>,
}

/// Makes the words of one utterance.
///
/// Equal neighbours are not merged. These tokens make words in a special way:
///
/// - A first piece without `▁` starts a word.
/// - `<unk>` and ids past the vocabulary are words of their own, with the text `⁇`.
/// - Byte pieces (`<0xE2>`) are joined to UTF-8.
/// - A bare `▁` with nothing after it makes no word.
/// - A closing mark belongs to the word before it, even behind a `▁`.
///
/// So the [`text`] of the words is SentencePiece's text of the tokens without repeated spaces and without
/// spaces before closing marks.
pub fn words(
    hypothesis: &Hypothesis,
    vocabulary: &Vocabulary,
    clock: &FrameClock,
    times: TokenTimes,
) -> Vec<Word> {
    let tokens = times.retime(&hypothesis.tokens, vocabulary);
    let mut words = Vec::new();
    // From the last word to the first, because a word may end no later than the next one starts. A start is
    // limited, too: a last frame that is incomplete may begin past the audio's end.
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

/// The texts of the words, with one space between two words.
pub fn text(words: &[Word]) -> String {
    words
        .iter()
        .map(|word| word.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text of a word, and its tokens.
struct Spelling<'a> {
    text: String,
    tokens: &'a [Token],
}

/// Parts tokens into words, in the order of the tokens. A run of tokens without text belongs to no word.
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

/// The lowest of the tokens' probabilities p, scaled so that the probability of a guess among the V symbols
/// (with blank) becomes 0: (p V - 1) / (V - 1). NeMo calls this confidence `max_prob`.
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
