//! Predictor and joint on a CPU: a step of theirs is a few small products, and libtorch takes as long for the
//! calls around these as for themselves.

mod joint;
mod matrix;
mod predictor;
mod weights;

#[cfg(test)]
mod tests;

use cpu_linear::Format;
use rnnt_decode::{Lane, TokenId};
use tch::{CModule, TchError, Tensor};

use crate::Error;
use crate::network::failure;
use crate::transducer::{EMISSION_LEN, PredictorStates};
use joint::Joint;
use matrix::{Matrix, Table, numbers};
use predictor::{Memory, Predictor};
use weights::{Linear, Weights};

/// A transducer's predictor and joint.
pub(crate) struct NativeHead {
    predictor: Predictor,
    joint: Joint,
    /// What an utterance begins with, after the start of sequence: blank's zero row.
    start: Memory,
}

impl NativeHead {
    /// That of an archive, if it gives its weights; with `in_bytes` the predictor's are made bytes.
    pub(crate) fn of(module: &CModule, in_bytes: bool) -> Result<Option<Self>, TchError> {
        let weights = Weights::of(module)?;
        weights.map(|it| Self::new(&it, in_bytes)).transpose()
    }

    fn new(weights: &Weights, in_bytes: bool) -> Result<Self, TchError> {
        let as_given = matrix::format_of(weights.first_gates.kind());
        let format = if in_bytes { Format::Int8 } else { as_given };
        let linear = |(weight, bias): &Linear| Matrix::new(format, weight, Some(bias));
        let by_state = weights.by_state.iter();
        let by_state = by_state.map(|weight| Matrix::new(format, weight, None));
        let predictor = Predictor::new(
            Table::new(&weights.first_gates)?,
            by_state.collect::<Result<_, _>>()?,
            weights
                .by_input
                .iter()
                .map(linear)
                .collect::<Result<_, _>>()?,
            linear(&weights.projection)?,
        );
        // Its scores are the confidence of words: no bytes.
        let (weight, bias) = &weights.classes;
        let joint = Joint::new(
            Matrix::new(as_given, weight, Some(bias))?,
            weights.activation,
            predictor.blank(),
            numbers(&weights.durations)?,
        );
        let mut start = predictor.zeros();
        predictor.advance(&mut [&mut start], &[predictor.blank()]);
        Ok(Self {
            predictor,
            joint,
            start,
        })
    }

    /// Whether a CPU's tiles multiply what is scored.
    pub(crate) fn scores_on_tiles(&self) -> bool {
        self.joint.is_on_tiles()
    }

    /// What it holds in memory, beside the archive.
    pub(crate) fn n_bytes(&self) -> usize {
        self.predictor.n_bytes() + self.joint.n_bytes()
    }
}

/// The states of a batch.
pub(crate) struct NativeStates<'model> {
    head: &'model NativeHead,
    /// (N, T', J).
    encoded: Vec<f32>,
    /// T'.
    n_columns: usize,
    /// By utterance.
    memories: Vec<Memory>,
}

impl<'model> NativeStates<'model> {
    /// The state after the start of sequence, of utterances encoded to (N, T', J).
    pub(crate) fn new(head: &'model NativeHead, encoded: &Tensor) -> Result<Self, Error> {
        let size = encoded.size();
        let wrap = |why| failure("initial_state", format!("{size:?}"), why);
        let (n, n_columns, width) = encoded.size3().map_err(wrap)?;
        if width as usize != head.joint.width() {
            let expected = head.joint.width();
            let why = format!("encoder frames have {width} numbers, expected {expected}");
            return Err(wrap(TchError::Shape(why)));
        }
        Ok(Self {
            head,
            encoded: numbers(encoded).map_err(wrap)?,
            n_columns: n_columns as usize,
            memories: vec![head.start.clone(); n as usize],
        })
    }
}

impl PredictorStates for NativeStates<'_> {
    fn score(&mut self, lanes: &[Lane], window: usize, scores: &mut [f32]) -> Result<(), Error> {
        let (width, n_columns) = (self.head.joint.width(), self.n_columns);
        let (encoded, memories) = (&self.encoded, &self.memories);
        let frames = lanes.iter().flat_map(|&Lane { utterance, frame }| {
            (frame..frame + window).map(move |frame| {
                // Past the last column, its scores again: frames that the search does not use.
                let row = utterance * n_columns + frame.min(n_columns - 1);
                let predicted = &memories[utterance].predicted;
                (&encoded[row * width..][..width], predicted.as_slice())
            })
        });
        let (scores, _) = scores.as_chunks_mut::<EMISSION_LEN>();
        self.head.joint.score(frames, scores);
        Ok(())
    }

    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Error> {
        let tokens: Vec<_> = emitted.iter().map(|&(_, token)| token).collect();
        let blank = self.head.predictor.blank();
        if let Some(token) = tokens.iter().find(|&&token| token > blank) {
            let why = TchError::Kind(format!("there is no token {token}, {blank} is the last"));
            return Err(failure("advance", format!("{} tokens", tokens.len()), why));
        }
        let mut places: Vec<_> = self.memories.iter_mut().map(Some).collect();
        let mut memories: Vec<_> = emitted
            .iter()
            .map(|&(utterance, _)| places[utterance].take().expect("no utterance comes twice"))
            .collect();
        self.head.predictor.advance(&mut memories, &tokens);
        Ok(())
    }
}
