//! Linear layers on the matrix units of a CPU, Intel's AMX, faster than libraries that serve every shape; and of
//! a few rows, by the vectors of any CPU.
//!
//! A [`Layer`] is weights laid out once ([`Layer::lay_out`]). [`Layer::multiply`] gives it rows of activations on
//! the units, [`Layer::multiply_few`] a few rows, for which reading the weights is all the work. What it computes
//! in is its [`Format`], here on the units:
//!
//! - float32, as exact as float32 arithmetic. The units know no float32, but a float32 is the sum of three
//!   bfloat16 numbers without a rounding, and six of the nine products of two such sums matter (Henry, Tang
//!   and Heinecke 2019, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
//!   Computations"). Six of them still take about half of what AVX-512 takes for one in float32.
//! - bfloat16, summed in float32.
//! - int8: weights with a scale for each output, activations with one for each row, measured as they come.
//!
//! A row of the answer depends on no other row and on no number of threads, to the bit: every sum has an order
//! that is the layer's own. A block of weights is multiplied with hundreds of rows before the next one, which
//! is fetched meanwhile.

mod few;
mod finish;
mod formats;
mod layer;
mod multiply;
mod numbers;
mod rows;
mod scratch;
#[cfg(target_arch = "x86_64")]
mod tiles;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_tiles.rs"]
mod tiles;
mod vectors;

#[cfg(test)]
mod tests;

pub use finish::{Activation, exp};
pub use layer::{Format, Layer};
pub use multiply::{OneThread, Parallel};
pub use numbers::{Bfloat16, Number};
pub use scratch::Line;
pub use tiles::is_supported;
pub use vectors::with_vectors;
