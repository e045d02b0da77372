//! The epilogue: what turns a block of sums into a part of the answer. Scales, bias, activation, and the
//! store.

use crate::activation::{Activation, activate};
use crate::kernel::{Kernel, MatrixUnit, PAIR, Sums, TILE};
use crate::numbers::{Bfloat16, Number};
use crate::scratch::{Line, Parts};

/// The biases and scales of 32 outputs, as float32: two lines of biases, then two lines of scales.
pub(crate) type BiasScale = [Line; 4];

/// Where a block of 32 rows by 32 columns of the answer is written.
pub(crate) struct Destination<'a, T> {
    /// The answer (n_rows, n_out), which other threads write too, in other columns.
    pub(crate) out: &'a Parts<'a, T>,
    pub(crate) n_out: usize,
    pub(crate) n_rows: usize,
    /// First row of the block.
    pub(crate) row: usize,
    /// First column of the block.
    pub(crate) column: usize,
}

/// Writes the answer that a block of sums makes.
///
/// At the answer's lower and right edge a block has more rows or columns than the answer. Those sums come
/// from zeros of the packing, and are dropped here.
#[inline(always)]
pub(crate) fn epilogue<U: MatrixUnit, K: Kernel, T: Number>(
    sums: &Sums,
    bias_scale: &BiasScale,
    row_scales: &[f32; PAIR],
    activation: Activation,
    to: &Destination<'_, T>,
) {
    let n_columns = PAIR.min(to.n_out - to.column);
    let n_rows = PAIR.min(to.n_rows - to.row);
    for (r, &row_scale) in row_scales[..n_rows].iter().enumerate() {
        let mut values = [0.0; PAIR];
        for (half, values) in values.chunks_exact_mut(TILE).enumerate() {
            // Row r lies in the upper or the lower two of the four tiles, and in both of them: one tile has
            // its columns 0 to 15, the next one 16 to 31.
            let sums = &sums[(r / TILE * 2 + half) * TILE + r % TILE].0;
            let (bias, scale) = (&bias_scale[half].0, &bias_scale[2 + half].0);
            for n in 0..TILE {
                let mut value = K::sum_to_f32(sums[n]);
                if K::IS_SCALED {
                    value *= f32::from_bits(scale[n]) * row_scale;
                }
                values[n] = value + f32::from_bits(bias[n]);
            }
        }
        let start = (to.row + r) * to.n_out + to.column;
        // SAFETY: `Parallel` gives each column to one thread, and this thread holds no other part of `out`.
        #[expect(unsafe_code, reason = "threads write disjoint columns")]
        let out = unsafe { to.out.part(start..start + n_columns) };
        store(&mut values, activation, out, U::narrow);
    }
}

/// Applies the activation and writes the first `out.len()` values.
///
/// A whole row of a block has a length that the compiler knows, and no loop for a rest. A shorter row is
/// copied to a whole one and back, so that both have the same arithmetic and the same bits.
#[inline(always)]
pub(crate) fn store<T: Number>(
    values: &mut [f32; PAIR],
    activation: Activation,
    out: &mut [T],
    narrow: impl Fn(&[f32; PAIR]) -> [Bfloat16; PAIR],
) {
    if let Ok(out) = <&mut [T; PAIR]>::try_from(&mut *out) {
        activate(values, activation, out);
        *out = T::from_f32s(values, narrow);
    } else {
        let mut whole = [T::from_f32(0.0); PAIR];
        whole[..out.len()].copy_from_slice(out);
        activate(values, activation, &whole);
        out.copy_from_slice(&T::from_f32s(values, narrow)[..out.len()]);
    }
}
