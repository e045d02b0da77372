//! The predictor: a stack of LSTM layers, one token at a time.

use std::iter;

use cpu_linear::with_vectors;
use rnnt_decode::TokenId;

use super::linear::{Linear, Table};
use super::lstm;

/// The predictor's state of one utterance.
#[derive(Clone)]
pub(super) struct PredictorState {
    /// The joint's projection of the predictor's output, (J).
    pub(super) predicted: Vec<f32>,
    layers: Vec<LayerState>,
}

/// Hidden and cell state of one layer, (H) each.
#[derive(Clone)]
struct LayerState {
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

/// LSTM layers of width H, and the joint's projection of their output.
pub(super) struct Predictor {
    /// What each token adds to the gates of the first layer.
    token_gates: Table,
    layers: Vec<LstmLayer>,
    projection: Linear,
}

struct LstmLayer {
    /// What the hidden state adds to the gates.
    hidden_gates: Linear,
    /// What the input adds to the gates. `None` in the first layer: its input is one of V embeddings, so the
    /// product is looked up in [`Predictor::token_gates`].
    input_gates: Option<Linear>,
}

impl Predictor {
    /// The table is (V, 4 H), the layers of both lists are (4 H, H), and the projection is (J, H).
    /// `input_gates` lacks the first layer.
    pub(super) fn new(
        token_gates: Table,
        hidden_gates: impl Iterator<Item = Linear>,
        input_gates: impl Iterator<Item = Linear>,
        projection: Linear,
    ) -> Self {
        let input_gates = iter::once(None).chain(input_gates.map(Some));
        let layers = hidden_gates.zip(input_gates);
        let layer = |(hidden_gates, input_gates)| LstmLayer {
            hidden_gates,
            input_gates,
        };
        Self {
            token_gates,
            layers: layers.map(layer).collect(),
            projection,
        }
    }

    /// Blank, the last token of the table.
    pub(super) fn blank(&self) -> TokenId {
        self.token_gates.n_rows() as TokenId - 1
    }

    pub(super) fn n_bytes(&self) -> usize {
        let layers = self.layers.iter().map(|layer| {
            let input_gates = layer.input_gates.as_ref();
            layer.hidden_gates.n_bytes() + input_gates.map_or(0, Linear::n_bytes)
        });
        layers.sum::<usize>() + self.projection.n_bytes() + self.token_gates.n_bytes()
    }

    /// The state before any token: zeros.
    pub(super) fn zero_state(&self) -> PredictorState {
        let layers = self.layers.iter().map(|layer| {
            let zeros = vec![0.0; layer.hidden_gates.n_in()];
            LayerState {
                hidden: zeros.clone(),
                cell: zeros,
            }
        });
        PredictorState {
            predicted: vec![0.0; self.projection.n_out()],
            layers: layers.collect(),
        }
    }

    /// Feeds a token, at most [`Self::blank`], to each state.
    ///
    /// The states share each layer's products, so that a layer's weights are read once for all of them.
    pub(super) fn advance(&self, states: &mut [&mut PredictorState], tokens: &[TokenId]) {
        let mut gates = Vec::new();
        for &token in tokens {
            self.token_gates.look_up(token as usize, &mut gates);
        }
        // In turn the hidden states of a layer before its update and after it; those are the next layer's
        // input.
        let mut hidden = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            if let Some(input_gates) = &layer.input_gates {
                input_gates.multiply(&hidden, &mut gates);
            }
            hidden.clear();
            for state in &*states {
                hidden.extend_from_slice(&state.layers[i].hidden);
            }
            layer.hidden_gates.add_product(&hidden, &mut gates);
            hidden.clear();
            let per_state = gates.chunks(layer.hidden_gates.n_out());
            for (state, gates) in states.iter_mut().zip(per_state) {
                let state = &mut state.layers[i];
                with_vectors(|| lstm::update(gates, &mut state.hidden, &mut state.cell));
                hidden.extend_from_slice(&state.hidden);
            }
        }
        let mut predicted = vec![0.0; states.len() * self.projection.n_out()];
        self.projection.multiply(&hidden, &mut predicted);
        let per_state = predicted.chunks(self.projection.n_out());
        for (state, predicted) in states.iter_mut().zip(per_state) {
            state.predicted.copy_from_slice(predicted);
        }
    }
}
