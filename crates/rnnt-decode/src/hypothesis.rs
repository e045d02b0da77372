//! What the search found in one utterance: tokens with their frames and scores.

/// Index of a piece in the vocabulary.
pub type TokenId = u32;

/// The tokens of one utterance, in the order of time: no token's frame is before its forerunner's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hypothesis {
    /// Every emitted token; empty where the network heard nothing.
    pub tokens: Vec<Token>,
}

/// One emitted token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// Which piece; never blank.
    pub id: TokenId,
    /// Encoder frame of the emission, counted from the utterance's first. CTC: the run's first.
    pub frame: usize,
    /// Encoder frames the token covers from [`Token::frame`] on. RNNT: 1. TDT: as predicted, and 0
    /// is possible. CTC: the length of its run.
    pub duration: u32,
    /// Natural logarithm of the token's probability over the vocabulary with blank, (-∞, 0]. CTC:
    /// the minimum over its run.
    pub log_prob: f32,
}
