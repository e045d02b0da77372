//! Tests of the words that tokens make.

mod confidence;
mod marks;
mod nemo;
mod properties;
mod spelling;
mod times;

use rnnt_decode::{FrameClock, Hypothesis, Token, TokenId, TokenTimes, Vocabulary, Word, words};

/// The clock of Parakeet for `n_samples` of audio.
fn clock(n_samples: usize) -> FrameClock {
    FrameClock {
        stride: 1280,
        sample_rate_hz: 16_000,
        samples: 0..n_samples,
    }
}

/// The words of tokens with [`TokenTimes::AsFound`]; see [`words_by`].
fn words_of(tokens: &str, clock: &FrameClock) -> Vec<Word> {
    words_by(tokens, clock, TokenTimes::AsFound)
}

/// The words of tokens that are written as `piece@frame`, `piece@frame+duration` or
/// `piece@frame+duration*log_prob`.
fn words_by(tokens: &str, clock: &FrameClock, times: TokenTimes) -> Vec<Word> {
    let mut pieces: Vec<String> = Vec::new();
    let mut hypothesis = Hypothesis::default();
    for (id, token) in tokens.split_whitespace().enumerate() {
        let (piece, time) = token.split_once('@').expect("piece@frame");
        let (time, log_prob) = time.split_once('*').unwrap_or((time, "0"));
        let (frame, duration) = time.split_once('+').unwrap_or((time, "1"));
        pieces.push(piece.to_owned());
        hypothesis.tokens.push(Token {
            id: id as TokenId,
            frame: frame.parse().expect("a frame"),
            duration: duration.parse().expect("a duration"),
            log_prob: log_prob.parse().expect("a log probability"),
        });
    }
    let vocabulary = Vocabulary::new(pieces).expect("a vocabulary");
    words(&hypothesis, &vocabulary, clock, times)
}
