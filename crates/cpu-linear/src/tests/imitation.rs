//! An imitation of the matrix unit by ordinary arithmetic, for CPUs without tiles.

use crate::kernel::{MatrixUnit, Panels, Sums, TILE};
use crate::scratch::Line;

pub(crate) struct Imitation;

impl MatrixUnit for Imitation {
    fn configure() -> Self {
        Self
    }

    fn bfloat16(&self, panels: Panels<'_>, sums: &mut Sums) {
        multiply::<1>(panels, sums, &[(0, 0)], bfloat16_pair, in_float32);
    }

    fn int8(&self, panels: Panels<'_>, sums: &mut Sums) {
        multiply::<1>(panels, sums, &[(0, 0)], four_bytes, in_integers);
    }

    fn float32(&self, panels: Panels<'_>, sums: &mut Sums) {
        // Pieces of the left and the right side, in the order in which the unit adds their products.
        let pieces = [(2, 0), (0, 0), (1, 0), (1, 1), (0, 1), (0, 2)];
        multiply::<3>(panels, sums, &pieces, bfloat16_pair, in_float32);
    }
}

/// Multiplies tiles of `N` pieces each: for each of `pieces` that piece of the left side with that of the
/// right.
fn multiply<const N: usize>(
    panels: Panels<'_>,
    sums: &mut Sums,
    pieces: &[(usize, usize)],
    word: fn(u32, u32) -> f64,
    rounded: fn(u32, f64) -> u32,
) {
    if panels.begin {
        sums.fill(Line::ZERO);
    }
    let of_columns = panels.rhs.chunks_exact(2 * N * TILE);
    for (rows, columns) in panels.lhs.chunks_exact(2 * N * TILE).zip(of_columns) {
        for (row, column) in pieces {
            let of_rows = |tile: usize| &rows[(tile * N + row) * TILE..];
            let of_columns = |tile: usize| &columns[(tile * N + column) * TILE..];
            add(sums, of_rows, of_columns, word, rounded);
        }
    }
}

/// Adds the products of two tiles with two tiles. `word` multiplies a word of a row with a word of a column.
/// The products of a step are added up before `rounded` adds them to the sum, as matrix units appear to do.
fn add<'a>(
    sums: &mut Sums,
    rows: impl Fn(usize) -> &'a [Line],
    columns: impl Fn(usize) -> &'a [Line],
    word: fn(u32, u32) -> f64,
    rounded: fn(u32, f64) -> u32,
) {
    for (i, sum) in sums.iter_mut().enumerate() {
        let (tile, r) = (i / TILE, i % TILE);
        let (row, columns) = (&rows(tile / 2)[r], columns(tile % 2));
        let mut step = [0.0; 16];
        for (w, &of_row) in row.0.iter().enumerate() {
            for (n, step) in step.iter_mut().enumerate() {
                *step += word(of_row, columns[w].0[n]);
            }
        }
        for (sum, step) in sum.0.iter_mut().zip(step) {
            *sum = rounded(*sum, step);
        }
    }
}

fn bfloat16_pair(row: u32, column: u32) -> f64 {
    let high = |word: u32| f64::from(f32::from_bits(word & 0xffff_0000));
    let low = |word: u32| f64::from(f32::from_bits(word << 16));
    low(row) * low(column) + high(row) * high(column)
}

fn in_float32(sum: u32, step: f64) -> u32 {
    ((f64::from(f32::from_bits(sum)) + step) as f32).to_bits()
}

fn four_bytes(row: u32, column: u32) -> f64 {
    let products = row.to_le_bytes().into_iter().zip(column.to_le_bytes());
    products
        .map(|(x, w)| f64::from(x as i8) * f64::from(w as i8))
        .sum()
}

fn in_integers(sum: u32, step: f64) -> u32 {
    (sum as i32 + step as i32) as u32
}
