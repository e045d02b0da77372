//! The seam between search and network: windows of emissions in, emitted tokens out.
//!
//! The search owns time and the rules; a network owns scores and predictor states. Blanks are most
//! of all emissions, so the search asks for a *window* of frames at once: while every frame of it
//! is blank, one call covers them all.

use crate::TokenId;

/// One utterance's place in a [`Transducer::score`] call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Row of the batch, counted from 0.
    pub utterance: usize,
    /// First encoder frame to score; below the utterance's number of encoder frames.
    pub frame: usize,
}

/// The best outcome of one joint step: a token or blank, with its log-probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Emission {
    /// The best symbol; [`Transducer::blank`] for "no more tokens on this frame".
    pub token: TokenId,
    /// Encoder frames that time advances by. RNNT: 0 for a token, 1 for blank. TDT: as predicted.
    /// CTC: always 1.
    pub duration: u32,
    /// Natural logarithm of the symbol's probability over the vocabulary with blank, (-∞, 0].
    pub log_prob: f32,
}

/// How a network's emissions are to be walked.
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
/// Implementations hold one predictor state per utterance, set by construction to the state after
/// the start of sequence.
pub trait Transducer {
    /// Why the network could not answer.
    type Error: std::error::Error;

    /// The rule by which emissions are walked.
    fn head(&self) -> Head;

    /// The blank's index: the vocabulary's size without it.
    fn blank(&self) -> TokenId;

    /// Valid encoder frames of each utterance. No frame at or past it is ever decoded.
    fn n_encoder_frames(&self) -> &[usize];

    /// Scores `window` frames of each lane, each from its own frame on and all with the lane's
    /// present predictor state, and writes `lanes.len() * window` emissions to `emissions`, lane by
    /// lane. Frames past the end of an utterance hold anything. `lanes` names no utterance twice.
    fn score(
        &mut self,
        lanes: &[Lane],
        window: usize,
        emissions: &mut Vec<Emission>,
    ) -> Result<(), Self::Error>;

    /// Feeds one token to the predictor of each named utterance; the others keep their state.
    /// `emitted` names no utterance twice and holds no blank.
    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Self::Error>;
}
