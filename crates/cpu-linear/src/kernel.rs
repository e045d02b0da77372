//! The micro-kernel's contract: what one call multiplies, and what each format has to say about it.
//!
//! A micro-kernel multiplies 32 rows of activations (the left side) with 32 outputs' weights (the right
//! side), over some steps of the inner dimension. Each side is packed: a step has two tiles of 16 rows or
//! columns, and the tiles of the next step lie behind them.

use crate::numbers::{Bfloat16, Number};
use crate::scratch::Line;
use crate::simd::F32x16;

/// Rows, or columns, of a tile.
pub(crate) const TILE: usize = 16;
/// Rows, and columns, that a micro-kernel multiplies: two tiles.
pub(crate) const PAIR: usize = 2 * TILE;

/// The sums of 32 rows with 32 columns, as four tiles: upper left, upper right, lower left, lower right. A
/// word is a float32 or an i32, as [`Kernel::sum_to_f32`] knows.
pub(crate) type Sums = [Line; 4 * TILE];

/// Which lines the steps of a micro-kernel prefetch.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "only tiles prefetch")
)]
pub(crate) struct Prefetch {
    /// Where the first step prefetches from. May lie outside of the weights: see [`Panels`].
    pub(crate) at: *const u8,
    /// Bytes from the address of a step to that of the next one.
    pub(crate) stride: usize,
}

/// What a micro-kernel multiplies.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "only tiles need all fields")
)]
pub(crate) struct Panels<'a> {
    /// Packed rows of activations: in each step two times [`Kernel::TILE_LINES`].
    pub(crate) lhs: &'a [Line],
    /// Packed weights: as many lines.
    pub(crate) rhs: &'a [Line],
    /// Whether the sums start from zero. Otherwise the products are added to them.
    pub(crate) begin: bool,
    /// What to prefetch. Hints only, so no address is wrong.
    pub(crate) prefetch: Prefetch,
}

/// What runs a micro-kernel: the CPU's matrix unit, or an imitation of it in tests.
pub(crate) trait MatrixUnit {
    /// Prepares this thread for the products that follow.
    fn configure() -> Self;

    /// The nearest bfloat16 of each value. A unit's own instruction may replace the arithmetic.
    fn narrow(values: &[f32; PAIR]) -> [Bfloat16; PAIR] {
        values.map(Bfloat16::from_f32)
    }

    /// Multiplies bfloat16, 32 along the inner dimension in each step, and sums in float32.
    fn bfloat16(&self, panels: Panels<'_>, sums: &mut Sums);

    /// Multiplies signed bytes, 64 along the inner dimension in each step, and sums in 32-bit integers.
    fn int8(&self, panels: Panels<'_>, sums: &mut Sums);

    /// Multiplies float32 that are cut in three pieces of bfloat16, the largest first: every tile is three
    /// tiles. Left out are the products of a third piece with a second or a third one, which together are
    /// below 2^-25 of the product of the numbers.
    fn float32(&self, panels: Panels<'_>, sums: &mut Sums);
}

/// What a [`crate::Format`] is to packing, to the blocking of [`crate::Layer::gemm`], and to
/// [`crate::Layer::gemv`].
pub(crate) trait Kernel {
    /// Numbers along the inner dimension in one step.
    const STEP: usize;
    /// Lines of one tile of weights as packed in memory.
    const STORED_LINES: usize;
    /// Lines of one tile as the micro-kernel reads it.
    const TILE_LINES: usize;
    /// Lines of the next block of weights that each step of a micro-kernel prefetches.
    ///
    /// A step of a pair of column tiles has 32 lines, so eleven pairs of row tiles prefetch all of the next
    /// block; 30 s of audio are twelve pairs.
    const PREFETCH_LINES: usize = 3;
    /// Steps of a block of weights: kc of the BLAS libraries, in steps.
    ///
    /// As measured. With eight steps a micro-kernel reads 16 KiB of rows and 16 KiB of weights, which fit a
    /// first-level cache of 48 KiB together with the sums.
    const KC: usize = 8;
    /// Pairs of row tiles that a block of weights is multiplied with before the next block: mc of the BLAS
    /// libraries, in pairs. Their sums with [`crate::gemm::NC_PAIRS`] pairs of column tiles are 512 KiB,
    /// which fit the second-level cache.
    const MC_PAIRS: usize = 16;
    /// Whether rows and outputs have scales.
    const IS_SCALED: bool = false;

    /// Packs one row's numbers of a step, times `scale`: writes the row's line of a tile. A format of several
    /// pieces writes one line for each piece, [`TILE`] lines apart.
    fn pack_row<T: Number>(numbers: &[T], scale: f32, tile: &mut [Line]);

    /// Packs weight `k` of column `n` of a step into its tile, which was all zeros before its first weight.
    fn pack_weight(value: f32, k: usize, n: usize, tile: &mut [Line]);

    /// Whether packed weights have to be unpacked before a micro-kernel can read them.
    const IS_COMPRESSED: bool = Self::STORED_LINES != Self::TILE_LINES;

    /// Unpacks compressed tiles to tiles that a micro-kernel reads.
    fn unpack(_stored: &[Line], _tiles: &mut [Line]) {}

    /// Runs the format's micro-kernel.
    fn multiply(unit: &impl MatrixUnit, panels: Panels<'_>, sums: &mut Sums);

    /// A word of [`Sums`] as a number.
    fn sum_to_f32(sum: u32) -> f32;

    /// Numbers in a word of a stored tile.
    const PER_WORD: usize;

    /// Number `i` of each word of a stored line: the weights of sixteen columns with one element of a row.
    fn weights<V: F32x16>(line: &Line, i: usize) -> V;

    /// The element of a step's row that [`Kernel::weights`] of this line and `i` are multiplied with.
    fn element(line: usize, i: usize) -> usize;
}
