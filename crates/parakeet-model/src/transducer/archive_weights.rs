//! Reads the weights of predictor and joint out of an archive: `host_weights` of
//! `xtask/python/exporter/transducer.py`.

use cpu_linear::Format;
use tch::{IValue, Kind, TchError, Tensor};

use super::native::weights::{HeadWeights, JointActivation, LinearWeights};
use crate::libtorch::module::Module;
use crate::libtorch::tensors::to_vec;

/// Weight (n_out, n_in) and bias (n_out) of a linear layer.
pub(super) type LinearTensors = (Tensor, Tensor);

/// The weights as tensors. V tokens without blank, D durations, LSTM layers of width H, a joint of width J.
pub(crate) struct ArchiveWeights {
    /// What each token adds to the gates of the first layer, its bias included: (V + 1, 4 H).
    pub(super) token_gates: Tensor,
    /// What the hidden state of each layer adds to the layer's gates: (4 H, H).
    pub(super) hidden_gates: Vec<Tensor>,
    /// What the input of each layer but the first adds to the layer's gates: (4 H, H).
    pub(super) input_gates: Vec<LinearTensors>,
    /// The joint's projection of the predictor's output: (J, H).
    pub(super) projection: LinearTensors,
    /// The joint's scores of tokens, blank and durations: (V + 1 + D, J).
    pub(super) scores: LinearTensors,
    /// What the joint applies to the sum of the projections.
    pub(super) activation: JointActivation,
    /// TDT's durations in encoder frames, (D); empty for RNNT.
    pub(super) durations: Tensor,
}

impl ArchiveWeights {
    /// Reads and checks the weights. `None` for CTC, which has no predictor, and for an archive of an earlier
    /// release, which does not give them.
    pub(crate) fn read(module: &Module) -> Result<Option<Self>, TchError> {
        let Some(weights) = module.call_if_defined("host_weights")? else {
            return Ok(None);
        };
        Self::from_answer(weights).map(Some)
    }

    fn from_answer(weights: IValue) -> Result<Self, TchError> {
        let (tables, hidden_gates, linear, activation): (Vec<_>, _, Vec<Tensor>, String) =
            weights.try_into()?;
        let [token_gates, durations] = exactly(tables)?;
        // The linear layers are a flat list of weight, bias, weight, bias: the LSTM layers' first, then the
        // projection, then the scores.
        let mut input_gates = Vec::new();
        let mut linear = linear.into_iter();
        while let Some(weight) = linear.next() {
            input_gates.push((weight, linear.next().ok_or_else(|| misfit("a bias"))?));
        }
        let joint = input_gates.split_off(input_gates.len().saturating_sub(2));
        let [projection, scores] = exactly(joint)?;
        let weights = Self {
            token_gates,
            hidden_gates,
            input_gates,
            projection,
            scores,
            activation: JointActivation::named(&activation).map_err(TchError::Kind)?,
            durations,
        };
        weights.check()?;
        Ok(weights)
    }

    /// Checks that all sizes belong to one network, so that no later code indexes out of a slice.
    pub(super) fn check(&self) -> Result<(), TchError> {
        let (n_tokens, n_gates) = self.token_gates.size2()?;
        let (_, joint) = self.scores.0.size2()?;
        let width = n_gates / 4;
        if n_tokens < 1 || width < 1 || joint < 1 {
            return Err(misfit("a number in each"));
        }
        let is = |tensor: &Tensor, size: &[i64]| tensor.size() == size;
        let is_linear = |(weight, bias): &LinearTensors, [n_out, n_in]: [i64; 2]| {
            is(weight, &[n_out, n_in]) && is(bias, &[n_out])
        };
        if self.hidden_gates.len() != self.input_gates.len() + 1 {
            return Err(misfit("an input of each layer but the first"));
        }
        let gates = [4 * width, width];
        if n_gates != 4 * width
            || self.hidden_gates.iter().any(|it| !is(it, &gates))
            || self.input_gates.iter().any(|it| !is_linear(it, gates))
        {
            return Err(misfit("four gates of one width"));
        }
        if !is_linear(&self.projection, [joint, width]) {
            return Err(misfit("a projection from predictor to joint"));
        }
        let n_durations = self.durations.size1()?;
        if !is_linear(&self.scores, [n_tokens + n_durations, joint]) {
            return Err(misfit("a score for each symbol and duration"));
        }
        Ok(())
    }

    /// Copies the checked weights out of libtorch.
    pub(crate) fn to_host(&self) -> Result<HeadWeights, TchError> {
        let linear = |(weight, bias): &LinearTensors| -> Result<LinearWeights, TchError> {
            Ok(LinearWeights {
                weight: to_vec(weight)?,
                bias: to_vec(bias)?,
            })
        };
        let hidden_gates = self.hidden_gates.iter().map(to_vec);
        let input_gates = self.input_gates.iter().map(linear);
        Ok(HeadWeights {
            format: match self.token_gates.kind() {
                Kind::BFloat16 => Format::Bfloat16,
                _ => Format::Float32,
            },
            n_tokens: self.token_gates.size()[0] as usize,
            token_gates: to_vec(&self.token_gates)?,
            hidden_gates: hidden_gates.collect::<Result<_, _>>()?,
            input_gates: input_gates.collect::<Result<_, _>>()?,
            projection: linear(&self.projection)?,
            scores: linear(&self.scores)?,
            activation: self.activation,
            durations: to_vec(&self.durations)?,
        })
    }
}

fn misfit(expected: &str) -> TchError {
    TchError::Shape(format!(
        "host_weights of the archive do not fit each other, expected {expected}"
    ))
}

/// A list of exactly `N` elements.
fn exactly<T, const N: usize>(list: Vec<T>) -> Result<[T; N], TchError> {
    list.try_into()
        .map_err(|_| misfit(&format!("{N} in a list")))
}
