//! One step of an LSTM cell, and its two curves.
//!
//! Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers, Schmidhuber and
//! Cummins 2000.

use cpu_linear::exp;

/// Updates the hidden and cell state (H) by the gates (4 H): input, forget, candidate, output.
#[inline(always)]
pub(super) fn update(gates: &[f32], hidden: &mut [f32], cell: &mut [f32]) {
    let n = cell.len();
    // Slices of one known length: the loop below needs no bounds checks, and the compiler uses vectors.
    let hidden = &mut hidden[..n];
    let (input_gate, gates) = gates.split_at(n);
    let (forget_gate, gates) = gates.split_at(n);
    let (candidate, output_gate) = gates.split_at(n);
    let output_gate = &output_gate[..n];
    for i in 0..n {
        cell[i] = sigmoid(forget_gate[i]) * cell[i] + sigmoid(input_gate[i]) * tanh(candidate[i]);
        hidden[i] = sigmoid(output_gate[i]) * tanh(cell[i]);
    }
}

/// The logistic function.
#[inline(always)]
pub(in crate::transducer) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent, off by 3e-7 at most.
#[inline(always)]
pub(in crate::transducer) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}
