//! The shape of a linear layer, and the sizes of its packed weights.

use crate::epilogue::BiasScale;
use crate::formats::{Bfloat16Sums, Float32, Int8};
use crate::kernel::{Kernel, PAIR};
use crate::scratch::Line;

/// What the weights of a layer are kept in, and what [`Layer::gemm`] computes in; see the crate's
/// documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Float32, by six products of bfloat16.
    Float32,
    /// Bfloat16, summed in float32.
    Bfloat16,
    /// Signed bytes, summed in 32-bit integers, with a scale for each row and each output.
    Int8,
}

/// The shape of a linear layer, and its format.
///
/// [`Layer::pack`] writes a layer's weights to lines of memory, which [`Layer::gemm`] and [`Layer::gemv`]
/// read. The lines belong to the caller, so that they can be a tensor of another library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// The weights' format.
    pub format: Format,
    /// Length of a row of activations; not 0.
    pub n_in: usize,
    /// Length of a row of the answer; not 0.
    pub n_out: usize,
}

/// Packed weights begin with the tiles: for each pair of column tiles (32 outputs, of which the last ones are
/// filled up with zeros), for each step along the inner dimension, the two tiles of the step. The biases and
/// scales of each pair of column tiles follow.
impl Layer {
    /// Number of lines that [`Layer::pack`] fills.
    pub fn n_lines(self) -> usize {
        self.n_weight_lines() + self.n_pairs() * size_of::<BiasScale>() / size_of::<Line>()
    }

    /// Number of pairs of column tiles.
    pub(crate) fn n_pairs(self) -> usize {
        self.n_out.div_ceil(PAIR)
    }

    /// Number of steps along the inner dimension.
    pub(crate) fn n_steps(self) -> usize {
        let step = match self.format {
            Format::Float32 => Float32::STEP,
            Format::Bfloat16 => Bfloat16Sums::STEP,
            Format::Int8 => Int8::STEP,
        };
        self.n_in.div_ceil(step)
    }

    /// Number of lines of one step of a pair of column tiles.
    pub(crate) fn n_step_lines(self) -> usize {
        2 * match self.format {
            Format::Float32 => Float32::STORED_LINES,
            Format::Bfloat16 => Bfloat16Sums::STORED_LINES,
            Format::Int8 => Int8::STORED_LINES,
        }
    }

    /// Number of lines before the first [`BiasScale`].
    pub(crate) fn n_weight_lines(self) -> usize {
        self.n_pairs() * self.n_steps() * self.n_step_lines()
    }
}
