//! The weights of predictor and joint as plain numbers.

use cpu_linear::Format;

/// Weight and bias of a linear layer; the bias has n_out numbers.
pub(crate) struct LinearWeights {
    /// (n_out, n_in), row after row.
    pub(crate) weight: Vec<f32>,
    /// (n_out).
    pub(crate) bias: Vec<f32>,
}

/// All weights, row after row; `ArchiveWeights::check` has checked that the sizes fit each other.
///
/// LSTM layers of width H, a joint of width J, D durations.
pub(crate) struct HeadWeights {
    /// The number format of the archive's weights.
    pub(crate) format: Format,
    /// Tokens with blank, V.
    pub(crate) n_tokens: usize,
    /// What each token adds to the gates of the first layer, its bias included: (V, 4 H).
    pub(crate) token_gates: Vec<f32>,
    /// What the hidden state of each layer adds to the layer's gates: (4 H, H).
    pub(crate) hidden_gates: Vec<Vec<f32>>,
    /// What the input of each layer but the first adds to the layer's gates: (4 H, H).
    pub(crate) input_gates: Vec<LinearWeights>,
    /// The joint's projection of the predictor's output: (J, H).
    pub(crate) projection: LinearWeights,
    /// The joint's scores of tokens, blank and durations: (V + D, J).
    pub(crate) scores: LinearWeights,
    /// What the joint applies to the sum of the projections.
    pub(crate) activation: JointActivation,
    /// TDT's durations in encoder frames, (D); empty for RNNT.
    pub(crate) durations: Vec<f32>,
}

/// The function that the joint applies to the sum of the projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JointActivation {
    Relu,
    Sigmoid,
    Tanh,
}

impl JointActivation {
    /// Finds an activation by NeMo's name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        match name {
            "relu" => Ok(Self::Relu),
            "sigmoid" => Ok(Self::Sigmoid),
            "tanh" => Ok(Self::Tanh),
            _ => Err(format!(
                "the joint's activation is {name}, expected relu, sigmoid or tanh"
            )),
        }
    }
}
