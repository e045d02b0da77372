//! Predictor and joint as the archive has them, for GPUs, and for CPUs if it is of an earlier release.

use rnnt_decode::{Lane, TokenId};
use tch::{IValue, TchError, Tensor};

use crate::Error;
use crate::network::{Network, failure};
use crate::transducer::PredictorStates;

/// States on the network's device.
pub(crate) struct ArchiveState<'model> {
    network: &'model Network,
    /// (N, T', J).
    encoded: Tensor,
    /// The joint's projection of the predictor's output, (N, J).
    predicted: Tensor,
    /// (L, N, H).
    hidden: Tensor,
    /// (L, N, H).
    cell: Tensor,
    /// Indices on their way to the device: (utterance, frame) or (utterance, token).
    indices: Vec<i64>,
}

impl<'model> ArchiveState<'model> {
    /// The state after the start of sequence.
    pub(crate) fn new(network: &'model Network, encoded: Tensor) -> Result<Self, Error> {
        let n_utterances = encoded.size()[0];
        let (predicted, hidden, cell) =
            network.step(|| network.call("initial_state", [n_utterances.into()]))?;
        Ok(Self {
            network,
            encoded,
            predicted,
            hidden,
            cell,
            indices: Vec::new(),
        })
    }

    fn upload(&mut self, pairs: impl Iterator<Item = (usize, usize)>) -> Result<IValue, TchError> {
        self.indices.clear();
        self.indices
            .extend(pairs.flat_map(|(utterance, index)| [utterance as i64, index as i64]));
        // Not waited for: the host's copy is read before this returns.
        let indices = Tensor::f_from_slice(&self.indices)?.f_view([-1, 2])?;
        let uploaded = indices.f_to_device_(self.encoded.device(), indices.kind(), true, false)?;
        Ok(uploaded.into())
    }
}

impl PredictorStates for ArchiveState<'_> {
    fn score(&mut self, lanes: &[Lane], window: usize, scores: &mut [f32]) -> Result<(), Error> {
        let wrap = |why| failure("score", format!("{} lanes, {window}", lanes.len()), why);
        let network = self.network;
        network.step(|| {
            let lanes = lanes.iter().map(|it| (it.utterance, it.frame));
            let lanes = self.upload(lanes).map_err(wrap)?;
            let arguments = [
                self.encoded.shallow_clone().into(),
                self.predicted.shallow_clone().into(),
                lanes,
                (window as i64).into(),
            ];
            let scored: Tensor = network.call("score", arguments)?;
            scored.f_copy_data(scores, scores.len()).map_err(wrap)
        })
    }

    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Error> {
        let wrap = |why| failure("advance", format!("{} tokens", emitted.len()), why);
        let network = self.network;
        network.step(|| {
            let tokens = emitted.iter().map(|&(it, token)| (it, token as usize));
            let tokens = self.upload(tokens).map_err(wrap)?;
            let arguments = [
                self.predicted.shallow_clone().into(),
                self.hidden.shallow_clone().into(),
                self.cell.shallow_clone().into(),
                tokens,
            ];
            (self.predicted, self.hidden, self.cell) = network.call("advance", arguments)?;
            Ok(())
        })
    }
}
