//! Turns tokens into words with times and confidence.
//!
//! A word starts at a piece that begins with `▁` and runs to the next such piece. Its start is the
//! encoder frame of its first token; its end is the end of its last token, cut to the next word's
//! start and to the audio's end. So words never overlap and never run backwards, and a pause
//! between two words shows.

use crate::{FrameClock, Hypothesis, Token, Vocabulary};

/// How [`Word::confidence`] is made, as named in the output.
pub const CONFIDENCE_METHOD: &str = "max_prob";

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
/// (`<0xE2>`) are joined into UTF-8, and a bare `▁` with nothing after it makes no word.
pub fn words(hypothesis: &Hypothesis, vocabulary: &Vocabulary, clock: &FrameClock) -> Vec<Word> {
    let mut words = Vec::new();
    // From the last word to the first, so that each one's limit, its follower's start, is known.
    let mut limit = clock.samples.end;
    for tokens in hypothesis
        .tokens
        .chunk_by(|a, b| !vocabulary.splits(a, b))
        .rev()
    {
        let text = vocabulary.word(tokens);
        if text.is_empty() {
            continue;
        }
        let (first, last) = (&tokens[0], &tokens[tokens.len() - 1]);
        let start = clock.sample(first.frame).min(limit);
        let end = clock
            .sample(last.frame + last.duration as usize)
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
