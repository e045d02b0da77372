//! A batch of encoded utterances: what the search asks, the network answers.

use rnnt_decode::{Emission, Head, Lane, TokenId, Transducer};
use tch::Tensor;

use crate::Error;
use crate::network::{Network, State};

/// Encoded utterances and their predictor states, on the model's device.
///
/// Made by [`crate::ParakeetModel::encode`]. One call of [`Transducer::score`] sends the lanes to the
/// device and fetches three numbers per frame; the scores over the vocabulary stay there.
pub struct Utterances<'model> {
    network: &'model Network,
    head: Head,
    blank: TokenId,
    n_encoder_frames: Vec<usize>,
    /// The joint's projection of the encoder's output, (N, T', J).
    encoded: Tensor,
    state: State,
    /// Indices on their way to the device: (utterance, frame) or (utterance, token).
    indices: Vec<i64>,
    /// Scores on their way back: token, duration and log-probability of each frame of each lane.
    scores: Vec<f32>,
}

impl<'model> Utterances<'model> {
    pub(crate) fn new(
        network: &'model Network,
        head: Head,
        blank: TokenId,
        encoded: Tensor,
        n_encoder_frames: Vec<usize>,
    ) -> Result<Self, Error> {
        Ok(Self {
            state: network.initial_state(n_encoder_frames.len())?,
            network,
            head,
            blank,
            n_encoder_frames,
            encoded,
            indices: Vec::new(),
            scores: Vec::new(),
        })
    }

    fn fill_indices(&mut self, pairs: impl Iterator<Item = (usize, usize)>) {
        self.indices.clear();
        self.indices
            .extend(pairs.flat_map(|(utterance, index)| [utterance as i64, index as i64]));
    }
}

impl Transducer for Utterances<'_> {
    type Error = Error;

    fn head(&self) -> Head {
        self.head
    }

    fn blank(&self) -> TokenId {
        self.blank
    }

    fn n_encoder_frames(&self) -> &[usize] {
        &self.n_encoder_frames
    }

    /// # Errors
    ///
    /// [`Error::NotFinite`] if a valid frame's score is no number: the compute type overflows.
    fn score(
        &mut self,
        lanes: &[Lane],
        window: usize,
        emissions: &mut Vec<Emission>,
    ) -> Result<(), Error> {
        emissions.clear();
        self.fill_indices(lanes.iter().map(|lane| (lane.utterance, lane.frame)));
        self.scores.resize(lanes.len() * window * 3, 0.0);
        self.network.score(
            &self.encoded,
            &self.state,
            &self.indices,
            window,
            &mut self.scores,
        )?;

        for (lane, scores) in lanes.iter().zip(self.scores.chunks_exact(window * 3)) {
            for (ahead, score) in scores.chunks_exact(3).enumerate() {
                // Whole numbers below 2^24 are exact in a float32.
                let [token, duration, log_prob] = [score[0], score[1], score[2]];
                let (utterance, frame) = (lane.utterance, lane.frame + ahead);
                if !log_prob.is_finite() && frame < self.n_encoder_frames[utterance] {
                    return Err(Error::NotFinite {
                        utterance,
                        frame,
                        log_prob,
                    });
                }
                emissions.push(Emission {
                    token: token as TokenId,
                    duration: duration as u32,
                    log_prob,
                });
            }
        }
        Ok(())
    }

    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Error> {
        self.fill_indices(
            emitted
                .iter()
                .map(|&(utterance, token)| (utterance, token as usize)),
        );
        self.network.advance(&mut self.state, &self.indices)
    }
}
