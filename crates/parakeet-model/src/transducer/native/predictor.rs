//! The predictor: an embedding and a stack of LSTM cells, one step at a time.
//!
//! Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers, Schmidhuber and
//! Cummins 2000.

use std::iter;

use cpu_linear::{exp, with_vectors};
use rnnt_decode::TokenId;

use super::matrix::{Matrix, Table};

/// What is kept of the tokens of one utterance.
#[derive(Clone)]
pub(super) struct Memory {
    /// The joint's projection of the output, (J).
    pub(super) predicted: Vec<f32>,
    /// Hidden and cell of each layer, (H) each.
    layers: Vec<[Vec<f32>; 2]>,
}

pub(super) struct Predictor {
    /// What each token adds to the gates of the first layer.
    first_gates: Table,
    layers: Vec<Cell>,
    projection: Matrix,
}

struct Cell {
    by_state: Matrix,
    /// None in the first layer, whose input is one of V + 1 vectors: its product is looked up.
    by_input: Option<Matrix>,
}

impl Predictor {
    /// Of what each token adds to the first layer's gates, bias included, (V + 1, 4 H); what each layer's state
    /// adds, (4 H, H); what the input of each but the first does, (4 H, H); and the joint's projection (J, H).
    pub(super) fn new(
        first_gates: Table,
        by_state: Vec<Matrix>,
        by_input: Vec<Matrix>,
        projection: Matrix,
    ) -> Self {
        let by_input = iter::once(None).chain(by_input.into_iter().map(Some));
        let layers = by_state.into_iter().zip(by_input);
        Self {
            first_gates,
            layers: layers
                .map(|(by_state, by_input)| Cell { by_state, by_input })
                .collect(),
            projection,
        }
    }

    /// The last token of the table.
    pub(super) fn blank(&self) -> TokenId {
        self.first_gates.n_rows() as TokenId - 1
    }

    pub(super) fn n_bytes(&self) -> usize {
        let layers = self.layers.iter().map(|Cell { by_state, by_input }| {
            by_state.n_bytes() + by_input.as_ref().map_or(0, Matrix::n_bytes)
        });
        layers.sum::<usize>() + self.projection.n_bytes() + self.first_gates.n_bytes()
    }

    /// Before anything was fed.
    pub(super) fn zeros(&self) -> Memory {
        let layers = self.layers.iter();
        Memory {
            predicted: vec![0.0; self.projection.n_out()],
            layers: layers
                .map(|it| [(); 2].map(|()| vec![0.0; it.by_state.n_in()]))
                .collect(),
        }
    }

    /// Feeds a token to each, of those up to [`Self::blank`].
    pub(super) fn advance(&self, memories: &mut [&mut Memory], tokens: &[TokenId]) {
        let mut gates = Vec::new();
        for &token in tokens {
            self.first_gates.look_up(token as usize, &mut gates);
        }
        let mut output = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            if let Some(by_input) = &layer.by_input {
                by_input.multiply(&output, &mut gates);
            }
            output.clear();
            for memory in &*memories {
                output.extend_from_slice(&memory.layers[i][0]);
            }
            layer.by_state.add_product(&output, &mut gates);
            output.clear();
            for (memory, gates) in memories
                .iter_mut()
                .zip(gates.chunks(layer.by_state.n_out()))
            {
                let [hidden, cell] = &mut memory.layers[i];
                with_vectors(|| step(gates, hidden, cell));
                output.extend_from_slice(hidden);
            }
        }
        let mut predicted = vec![0.0; memories.len() * self.projection.n_out()];
        self.projection.multiply(&output, &mut predicted);
        for (memory, predicted) in memories
            .iter_mut()
            .zip(predicted.chunks(self.projection.n_out()))
        {
            memory.predicted.copy_from_slice(predicted);
        }
    }
}

/// Hidden and cell (H) after gates (4 H): input, forget, candidate, output.
#[inline(always)]
fn step(gates: &[f32], hidden: &mut [f32], cell: &mut [f32]) {
    let n = cell.len();
    // What the compiler knows of lengths it need not check in the loop, which is a vector's then.
    let hidden = &mut hidden[..n];
    let (take_in, gates) = gates.split_at(n);
    let (forget, gates) = gates.split_at(n);
    let (candidate, give_out) = gates.split_at(n);
    let give_out = &give_out[..n];
    for i in 0..n {
        cell[i] = sigmoid(forget[i]) * cell[i] + sigmoid(take_in[i]) * tanh(candidate[i]);
        hidden[i] = sigmoid(give_out[i]) * tanh(cell[i]);
    }
}

/// The logistic function.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent, off by 3e-7 at most.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}
