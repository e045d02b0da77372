//! A batch of encoded utterances, which the search scores and feeds.

use std::mem;

use rnnt_decode::{Emission, Head, Lane, TokenId, Transducer};
use tch::Tensor;

use crate::error::Error;
use crate::libtorch::streams::StreamEvent;
use crate::network::{Encoded, Network};
use crate::transducer::{EMISSION_LEN, PredictorStates};

/// Encoded utterances and their predictor states, on the model's device.
///
/// Made by [`crate::ParakeetModel::encode`]. Scores over the vocabulary stay on the device. RNNT and TDT: on
/// a GPU one call of [`Transducer::score`] sends the lanes there and fetches three numbers per frame. CTC,
/// whose emissions depend on the frame alone: the first call fetches the emissions of all frames.
pub struct Utterances<'model> {
    network: &'model Network,
    head: Head,
    blank: TokenId,
    n_encoder_frames: Vec<usize>,
    /// RNNT and TDT: the joint's projection of the encoder's output, (N, T', J), until the search begins.
    /// CTC: the emissions, (N, T', 3).
    encoded: Tensor,
    /// On a GPU, until the search begins: the end of the encoder's work on `encoded`.
    ready: Option<StreamEvent>,
    /// RNNT and TDT: made by the first call of the search, because making them on a GPU waits for the
    /// encoder.
    states: Option<Box<dyn PredictorStates + 'model>>,
    /// CTC: token, duration and log-probability of every frame, fetched by the first call of the search.
    table: Vec<f32>,
    /// Token, duration and log-probability of each frame of each lane, reused from call to call.
    scores: Vec<f32>,
}

impl<'model> Utterances<'model> {
    pub(crate) fn new(
        network: &'model Network,
        head: Head,
        blank: TokenId,
        encoded: Encoded,
    ) -> Self {
        Self {
            network,
            head,
            blank,
            n_encoder_frames: encoded.n_frames,
            encoded: encoded.frames,
            ready: encoded.ready,
            states: None,
            table: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// CTC: copies the emissions of the lanes' windows to `scores`.
    fn look_up(&mut self, lanes: &[Lane], window: usize) -> Result<(), Error> {
        if self.table.is_empty() {
            self.table = self.network.emissions(&self.encoded)?;
        }
        let n_columns = self.table.len() / (self.n_encoder_frames.len() * EMISSION_LEN);
        for lane in lanes {
            // Past the last column the last emission is repeated: the search does not use such frames.
            for column in (lane.frame..lane.frame + window).map(|it| it.min(n_columns - 1)) {
                let at = (lane.utterance * n_columns + column) * EMISSION_LEN;
                self.scores.extend(&self.table[at..at + EMISSION_LEN]);
            }
        }
        Ok(())
    }

    /// RNNT and TDT: the predictor states; the first call makes them.
    fn states(&mut self) -> Result<&mut (dyn PredictorStates + 'model), Error> {
        let states = match self.states.take() {
            Some(states) => states,
            None => {
                // `encoded` is given up only after success, so that a caller may ask again after an error.
                let states = self.network.initial_states(self.encoded.shallow_clone())?;
                self.encoded = Tensor::new();
                states
            }
        };
        Ok(self.states.insert(states).as_mut())
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
    /// [`Error::NotFinite`] if the score of a valid frame is not finite: the compute type overflows.
    fn score(
        &mut self,
        lanes: &[Lane],
        window: usize,
        emissions: &mut Vec<Emission>,
    ) -> Result<(), Error> {
        if let Some(ready) = self.ready.take() {
            // Once for the batch: work that the search's stream is given later runs later.
            self.network.search_after(&ready)?;
        }
        self.scores.clear();
        if self.head == Head::Ctc {
            self.look_up(lanes, window)?;
        } else {
            let mut scores = mem::take(&mut self.scores);
            scores.resize(lanes.len() * window * EMISSION_LEN, 0.0);
            self.states()?.score(lanes, window, &mut scores)?;
            self.scores = scores;
        }

        emissions.clear();
        let per_lane = self.scores.chunks_exact(window * EMISSION_LEN);
        for (lane, scores) in lanes.iter().zip(per_lane) {
            for (ahead, score) in scores.chunks_exact(EMISSION_LEN).enumerate() {
                // A float32 holds whole numbers below 2^24 exactly, so the casts below lose nothing.
                let [token, duration, log_prob] = [score[0], score[1], score[2]];
                let (utterance, frame) = (lane.utterance, lane.frame + ahead);
                // Frames past an utterance's end are padding, whose score may be anything.
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
        if self.head == Head::Ctc {
            return Ok(());
        }
        self.states()?.advance(emitted)
    }
}
