//! Predictor and joint on a CPU: a step of theirs is a few small products, and libtorch takes as long for the
//! calls around these as for themselves.

mod joint;
mod matrix;
mod predictor;

use amx_gemm::Format;
use rnnt_decode::{Lane, TokenId};
use tch::{CModule, IValue, TchError, Tensor};

use crate::Error;
use crate::network::failure;
use crate::state::{EMISSION_LEN, State};
use joint::{Activation, Joint};
use matrix::{Matrix, Table, numbers};
use predictor::{Memory, Predictor};

/// A transducer's predictor and joint.
pub(crate) struct HostHead {
    predictor: Predictor,
    joint: Joint,
    /// What an utterance begins with, after the start of sequence: blank's zero row.
    start: Memory,
}

impl HostHead {
    /// That of an archive, if it gives its weights (`host_weights` of `xtask/python/transducer.py`); with
    /// `in_bytes` the predictor's are made bytes.
    pub(crate) fn of(module: &CModule, in_bytes: bool) -> Result<Option<Self>, TchError> {
        let weights = match module.method_is::<IValue>("host_weights", &[]) {
            Err(why) if why.to_string().contains("is not defined") => return Ok(None),
            weights => weights?,
        };
        let (tables, by_state, layers, activation): (Vec<_>, Vec<Tensor>, Vec<Tensor>, String) =
            weights.try_into()?;
        let [first_gates, durations] = exactly(tables)?;
        let mut layers: Vec<_> = layers.chunks_exact(2).map(|it| (&it[0], &it[1])).collect();
        let [projection, classes] = exactly(layers.split_off(layers.len().saturating_sub(2)))?;

        let format = |weight: &Tensor| match weight.kind() {
            _ if in_bytes => Format::Int8,
            kind => matrix::format_of(kind),
        };
        let matrix =
            |(weight, bias): (&Tensor, &Tensor)| Matrix::new(format(weight), weight, Some(bias));
        let by_state = by_state.iter();
        let by_state = by_state.map(|weight| Matrix::new(format(weight), weight, None));
        let predictor = Predictor::new(
            Table::new(&first_gates)?,
            by_state.collect::<Result<_, _>>()?,
            layers.into_iter().map(matrix).collect::<Result<_, _>>()?,
            matrix(projection)?,
        );
        // Its scores are the confidence of words.
        let (weight, bias) = classes;
        let classes = Matrix::new(matrix::format_of(weight.kind()), weight, Some(bias))?;
        let activation = Activation::named(&activation)?;
        let joint = Joint::new(classes, activation, predictor.blank(), numbers(&durations)?);
        let mut start = predictor.zeros();
        predictor.advance(&mut [&mut start], &[predictor.blank()]);
        Ok(Some(Self {
            predictor,
            joint,
            start,
        }))
    }
}

/// A list of so many.
fn exactly<T, const N: usize>(list: Vec<T>) -> Result<[T; N], TchError> {
    let wrong = |list: Vec<T>| TchError::Kind(format!("host_weights has {} for {N}", list.len()));
    list.try_into().map_err(wrong)
}

/// The states of a batch.
pub(crate) struct HostState<'model> {
    head: &'model HostHead,
    /// (N, T', J).
    encoded: Vec<f32>,
    /// T'.
    n_columns: usize,
    /// By utterance.
    memories: Vec<Memory>,
}

impl<'model> HostState<'model> {
    /// The state after the start of sequence, of utterances encoded to (N, T', J).
    pub(crate) fn new(head: &'model HostHead, encoded: &Tensor) -> Result<Self, Error> {
        let size = encoded.size();
        let encoded =
            numbers(encoded).map_err(|why| failure("initial_state", format!("{size:?}"), why))?;
        Ok(Self {
            head,
            encoded,
            n_columns: size[1] as usize,
            memories: vec![head.start.clone(); size[0] as usize],
        })
    }
}

impl State for HostState<'_> {
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
