//! The result of the search of one utterance: tokens with their frames and scores.

/// Index of a piece in the vocabulary. Blank is the index after the last piece.
pub type TokenId = u32;

/// The tokens of one utterance, in the order of time: [`Token::frame`] never decreases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hypothesis {
    /// Every emitted token. Empty if the network emitted only blanks.
    pub tokens: Vec<Token>,
}

/// One emitted token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// The token's piece; never blank.
    pub id: TokenId,
    /// Encoder frame of the emission, counted from the utterance's first frame. CTC: the first frame of the
    /// run.
    pub frame: usize,
    /// Number of encoder frames that the token covers from [`Token::frame`] on. RNNT: 1. TDT: the predicted
    /// duration, which may be 0. CTC: the length of the run.
    pub duration: u32,
    /// Natural logarithm of the token's probability over the vocabulary with blank, in (-∞, 0]. CTC: the
    /// minimum over the run.
    pub log_prob: f32,
}
