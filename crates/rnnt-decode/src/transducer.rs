//! The seam between search and network: a network gives windows of emissions, the search gives emitted
//! tokens.
//!
//! The search owns time and the rules. A network owns scores and predictor states. The search asks for a
//! *window* of frames in one call, because most emissions are blank and blank does not change the predictor's
//! state: the scores of a window are valid up to and including its first token.

use crate::TokenId;

/// The place of one utterance in a call of [`Transducer::score`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Row of the batch, counted from 0.
    pub utterance: usize,
    /// First encoder frame to score. It is below the utterance's number of encoder frames.
    pub frame: usize,
}

/// The best outcome of one evaluation of the joint: a token or blank, with its log-probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Emission {
    /// The best symbol: a token, or [`Transducer::blank`], which says that the frame has no more tokens.
    pub token: TokenId,
    /// Number of encoder frames by which time advances. RNNT: 0 for a token, 1 for blank. TDT: the predicted
    /// duration. CTC: always 1.
    pub duration: u32,
    /// Natural logarithm of the symbol's probability over the vocabulary with blank, in (-∞, 0].
    pub log_prob: f32,
}

/// The kind of a network's output, which decides how the search walks the emissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Head {
    /// Recurrent neural network transducer (Graves 2012): many tokens per frame, blank moves time.
    Rnnt,
    /// Token-and-duration transducer (Xu et al. 2023): every symbol carries its own duration.
    Tdt,
    /// Connectionist temporal classification (Graves et al. 2006): one symbol per frame, no state.
    Ctc,
}

/// A batch of encoded utterances that can be searched.
///
/// An implementation holds one predictor state for each utterance. Before the first
/// [`advance`](Self::advance) each is the state after the start of sequence.
pub trait Transducer {
    /// Why the network could not score or advance.
    type Error: std::error::Error;

    /// The kind of the network's output.
    fn head(&self) -> Head;

    /// The index of blank: the number of tokens in the vocabulary.
    fn blank(&self) -> TokenId;

    /// Number of valid encoder frames of each utterance. Frames from that number on are padding; the search
    /// uses no emission of them.
    fn n_encoder_frames(&self) -> &[usize];

    /// Scores `window` frames of each lane, from [`Lane::frame`] on, all with the predictor state that the
    /// utterance has now.
    ///
    /// Appends `lanes.len() * window` emissions to `emissions`, which is empty, lane by lane. The emissions
    /// of frames past the end of an utterance may have any value. `lanes` names no utterance twice.
    ///
    /// # Errors
    ///
    /// The network's own.
    fn score(
        &mut self,
        lanes: &[Lane],
        window: usize,
        emissions: &mut Vec<Emission>,
    ) -> Result<(), Self::Error>;

    /// Feeds one token to the predictor of each named utterance. The other utterances keep their state.
    ///
    /// `emitted` is pairs of an utterance and its token. It names no utterance twice and holds no blank.
    ///
    /// # Errors
    ///
    /// The network's own.
    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Self::Error>;
}
