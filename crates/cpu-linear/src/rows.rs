//! Rows of activations as tiles.

use crate::formats::{Arithmetic, PAIR, TILE};
use crate::numbers::Number;
use crate::scratch::Line;

/// The largest byte of a row's numbers.
const LARGEST: f32 = 127.0;
/// A row of zeros has a scale, too.
const SMALLEST: f32 = 1e-30;

/// Lays up to 32 rows (`n_in` each) out, step after step two tiles; rows that are not there are zeros. Their
/// scales, where the arithmetic has such, go to `scales`.
#[inline(always)]
pub(crate) fn lay_out<A: Arithmetic, T: Number>(
    rows: &[T],
    n_in: usize,
    tiles: &mut [Line],
    scales: &mut [f32; PAIR],
) {
    if rows.len() < PAIR * n_in {
        tiles.fill(Line::ZERO);
    }
    for (r, row) in rows.chunks_exact(n_in).enumerate() {
        let mut inverse = 1.0;
        if A::IS_SCALED {
            // Not `max`, which would take the smallest for what is no number, and hide it.
            let largest = largest(row);
            scales[r] = if largest < SMALLEST {
                SMALLEST
            } else {
                largest
            } / LARGEST;
            inverse = 1.0 / scales[r];
        }
        let place = r / TILE * A::LINES + r % TILE;
        let steps = row.chunks_exact(A::STEP);
        let rest = steps.remainder();
        let mut tiles = tiles.chunks_exact_mut(2 * A::LINES);
        for numbers in steps {
            let step = tiles.next().expect("a step has its tiles");
            A::lay_row(numbers, inverse, &mut step[place..]);
        }
        if let Some(step) = tiles.next() {
            let mut numbers = [T::from_f32(0.0); 64];
            numbers[..rest.len()].copy_from_slice(rest);
            A::lay_row(&numbers, inverse, &mut step[place..]);
        }
    }
}

/// The largest absolute value of a row.
#[inline(always)]
fn largest<T: Number>(row: &[T]) -> f32 {
    // The bits of what is not negative are in the order of the numbers.
    let mut largest = 0;
    for x in row {
        largest = largest.max(x.to_f32().to_bits() & 0x7fff_ffff);
    }
    f32::from_bits(largest)
}
