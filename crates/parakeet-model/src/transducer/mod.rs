//! A transducer's predictor states: what the search of RNNT and TDT asks and feeds, for one batch.
//!
//! [`native`] computes them in Rust on a CPU, [`torchscript`] calls the archive's methods: on GPUs, and for
//! archives of earlier releases, which do not give their weights to [`archive_weights`].

pub(crate) mod archive_weights;
pub(crate) mod native;
pub(crate) mod torchscript;

#[cfg(test)]
mod tests;

use rnnt_decode::{Lane, TokenId};

use crate::error::Error;

/// Numbers of one emission: token, duration, log-probability.
pub(crate) const EMISSION_LEN: usize = 3;

/// The predictor states of a batch of encoded utterances, with the encoder frames that they score.
pub(crate) trait PredictorStates: Send {
    /// Scores `window` frames of each lane, and writes (token, duration, log-probability) of each frame to
    /// `scores`, lane by lane.
    ///
    /// A window may reach past the last encoder frame. The scores of such frames are any numbers, and the
    /// search does not use them.
    fn score(&mut self, lanes: &[Lane], window: usize, scores: &mut [f32]) -> Result<(), Error>;

    /// Feeds one token to each named utterance; no utterance is named twice. The other states stay as they
    /// are.
    ///
    /// # Errors
    ///
    /// [`Error::Network`] for a token outside the vocabulary.
    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Error>;
}
