//! Where a transducer's predictor and joint run, for one batch.

use rnnt_decode::{Lane, TokenId};

use crate::Error;

pub(crate) mod native;
pub(crate) mod torchscript;

/// Numbers per emission: token, duration, log-probability.
pub(crate) const EMISSION_LEN: usize = 3;

/// The predictor states of a batch of encoded utterances, and what scores its frames by them.
pub(crate) trait PredictorStates: Send {
    /// Scores `window` frames of each lane, and writes (token, duration, log-probability) of each to `scores`,
    /// lane by lane.
    fn score(&mut self, lanes: &[Lane], window: usize, scores: &mut [f32]) -> Result<(), Error>;

    /// Feeds one token to each utterance that is named.
    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Error>;
}
