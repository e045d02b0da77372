//! A batch of encoded utterances: what the search asks, the network answers.

use rnnt_decode::{Emission, Head, Lane, TokenId, Transducer};
use tch::Tensor;

use crate::Error;
use crate::network::{EMISSION_LEN, Network, State};

/// Encoded utterances and their predictor states, on the model's device.
///
/// Made by [`crate::ParakeetModel::encode`]. Scores over the vocabulary stay on the device. RNNT and
/// TDT: one call of [`Transducer::score`] sends the lanes there and fetches three numbers per frame.
/// CTC, whose emissions depend on the frame alone: all of them are fetched at once, when encoded.
pub struct Utterances<'model> {
    head: Head,
    blank: TokenId,
    n_encoder_frames: Vec<usize>,
    scorer: Scorer<'model>,
    /// Token, duration and log-probability of each frame of each lane.
    scores: Vec<f32>,
}

/// Where scores come from.
enum Scorer<'model> {
    /// RNNT and TDT: from the device, call by call.
    Joint {
        network: &'model Network,
        /// The joint's projection of the encoder's output, (N, T', J).
        encoded: Tensor,
        state: State,
        /// Indices on their way to the device: (utterance, frame) or (utterance, token).
        indices: Vec<i64>,
    },
    /// CTC: from this table, (N, T', 3).
    Table { n_columns: usize, table: Vec<f32> },
}

impl<'model> Utterances<'model> {
    pub(crate) fn new(
        network: &'model Network,
        head: Head,
        blank: TokenId,
        encoded: Tensor,
        n_encoder_frames: Vec<usize>,
    ) -> Result<Self, Error> {
        let scorer = match head {
            Head::Rnnt | Head::Tdt => Scorer::Joint {
                state: network.initial_state(n_encoder_frames.len())?,
                network,
                encoded,
                indices: Vec::new(),
            },
            Head::Ctc => {
                let table = network.emissions(&encoded)?;
                let n_columns = table.len() / (n_encoder_frames.len() * EMISSION_LEN);
                Scorer::Table { n_columns, table }
            }
        };
        Ok(Self {
            head,
            blank,
            n_encoder_frames,
            scorer,
            scores: Vec::new(),
        })
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
        self.scores.clear();
        match &mut self.scorer {
            Scorer::Joint {
                network,
                encoded,
                state,
                indices,
            } => {
                fill(indices, lanes.iter().map(|it| (it.utterance, it.frame)));
                self.scores.resize(lanes.len() * window * EMISSION_LEN, 0.0);
                network.score(encoded, state, indices, window, &mut self.scores)?;
            }
            Scorer::Table { n_columns, table } => {
                for lane in lanes {
                    // Past the last column, its emission again: frames that the search does not use.
                    let columns =
                        (lane.frame..lane.frame + window).map(|it| it.min(*n_columns - 1));
                    for column in columns {
                        let at = (lane.utterance * *n_columns + column) * EMISSION_LEN;
                        self.scores.extend(&table[at..at + EMISSION_LEN]);
                    }
                }
            }
        }

        emissions.clear();
        let per_lane = self.scores.chunks_exact(window * EMISSION_LEN);
        for (lane, scores) in lanes.iter().zip(per_lane) {
            for (ahead, score) in scores.chunks_exact(EMISSION_LEN).enumerate() {
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

    /// Does nothing for CTC, which has no predictor.
    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Error> {
        match &mut self.scorer {
            Scorer::Joint {
                network,
                state,
                indices,
                ..
            } => {
                fill(
                    indices,
                    emitted.iter().map(|&(it, token)| (it, token as usize)),
                );
                network.advance(state, indices)
            }
            Scorer::Table { .. } => Ok(()),
        }
    }
}

fn fill(indices: &mut Vec<i64>, pairs: impl Iterator<Item = (usize, usize)>) {
    indices.clear();
    indices.extend(pairs.flat_map(|(utterance, index)| [utterance as i64, index as i64]));
}
