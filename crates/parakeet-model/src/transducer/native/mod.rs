//! Predictor and joint in Rust, on a CPU.
//!
//! A step of theirs is a few small products, and libtorch spends as much time on the calls around these
//! products as on the products themselves.

mod joint;
mod linear;
pub(super) mod lstm;
mod predictor;
pub(crate) mod weights;

use cpu_linear::Format;
use rnnt_decode::{Lane, TokenId};

use super::{EMISSION_LEN, PredictorStates};
use crate::error::Error;
use joint::Joint;
use linear::{Linear, Table};
use predictor::{Predictor, PredictorState};
use weights::HeadWeights;

/// A transducer's predictor and joint.
pub(crate) struct NativeHead {
    predictor: Predictor,
    joint: Joint,
    /// The state of an utterance after the start of sequence, which is blank.
    start: PredictorState,
}

impl NativeHead {
    /// Packs checked weights. With `predicts_in_int8` the predictor's are quantised to int8.
    pub(crate) fn new(weights: HeadWeights, predicts_in_int8: bool) -> Self {
        let as_exported = weights.format;
        let format = if predicts_in_int8 {
            Format::Int8
        } else {
            as_exported
        };
        let n_gates = weights.token_gates.len() / weights.n_tokens;
        let hidden_gates = weights.hidden_gates.into_iter();
        let input_gates = weights.input_gates.into_iter();
        let predictor = Predictor::new(
            Table::new(as_exported, weights.token_gates, weights.n_tokens),
            hidden_gates.map(|it| Linear::without_bias(format, &it, n_gates)),
            input_gates.map(|it| Linear::new(format, &it)),
            Linear::new(format, &weights.projection),
        );
        let joint = Joint::new(
            // Never quantised: its scores are the confidence of words.
            Linear::new(as_exported, &weights.scores),
            weights.activation,
            predictor.blank(),
            weights.durations,
        );
        let mut start = predictor.zero_state();
        predictor.advance(&mut [&mut start], &[predictor.blank()]);
        Self {
            predictor,
            joint,
            start,
        }
    }

    /// Whether the joint's products run on a CPU's tiles.
    pub(crate) fn scores_on_tiles(&self) -> bool {
        self.joint.has_tiles()
    }

    /// Memory of the packed weights of predictor and joint.
    pub(crate) fn n_bytes(&self) -> usize {
        self.predictor.n_bytes() + self.joint.n_bytes()
    }

    /// Memory of the predictor's packed weights alone.
    #[cfg(test)]
    pub(super) fn n_predictor_bytes(&self) -> usize {
        self.predictor.n_bytes()
    }
}

/// The predictor states of a batch.
pub(crate) struct NativeStates<'model> {
    head: &'model NativeHead,
    /// Encoder frames (N, T', J).
    encoded: Vec<f32>,
    /// T'.
    n_columns: usize,
    /// One for each utterance.
    states: Vec<PredictorState>,
}

impl<'model> NativeStates<'model> {
    /// The states after the start of sequence, of utterances encoded to `size`, (N, T', J).
    ///
    /// # Errors
    ///
    /// [`Error::Network`] if J is not the joint's width.
    pub(crate) fn new(
        head: &'model NativeHead,
        encoded: Vec<f32>,
        size: [usize; 3],
    ) -> Result<Self, Error> {
        let [n, n_columns, width] = size;
        let expected = head.joint.width();
        if width != expected {
            return Err(Error::Network {
                method: "initial_state",
                arguments: format!("{size:?}"),
                source: format!("encoder frames have {width} numbers, expected {expected}").into(),
            });
        }
        Ok(Self {
            head,
            encoded,
            n_columns,
            states: vec![head.start.clone(); n],
        })
    }
}

impl PredictorStates for NativeStates<'_> {
    fn score(&mut self, lanes: &[Lane], window: usize, scores: &mut [f32]) -> Result<(), Error> {
        let (width, n_columns) = (self.head.joint.width(), self.n_columns);
        let (encoded, states) = (&self.encoded, &self.states);
        let frames = lanes.iter().flat_map(|&Lane { utterance, frame }| {
            (frame..frame + window).map(move |frame| {
                // Past the last column the last one is scored again: the search does not use such frames.
                let row = utterance * n_columns + frame.min(n_columns - 1);
                let predicted = &states[utterance].predicted;
                (&encoded[row * width..][..width], predicted.as_slice())
            })
        });
        let (emissions, _) = scores.as_chunks_mut::<EMISSION_LEN>();
        self.head.joint.score(frames, emissions);
        Ok(())
    }

    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Error> {
        let tokens: Vec<_> = emitted.iter().map(|&(_, token)| token).collect();
        let blank = self.head.predictor.blank();
        if let Some(token) = tokens.iter().find(|&&token| token > blank) {
            return Err(Error::Network {
                method: "advance",
                arguments: format!("{} tokens", tokens.len()),
                source: format!("there is no token {token}, {blank} is the last").into(),
            });
        }
        // Taking each state out of its place proves to the compiler that no two tokens share one.
        let mut places: Vec<_> = self.states.iter_mut().map(Some).collect();
        let mut states: Vec<_> = emitted
            .iter()
            .map(|&(utterance, _)| places[utterance].take().expect("no utterance comes twice"))
            .collect();
        self.head.predictor.advance(&mut states, &tokens);
        Ok(())
    }
}
