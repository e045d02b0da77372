//! Predictor and joint by the methods of the archive.

use rnnt_decode::{Lane, TokenId};
use tch::{IValue, TchError, Tensor};

use super::PredictorStates;
use crate::error::Error;
use crate::libtorch::failure::method_failure;
use crate::libtorch::module::Module;

/// Predictor states on the archive's device.
pub(crate) struct TorchScriptStates<'model> {
    module: &'model Module,
    /// (N, T', J).
    encoded: Tensor,
    /// The joint's projection of the predictor's output, (N, J).
    predicted: Tensor,
    /// The hidden states of L layers, (L, N, H).
    hidden: Tensor,
    /// The cell states of L layers, (L, N, H).
    cell: Tensor,
    /// Pairs of (utterance, frame) or (utterance, token), reused from call to call.
    indices: Vec<i64>,
}

impl<'model> TorchScriptStates<'model> {
    /// The states after the start of sequence.
    pub(crate) fn new(module: &'model Module, encoded: Tensor) -> Result<Self, Error> {
        let n_utterances = encoded.size()[0];
        let (predicted, hidden, cell) =
            module.run_search(|| module.call("initial_state", [n_utterances.into()]))?;
        Ok(Self {
            module,
            encoded,
            predicted,
            hidden,
            cell,
            indices: Vec::new(),
        })
    }

    /// Copies pairs of indices to the device.
    fn upload(&mut self, pairs: impl Iterator<Item = (usize, usize)>) -> Result<IValue, TchError> {
        self.indices.clear();
        self.indices
            .extend(pairs.flat_map(|(utterance, index)| [utterance as i64, index as i64]));
        let indices = Tensor::f_from_slice(&self.indices)?.f_view([-1, 2])?;
        // The copy is queued and not waited for. The tensor on the host may be dropped all the same: its
        // memory is not pinned, and CUDA has read such memory when the call returns.
        let uploaded = indices.f_to_device_(self.encoded.device(), indices.kind(), true, false)?;
        Ok(uploaded.into())
    }
}

impl PredictorStates for TorchScriptStates<'_> {
    fn score(&mut self, lanes: &[Lane], window: usize, scores: &mut [f32]) -> Result<(), Error> {
        let wrap = |why| method_failure("score", format!("{} lanes, {window}", lanes.len()), why);
        let module = self.module;
        module.run_search(|| {
            let lanes = lanes.iter().map(|it| (it.utterance, it.frame));
            let lanes = self.upload(lanes).map_err(wrap)?;
            let arguments = [
                self.encoded.shallow_clone().into(),
                self.predicted.shallow_clone().into(),
                lanes,
                (window as i64).into(),
            ];
            let scored: Tensor = module.call("score", arguments)?;
            // Nowhere else does a call of the search make the host wait for the GPU.
            scored.f_copy_data(scores, scores.len()).map_err(wrap)
        })
    }

    fn advance(&mut self, emitted: &[(usize, TokenId)]) -> Result<(), Error> {
        let wrap = |why| method_failure("advance", format!("{} tokens", emitted.len()), why);
        let module = self.module;
        module.run_search(|| {
            let tokens = emitted.iter().map(|&(it, token)| (it, token as usize));
            let tokens = self.upload(tokens).map_err(wrap)?;
            let arguments = [
                self.predicted.shallow_clone().into(),
                self.hidden.shallow_clone().into(),
                self.cell.shallow_clone().into(),
                tokens,
            ];
            // An error leaves all three as they were.
            (self.predicted, self.hidden, self.cell) = module.call("advance", arguments)?;
            Ok(())
        })
    }
}
