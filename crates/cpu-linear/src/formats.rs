//! What numbers look like in tiles: sixteen rows, or columns, of a step's numbers along the sum.
//!
//! A word of a tile holds two bfloat16 or four bytes of one row, or of one column. Which ones is free as long
//! as rows and columns agree: here word w has the numbers w, 16 + w and so on, for which nothing is shuffled.

use crate::numbers::{Bfloat16, Number};
use crate::scratch::Line;
use crate::vectors::Sixteen;

/// Rows, or columns, of a tile.
pub(crate) const TILE: usize = 16;
/// Rows, or columns, that are multiplied at once.
pub(crate) const PAIR: usize = 2 * TILE;

/// Sums of 32 rows with 32 columns, a tile after another: upper left, upper right, lower left, lower right.
pub(crate) type Sums = [Line; 4 * TILE];

/// Where the next weights lie, and how many bytes further each step of a product fetches.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "tiles alone fetch ahead")
)]
pub(crate) struct Ahead {
    pub(crate) at: *const u8,
    pub(crate) stride: usize,
}

/// What is multiplied: in each step two tiles of rows, 16 x 64 bytes, and two of columns.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "tiles alone need all of it")
)]
pub(crate) struct Terms<'a> {
    pub(crate) rows: &'a [Line],
    pub(crate) columns: &'a [Line],
    /// Whether sums begin with it; else it is added to them.
    pub(crate) begin: bool,
    pub(crate) ahead: Ahead,
}

/// What multiplies tiles.
pub(crate) trait Unit {
    /// Before a thread multiplies.
    fn begin() -> Self;

    /// The nearest bfloat16 of each.
    fn narrow(values: &[f32; PAIR]) -> [Bfloat16; PAIR] {
        values.map(Bfloat16::from_f32)
    }

