//! Linear layers on a CPU, in float32, bfloat16 and int8.
//!
//! [`Layer::pack`] writes a layer's weights once, in the order in which they are read. [`Layer::gemm`]
//! multiplies many rows of activations on the matrix unit of the CPU, Intel's AMX. [`Layer::gemv`] multiplies
//! a few rows with the vectors of any CPU: reading the weights is then most of the work. On AMX the
//! [`Format`]s are:
//!
//! - Float32, as exact as float32 arithmetic. The matrix unit knows no float32. But a float32 is the sum of
//!   three bfloat16 without rounding, and of the nine products of two such sums six matter (Henry, Tang and
//!   Heinecke 2019, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
//!   Computations"). Six products on the matrix unit take about half the time of one product in float32 with
//!   AVX-512.
//! - Bfloat16, summed in float32.
//! - Int8. Weights have a scale for each output. Activations are rounded to bytes with a scale for each row,
//!   which is the row's largest number at each product.
//!
//! A row of the answer depends on no other row and on no number of threads, to the bit: the order of
//! additions in a sum is the layer's alone.
//!
//! ```
//! use cpu_linear::{Activation, Format, Layer, Line, OneThread};
//!
//! let layer = Layer { format: Format::Float32, n_in: 3, n_out: 2 };
//! let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
//! let mut lines = vec![Line([0; 16]); layer.n_lines()];
//! layer.pack(|i| weights[i], None, Some(&[0.5, -0.5]), &mut lines, &OneThread);
//!
//! let mut out = [0.0; 2];
//! layer.gemv(&lines, &[1.0, 0.0, -1.0], &mut out, Activation::Relu);
//! assert_eq!(out, [0.0, 0.0]);
//! layer.gemv(&lines, &[0.0, 0.0, 1.0], &mut out, Activation::None);
//! assert_eq!(out, [3.5, 5.5]);
//! ```

mod activation;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_amx.rs"]
mod amx;
mod cpu;
mod epilogue;
mod formats;
mod gemm;
mod gemv;
mod kernel;
mod layer;
mod numbers;
mod pack;
mod parallel;
mod scratch;
mod simd;

#[cfg(test)]
mod tests;

pub use activation::{Activation, exp};
pub use cpu::has_tiles;
pub use layer::{Format, Layer};
pub use numbers::{Bfloat16, Number};
pub use parallel::{OneThread, Parallel};
pub use scratch::Line;
pub use simd::with_vectors;
