//! The formats' kernels: how float32, bfloat16 and int8 stand in packed tiles.
//!
//! A tile has 16 rows, or columns, of one step. A word of it holds two bfloat16 or four bytes along the inner
//! dimension. The unit multiplies a word of the left side with the word in the same place of the right side
//! and adds everything up, so a step's numbers may stand in any order that both sides share. Here word w
//! holds the numbers w, 16 + w, 32 + w and so on: each half or quarter of a step is then a run of neighbours
//! in memory, and packing shuffles nothing.

use crate::kernel::{Kernel, MatrixUnit, Panels, Sums, TILE};
use crate::numbers::Number;
use crate::scratch::Line;
use crate::simd::F32x16;

/// See [`crate::Format::Float32`].
pub(crate) struct Float32;
/// See [`crate::Format::Bfloat16`].
pub(crate) struct Bfloat16Sums;
/// See [`crate::Format::Int8`].
pub(crate) struct Int8;

/// Cuts each of two float32 in three bfloat16 whose sum is the number, and puts the two numbers' pieces in
/// the lower and the upper halves of three words.
///
/// The first piece is the bfloat16 nearest to the number, away from zero where two are equally near; the
/// second one is the bfloat16 nearest to the rest; the third one is the rest of that. A float32 has 24
/// significant bits. Each of the first two pieces leaves a rest with nine bits less and a sign of its own. So
/// the last rest has six bits, and fits the eight of a bfloat16 without rounding.
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
    // The upper half is taken as it is. Rounding could turn the bits of a NaN into those of infinity or 0,
    // and the third piece has to stay NaN, because the first two may have lost it.
    let third = (low.to_bits(), high.to_bits());
    [
        pair(first.0, first.1),
        pair(second.0, second.1),
        pair(third.0, third.1),
    ]
}

/// Packed weights are plain float32 of 4 bytes, because the three pieces would take 6 bytes, and the weights
/// are read from memory. Unpacking cuts them in pieces, once for many rows. Lines 2 w and 2 w + 1 of a stored
/// tile hold the numbers w and 16 + w of sixteen columns, which unpacking puts in one word.
impl Kernel for Float32 {
    const STEP: usize = 32;
    const STORED_LINES: usize = 2 * TILE;
    const TILE_LINES: usize = 3 * TILE;
    // Of 64 lines in a step, so that eleven pairs of row tiles prefetch a block here as well.
    const PREFETCH_LINES: usize = 6;
    // As measured. The panels of a block do not fit the first-level cache. But a step has 24 products for 14
    // loaded tiles, and not 4 for 4, and longer blocks load and store the sums less often.
    const KC: usize = 16;
    // A block is unpacked anew for every so many rows, so there are more of them.
    const MC_PAIRS: usize = 32;

    #[inline(always)]
    fn pack_row<T: Number>(numbers: &[T], _scale: f32, tile: &mut [Line]) {
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
    fn pack_weight(value: f32, k: usize, n: usize, tile: &mut [Line]) {
        tile[k % 16 * 2 + k / 16].0[n] = value.to_bits();
    }

    #[inline(always)]
    fn unpack(stored: &[Line], tiles: &mut [Line]) {
        let tiles_and_stored = tiles
            .chunks_exact_mut(Self::TILE_LINES)
            .zip(stored.chunks_exact(Self::STORED_LINES));
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
    fn multiply(unit: &impl MatrixUnit, panels: Panels<'_>, sums: &mut Sums) {
        unit.float32(panels, sums);
    }

    #[inline(always)]
    fn sum_to_f32(sum: u32) -> f32 {
        f32::from_bits(sum)
    }

    const PER_WORD: usize = 1;

    #[inline(always)]
    fn weights<V: F32x16>(line: &Line, _: usize) -> V {
        V::from_words(line)
    }

    #[inline(always)]
    fn element(line: usize, _: usize) -> usize {
        line / 2 + line % 2 * 16
    }
}

impl Kernel for Bfloat16Sums {
    const STEP: usize = 32;
    const STORED_LINES: usize = TILE;
    const TILE_LINES: usize = TILE;

    #[inline(always)]
    fn pack_row<T: Number>(numbers: &[T], _scale: f32, tile: &mut [Line]) {
        let (low, high) = numbers.split_at(16);
        for w in 0..16 {
            let (low, high) = (low[w].to_bfloat16().0, high[w].to_bfloat16().0);
            tile[0].0[w] = u32::from(low) | u32::from(high) << 16;
        }
    }

    #[inline(always)]
    fn pack_weight(value: f32, k: usize, n: usize, tile: &mut [Line]) {
        let bits = u32::from(value.to_bfloat16().0);
        tile[k % 16].0[n] |= bits << (k / 16 * 16);
    }

    #[inline(always)]
    fn multiply(unit: &impl MatrixUnit, panels: Panels<'_>, sums: &mut Sums) {
        unit.bfloat16(panels, sums);
    }

    #[inline(always)]
    fn sum_to_f32(sum: u32) -> f32 {
        f32::from_bits(sum)
    }

    const PER_WORD: usize = 2;

    #[inline(always)]
    fn weights<V: F32x16>(line: &Line, i: usize) -> V {
        if i == 0 {
            V::from_lower_halves(line)
        } else {
            V::from_upper_halves(line)
        }
    }

    #[inline(always)]
    fn element(line: usize, i: usize) -> usize {
        i * 16 + line
    }
}

/// The integer nearest to a number from -127 to 127, as a byte in two's complement.
///
/// A float32 of about 1.5 x 2^23 has no bits behind the point, so adding that number rounds to an integer,
/// whose lowest byte is the answer. NaN and infinity become some byte: the row's scale keeps them, see
/// [`crate::pack`].
#[inline(always)]
fn byte(value: f32) -> u32 {
    (value + 12_582_912.0).to_bits() & 0xff
}

impl Kernel for Int8 {
    const STEP: usize = 64;
    const STORED_LINES: usize = TILE;
    const TILE_LINES: usize = TILE;
    const IS_SCALED: bool = true;

    #[inline(always)]
    fn pack_row<T: Number>(numbers: &[T], scale: f32, tile: &mut [Line]) {
        let mut line = Line::ZERO;
        for (quarter, numbers) in numbers[..64].chunks_exact(16).enumerate() {
            for (word, number) in line.0.iter_mut().zip(numbers) {
                *word |= byte(number.to_f32() * scale) << (8 * quarter);
            }
        }
        tile[0] = line;
    }

    #[inline(always)]
    fn pack_weight(value: f32, k: usize, n: usize, tile: &mut [Line]) {
        tile[k % 16].0[n] |= byte(value) << (k / 16 * 8);
    }

    #[inline(always)]
    fn multiply(unit: &impl MatrixUnit, panels: Panels<'_>, sums: &mut Sums) {
        unit.int8(panels, sums);
    }

    #[inline(always)]
    fn sum_to_f32(sum: u32) -> f32 {
        sum as i32 as f32
    }

    const PER_WORD: usize = 4;

    #[inline(always)]
    fn weights<V: F32x16>(line: &Line, i: usize) -> V {
        V::from_bytes(line, i)
    }

    #[inline(always)]
    fn element(line: usize, i: usize) -> usize {
        i * 16 + line
    }
}