    /// Of bfloat16, 32 along the sum, in float32.
    fn bfloat16(&self, terms: Terms<'_>, sums: &mut Sums);

    /// Of signed bytes, 64 along the sum, in 32-bit integers.
    fn int8(&self, terms: Terms<'_>, sums: &mut Sums);

    /// Of float32 in three pieces of bfloat16, the largest first: every tile is three. Left out are the products
    /// of a third piece with a second or a third, which together are below 2^-25 of the numbers' product.
    fn float32(&self, terms: Terms<'_>, sums: &mut Sums);
}

/// How a layer computes.
pub(crate) trait Arithmetic {
    /// Numbers along the sum that one step has.
    const STEP: usize;
    /// Lines of one tile of weights as they are stored.
    const STORED: usize;
    /// Lines of one tile as it is multiplied.
    const LINES: usize;
    /// Lines that a step of a product fetches ahead.
    const AHEAD: usize = 3;
    /// Steps of a block of weights, as measured: what a pair of row tiles needs of rows and columns then fits
    /// the first-level cache. In float32, where more is done with it, longer blocks are faster.
    const AT_ONCE: usize = 8;
    /// Pairs of row tiles that a block is multiplied with before the next; their sums are 512 KiB.
    const ROW_PAIRS: usize = 16;
    /// Whether numbers are divided by a scale.
    const IS_SCALED: bool = false;

    /// Writes one row's numbers of a step, times `scale`, to its line of a tile: of every piece, 16 apart.
    fn lay_row<T: Number>(numbers: &[T], scale: f32, tile: &mut [Line]);

    /// Writes the number `k` of column `n` of a step to the tile that is stored.
    fn store(value: f32, k: usize, n: usize, tile: &mut [Line]);

    /// Whether stored tiles are not yet what is multiplied.
    const IS_FOLDED: bool = Self::STORED != Self::LINES;

    /// Makes tiles to multiply of stored ones that are folded.
    fn unfold(_stored: &[Line], _tiles: &mut [Line]) {}

    fn multiply(unit: &impl Unit, terms: Terms<'_>, sums: &mut Sums);

    /// A sum, as the unit left it.
    fn value(sum: u32) -> f32;

    /// Numbers in a word of a stored tile.
    const PER_WORD: usize;

    /// The `i`th numbers of the words of a stored line.
    fn numbers<V: Sixteen>(line: &Line, i: usize) -> V;

    /// Where along the sum, from the step's beginning, these are.
    fn place(line: usize, i: usize) -> usize;
}

pub(crate) struct Float32;
pub(crate) struct Bfloat16Sums;
pub(crate) struct Int8;

/// Cuts two float32 in three pieces each: twice to the nearest bfloat16, of two the one away from zero. Each
/// leaves a sign and nine bits less, so that the third piece is what is left, and the three are the number.
#[inline(always)]
fn pieces(low: f32, high: f32) -> [u32; 3] {
    const UPPER_HALF: u32 = 0xffff_0000;
    let nearest = |value: f32| value.to_bits().wrapping_add(0x8000) & UPPER_HALF;
    let pair = |low: u32, high: u32| low >> 16 | high & UPPER_HALF;

    let first = (nearest(low), nearest(high));
    let (low, high) = (
        low - f32::from_bits(first.0),
        high - f32::from_bits(first.1),
    );
    let second = (nearest(low), nearest(high));
    let (low, high) = (
        low - f32::from_bits(second.0),
        high - f32::from_bits(second.1),
    );
    // Not rounded, it stays no number if the others became one.
    let third = (low.to_bits(), high.to_bits());
    [
        pair(first.0, first.1),
        pair(second.0, second.1),
        pair(third.0, third.1),
    ]
}

impl Arithmetic for Float32 {
    const STEP: usize = 32;
    const STORED: usize = 2 * TILE;
    const LINES: usize = 3 * TILE;
    const AHEAD: usize = 6;
    const AT_ONCE: usize = 16;
    // For every such band of rows weights are cut in pieces anew.
    const ROW_PAIRS: usize = 32;

    #[inline(always)]
    fn lay_row<T: Number>(numbers: &[T], _scale: f32, tile: &mut [Line]) {
        let (low, high) = numbers.split_at(16);
        let mut lines = [Line::ZERO; 3];
        for w in 0..16 {
            let cut = pieces(low[w].to_f32(), high[w].to_f32());
            for (line, piece) in lines.iter_mut().zip(cut) {
                line.0[w] = piece;
            }
        }
        for (i, line) in lines.into_iter().enumerate() {
            tile[i * TILE] = line;
        }
    }

    #[inline(always)]
    fn store(value: f32, k: usize, n: usize, tile: &mut [Line]) {
        tile[k % 16 * 2 + k / 16].0[n] = value.to_bits();
    }

    #[inline(always)]
    fn unfold(stored: &[Line], tiles: &mut [Line]) {
        let tiles_and_stored = tiles
            .chunks_exact_mut(Self::LINES)
            .zip(stored.chunks_exact(Self::STORED));
        for (tile, stored) in tiles_and_stored {
            for (w, pair) in stored.as_chunks::<2>().0.iter().enumerate() {
                let mut lines = [Line::ZERO; 3];
                for n in 0..16 {
                    let cut = pieces(f32::from_bits(pair[0].0[n]), f32::from_bits(pair[1].0[n]));
                    for (line, piece) in lines.iter_mut().zip(cut) {
                        line.0[n] = piece;
                    }
                }
                for (i, line) in lines.into_iter().enumerate() {
                    tile[i * TILE + w] = line;
                }
            }
        }
    }

    #[inline(always)]
    fn multiply(unit: &impl Unit, terms: Terms<'_>, sums: &mut Sums) {
        unit.float32(terms, sums);
    }

    #[inline(always)]
    fn value(sum: u32) -> f32 {
        f32::from_bits(sum)
    }

    const PER_WORD: usize = 1;

    #[inline(always)]
    fn numbers<V: Sixteen>(line: &Line, _: usize) -> V {
        V::of_words(line)
    }

    #[inline(always)]
    fn place(line: usize, _: usize) -> usize {
        line / 2 + line % 2 * 16
    }
}

impl Arithmetic for Bfloat16Sums {
    const STEP: usize = 32;
    const STORED: usize = TILE;
    const LINES: usize = TILE;

    #[inline(always)]
    fn lay_row<T: Number>(numbers: &[T], _scale: f32, tile: &mut [Line]) {
        let (low, high) = numbers.split_at(16);
        for w in 0..16 {
            let (low, high) = (low[w].to_bfloat16().0, high[w].to_bfloat16().0);
            tile[0].0[w] = u32::from(low) | u32::from(high) << 16;
        }
    }

    #[inline(always)]
    fn store(value: f32, k: usize, n: usize, tile: &mut [Line]) {
        let bits = u32::from(value.to_bfloat16().0);
        tile[k % 16].0[n] |= bits << (k / 16 * 16);
    }

    #[inline(always)]
    fn multiply(unit: &impl Unit, terms: Terms<'_>, sums: &mut Sums) {
        unit.bfloat16(terms, sums);
    }

    #[inline(always)]
    fn value(sum: u32) -> f32 {
        f32::from_bits(sum)
    }

    const PER_WORD: usize = 2;

    #[inline(always)]
    fn numbers<V: Sixteen>(line: &Line, i: usize) -> V {
        if i == 0 {
            V::of_lower_halves(line)
        } else {
            V::of_upper_halves(line)
        }
    }

    #[inline(always)]
    fn place(line: usize, i: usize) -> usize {
        i * 16 + line
    }
}

/// The nearest integer of one between -127 and 127, as a byte. Added to 1.5 x 2^23 it is the number's last.
#[inline(always)]
fn byte(value: f32) -> u32 {
    (value + 12_582_912.0).to_bits() & 0xff
}

impl Arithmetic for Int8 {
    const STEP: usize = 64;
    const STORED: usize = TILE;
    const LINES: usize = TILE;
    const IS_SCALED: bool = true;

    #[inline(always)]
    fn lay_row<T: Number>(numbers: &[T], scale: f32, tile: &mut [Line]) {
        let mut line = Line::ZERO;
        for (quarter, numbers) in numbers[..64].chunks_exact(16).enumerate() {
            for (word, number) in line.0.iter_mut().zip(numbers) {
                *word |= byte(number.to_f32() * scale) << (8 * quarter);
            }
        }
        tile[0] = line;
    }

    #[inline(always)]
    fn store(value: f32, k: usize, n: usize, tile: &mut [Line]) {
        tile[k % 16].0[n] |= byte(value) << (k / 16 * 8);
    }

    #[inline(always)]
    fn multiply(unit: &impl Unit, terms: Terms<'_>, sums: &mut Sums) {
        unit.int8(terms, sums);
    }

    #[inline(always)]
    fn value(sum: u32) -> f32 {
        sum as i32 as f32
    }

    const PER_WORD: usize = 4;

    #[inline(always)]
    fn numbers<V: Sixteen>(line: &Line, i: usize) -> V {
        V::of_bytes(line, i)
    }

    #[inline(always)]
    fn place(line: usize, i: usize) -> usize {
        i * 16 + line
    }
}
