//! Packing: weights once, for all products to come; rows of activations at each product.

use crate::formats::{Bfloat16Sums, Float32, Int8};
use crate::kernel::{Kernel, PAIR, TILE};
use crate::layer::{Format, Layer};
use crate::numbers::Number;
use crate::parallel::Parallel;
use crate::scratch::{Line, Parts};

impl Layer {
    /// Packs weights (n_out, n_in) into `lines`, of which there are [`Layer::n_lines`].
    ///
    /// `weight` gives the weight at a place of the row-major matrix; in int8 it is a whole number from -127
    /// to 127. `scale` (n_out) is what int8 weights are multiplied with, and `None` in the other formats.
    /// `bias` is (n_out), or `None` for zeros.
    ///
    /// # Panics
    ///
    /// If a slice has another size, if int8 has no scale or another format has one, or if int8 has more than
    /// 2^17 inputs, whose sum of products a 32-bit integer might not hold.
    pub fn pack(
        self,
        weight: impl Fn(usize) -> f32 + Sync,
        scale: Option<&[f32]>,
        bias: Option<&[f32]>,
        lines: &mut [Line],
        parallel: &impl Parallel,
    ) {
        assert_eq!(lines.len(), self.n_lines());
        assert!(self.format != Format::Int8 || self.n_in <= 1 << 17);
        assert!(bias.is_none_or(|it| it.len() == self.n_out));
        assert!(scale.map_or(self.format != Format::Int8, |it| it.len() == self.n_out));
        let (tiles, bias_scales) = lines.split_at_mut(self.n_weight_lines());
        let n_lines = tiles.len() / self.n_pairs();
        let tiles = Parts::of(tiles);
        parallel.run(self.n_pairs(), &|pairs| {
            for pair in pairs {
                // SAFETY: `Parallel` gives each pair to one thread, which holds one part at a time.
                #[expect(unsafe_code, reason = "threads write disjoint pairs")]
                let tiles = unsafe { tiles.part(pair * n_lines..(pair + 1) * n_lines) };
                // Zeros for the inputs and outputs beyond the layer's edge: they add nothing to a sum. The
                // words of bfloat16 and int8 are also composed with `|`.
                tiles.fill(Line::ZERO);
                match self.format {
                    Format::Float32 => self.pack_pair::<Float32>(&weight, pair, tiles),
                    Format::Bfloat16 => self.pack_pair::<Bfloat16Sums>(&weight, pair, tiles),
                    Format::Int8 => self.pack_pair::<Int8>(&weight, pair, tiles),
                }
            }
        });
        bias_scales.fill(Line::ZERO);
        for (pair, bias_scale) in bias_scales.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            for (lines, numbers) in bias_scale.chunks_exact_mut(2).zip([bias, scale]) {
                let numbers = numbers.unwrap_or_default().iter().skip(pair * PAIR);
                for (n, number) in numbers.take(PAIR).enumerate() {
                    lines[n / TILE].0[n % TILE] = number.to_bits();
                }
            }
        }
    }

    /// Packs the weights of a pair of column tiles: two tiles for each step.
    fn pack_pair<K: Kernel>(self, weight: &impl Fn(usize) -> f32, pair: usize, tiles: &mut [Line]) {
        for (i, tile) in tiles.chunks_exact_mut(K::STORED_LINES).enumerate() {
            let (start, column) = (i / 2 * K::STEP, pair * PAIR + i % 2 * TILE);
            for k in start..self.n_in.min(start + K::STEP) {
                for n in column..self.n_out.min(column + TILE) {
                    K::pack_weight(weight(n * self.n_in + k), k - start, n - column, tile);
                }
            }
        }
    }
}

/// The largest byte of a row's numbers.
const LARGEST: f32 = 127.0;
/// What a row's largest number is taken for, at least: a row of zeros is divided by its scale, too.
const SMALLEST: f32 = 1e-30;

/// Packs up to 32 rows (`n_in` each) for the left side of a micro-kernel: two tiles for each step.
///
/// Rows and inputs beyond the edge are zeros. Where the kernel has scales, the scale of row r goes to
/// `scales[r]`; it is the row's own, so that an answer depends on no other row.
#[inline(always)]
pub(crate) fn pack_rows<K: Kernel, T: Number>(
    rows: &[T],
    n_in: usize,
    tiles: &mut [Line],
    scales: &mut [f32; PAIR],
) {
    // The memory holds the rows of an earlier product. Whole pairs of tiles are overwritten below.
    if rows.len() < PAIR * n_in {
        tiles.fill(Line::ZERO);
    }
    for (r, row) in rows.chunks_exact(n_in).enumerate() {
        let mut inverse = 1.0;
        if K::IS_SCALED {
            // Not `max`, which would take the smallest for NaN and hide it: a number that is not finite has
            // no byte, but it makes the row's scale, and so the whole row of the answer, not finite.
            let largest = largest(row);
            scales[r] = if largest < SMALLEST {
                SMALLEST
            } else {
                largest
            } / LARGEST;
            inverse = 1.0 / scales[r];
        }
        let place = r / TILE * K::TILE_LINES + r % TILE;
        let steps = row.chunks_exact(K::STEP);
        let rest = steps.remainder();
        let mut tiles = tiles.chunks_exact_mut(2 * K::TILE_LINES);
        for numbers in steps {
            let step = tiles.next().expect("a step has its tiles");
            K::pack_row(numbers, inverse, &mut step[place..]);
        }
        if let Some(step) = tiles.next() {
            // The last step has fewer numbers. 64 are enough for the longest step.
            let mut numbers = [T::from_f32(0.0); 64];
            numbers[..rest.len()].copy_from_slice(rest);
            K::pack_row(&numbers, inverse, &mut step[place..]);
        }
    }
}

/// The largest absolute value of a row; NaN if the row has one.
#[inline(always)]
fn largest<T: Number>(row: &[T]) -> f32 {
    // Without the sign, the bits of float32 have the order of the numbers, and NaN is above infinity. A
    // maximum of integers also becomes a vector instruction, which one of floats with NaN does not.
    let mut largest = 0;
    for x in row {
        largest = largest.max(x.to_f32().to_bits() & 0x7fff_ffff);
    }
    f32::from_bits(largest)
}
