//! Products of many rows, on a matrix unit, blocked for the caches as Goto's BLAS is.
//!
//! First all threads pack the rows. Then each thread takes some pairs of column tiles and runs, from the
//! outermost loop to the innermost:
//!
//! 1. blocks of [`NC_PAIRS`] pairs of column tiles,
//! 2. blocks of [`Kernel::MC_PAIRS`] pairs of row tiles,
//! 3. blocks of [`Kernel::KC`] steps along the inner dimension: this block of weights stays in the
//!    second-level cache for all rows of loop 4, and is unpacked here if it is compressed,
//! 4. pairs of row tiles,
//! 5. pairs of column tiles: the micro-kernel, and after the last block of steps the epilogue.
//!
//! Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication".
//!
//! The order of additions in a sum is that of the steps. Neither the threads nor the other rows change it, so
//! they change no bit of the answer.

use std::ops::Range;

use crate::activation::Activation;
use crate::amx::Tiles;
use crate::epilogue::{BiasScale, Destination, epilogue};
use crate::formats::{Bfloat16Sums, Float32, Int8};
use crate::kernel::{Kernel, MatrixUnit, PAIR, Panels, Prefetch, Sums};
use crate::layer::{Format, Layer};
use crate::numbers::Number;
use crate::pack::pack_rows;
use crate::parallel::Parallel;
use crate::scratch::{Line, Parts, Purpose, with_lines};
use crate::simd::{Vectors, dispatch};

/// Most rows that are packed at once; longer products are made in parts.
///
/// This bounds the memory that a thread keeps for packed rows: in float32, 2048 rows of 4096 numbers are 48
/// MiB. The encoder's rows on a CPU take 13 MiB.
const MAX_ROWS: usize = 2048;

/// Pairs of column tiles in a block of weights: nc of the BLAS libraries, in pairs.
///
/// With [`Kernel::KC`] steps the block has 768 KiB in float32 and 128 KiB in the other formats, of a
/// second-level cache of 2 MiB.
pub(crate) const NC_PAIRS: usize = 8;

impl Layer {
    /// Multiplies `rows` (N, n_in) into `out` (N, n_out), on the CPU's tiles. `lines` are what
    /// [`Layer::pack`] wrote.
    ///
    /// A row of the answer has the same bits whatever the other rows and the threads are. A number that is
    /// not finite makes its row of the answer not finite.
    ///
    /// # Panics
    ///
    /// If a slice has another size, or the CPU has no tiles: ask [`crate::has_tiles`].
    pub fn gemm<T: Number>(
        self,
        lines: &[Line],
        rows: &[T],
        out: &mut [T],
        activation: Activation,
        parallel: &impl Parallel,
    ) {
        self.gemm_on::<Tiles, T>(lines, rows, out, activation, parallel);
    }

    pub(crate) fn gemm_on<U: MatrixUnit, T: Number>(
        self,
        lines: &[Line],
        rows: &[T],
        out: &mut [T],
        activation: Activation,
        parallel: &impl Parallel,
    ) {
        assert_eq!(lines.len(), self.n_lines());
        assert_eq!(rows.len() / self.n_in * self.n_in, rows.len());
        assert_eq!(rows.len() / self.n_in * self.n_out, out.len());
        let parts = rows
            .chunks(MAX_ROWS * self.n_in)
            .zip(out.chunks_mut(MAX_ROWS * self.n_out));
        for (rows, out) in parts {
            let gemm = Gemm {
                layer: self,
                lines,
                rows,
                out: Parts::of(out),
                activation,
            };
            match self.format {
                Format::Float32 => gemm.run::<U, Float32>(parallel),
                Format::Bfloat16 => gemm.run::<U, Bfloat16Sums>(parallel),
                Format::Int8 => gemm.run::<U, Int8>(parallel),
            }
        }
    }
}

/// A product of at most [`MAX_ROWS`] rows.
struct Gemm<'a, T> {
    layer: Layer,
    lines: &'a [Line],
    rows: &'a [T],
    out: Parts<'a, T>,
    activation: Activation,
}

/// The rows of a product, packed.
#[derive(Clone, Copy)]
struct PackedRows<'a> {
    /// For each pair of row tiles, for each step, the two tiles of the step.
    tiles: &'a [Line],
    /// For each pair of row tiles, the scales of its rows.
    scales: &'a [[f32; PAIR]],
}

impl<T: Number> Gemm<'_, T> {
    fn run<U: MatrixUnit, K: Kernel>(&self, parallel: &impl Parallel) {
        let n_row_pairs = (self.rows.len() / self.layer.n_in).div_ceil(PAIR);
        let n_lines = self.layer.n_steps() * 2 * K::TILE_LINES;
        with_lines(Purpose::Rows, n_row_pairs * n_lines, |tiles| {
            let mut scales = vec![[1.0; PAIR]; n_row_pairs];
            let (tile_parts, scale_parts) = (Parts::of(tiles), Parts::of(&mut scales));
            parallel.run(n_row_pairs, &|pairs| {
                // SAFETY: `Parallel` gives each pair to one thread, which asks for its parts once.
                #[expect(unsafe_code, reason = "threads write disjoint pairs")]
                let (tiles, scales) = unsafe {
                    let tiles = tile_parts.part(pairs.start * n_lines..pairs.end * n_lines);
                    (tiles, scale_parts.part(pairs.clone()))
                };
                let rows = &self.rows[pairs.start * PAIR * self.layer.n_in..];
                let layer = self.layer;
                dispatch!(
                    _V in Vectors::widest(),
                    <T: Number, K: Kernel>
                    |layer: Layer, rows: &[T], tiles: &mut [Line], scales: &mut [[f32; PAIR]]|
                    pack_pairs::<T, K>(layer, rows, tiles, scales)
                );
            });
            // `Parallel::run` returns after the last thread, so all rows are packed here. From now on the
            // threads only read them.
            let rows = PackedRows {
                tiles,
                scales: &scales,
            };
            self.multiply::<U, K>(rows, parallel);
        });
    }

    /// Divides the columns of the answer among the threads.
    fn multiply<U: MatrixUnit, K: Kernel>(&self, rows: PackedRows<'_>, parallel: &impl Parallel) {
        // A sum whose steps fit one block goes from the micro-kernel to the epilogue at once, so no partial
        // sums are kept and one place for sums serves all. In a longer sum every place of a block of the
        // answer waits for the next block of steps.
        let n_sums = if self.layer.n_steps() <= K::KC {
            1
        } else {
            rows.scales.len().min(K::MC_PAIRS) * NC_PAIRS
        };
        let n_unpacked = NC_PAIRS * K::KC * 2 * K::TILE_LINES;
        let n_lines = n_unpacked + n_sums * size_of::<Sums>() / size_of::<Line>();
        parallel.run(self.layer.n_pairs(), &|columns| {
            with_lines(Purpose::Block, n_lines, |lines| {
                let (unpacked, sums) = lines.split_at_mut(n_unpacked);
                let (sums, _) = sums.as_chunks_mut();
                let work = Columns {
                    gemm: self,
                    columns,
                    rows,
                    unpacked,
                    sums,
                };
                dispatch!(
                    _V in Vectors::widest(),
                    <T: Number, U: MatrixUnit, K: Kernel> |work: Columns<'_, T>| work.run::<U, K>()
                );
            });
        });
    }

    /// The packed weights of some steps of a pair of column tiles.
    fn weights(&self, pair: usize, steps: &Range<usize>) -> &[Line] {
        let first = pair * self.layer.n_steps();
        let n_lines = self.layer.n_step_lines();
        &self.lines[(first + steps.start) * n_lines..(first + steps.end) * n_lines]
    }

    fn bias_scale(&self, pair: usize) -> &BiasScale {
        let (bias_scales, _) = self.lines[self.layer.n_weight_lines()..].as_chunks();
        &bias_scales[pair]
    }

    /// What the micro-kernel of row pair `row` and column pair `i` of a block prefetches: a share of the
    /// weights of column pair `i` of the next block. Each row pair fetches the share behind that of the row
    /// pair before it, until the pair's weights are complete.
    fn prefetch<K: Kernel>(&self, block: &Block, row: usize, i: usize) -> Prefetch {
        let n_step_lines = self.layer.n_step_lines();
        let (pairs, first_step) = &block.next;
        let start = row * block.steps.len() * K::PREFETCH_LINES;
        let n_steps = (self.layer.n_steps() - first_step).min(K::KC);
        if i >= pairs.len() || start >= n_steps * n_step_lines {
            // There is no next pair, or all of it was fetched. The micro-kernel prefetches at every step, so
            // it gets the first line of the weights for all steps. A hint for a line that is already cached
            // does nothing.
            return Prefetch {
                at: self.lines.as_ptr().cast(),
                stride: 0,
            };
        }
        let first = ((pairs.start + i) * self.layer.n_steps() + first_step) * n_step_lines;
        // The last share may be longer than what is left of the pair, and then points past it: into the
        // weights of another pair, or past the memory. Hence `wrapping_add`; a hint fails on no address.
        Prefetch {
            at: self.lines.as_ptr().wrapping_add(first + start).cast(),
            stride: K::PREFETCH_LINES * size_of::<Line>(),
        }
    }
}

/// Packs pairs of row tiles: as many as `tiles` and `scales` have room for.
#[inline(always)]
fn pack_pairs<T: Number, K: Kernel>(
    layer: Layer,
    rows: &[T],
    tiles: &mut [Line],
    scales: &mut [[f32; PAIR]],
) {
    let tiles = tiles.chunks_exact_mut(layer.n_steps() * 2 * K::TILE_LINES);
    let rows = rows.chunks(PAIR * layer.n_in);
    for ((tiles, scales), rows) in tiles.zip(scales).zip(rows) {
        pack_rows::<K, T>(rows, layer.n_in, tiles, scales);
    }
}

/// One thread's share of a product: all rows of some pairs of columns.
struct Columns<'a, T> {
    gemm: &'a Gemm<'a, T>,
    /// Pairs of column tiles.
    columns: Range<usize>,
    rows: PackedRows<'a>,
    /// Room for a block of weights, unpacked.
    unpacked: &'a mut [Line],
    /// Room for the sums between two blocks of steps.
    sums: &'a mut [Sums],
}

/// A block of weights, the rows that it is multiplied with, and the weights that are needed next.
struct Block {
    /// Pairs of column tiles.
    pairs: Range<usize>,
    /// Pairs of row tiles.
    rows: Range<usize>,
    steps: Range<usize>,
    /// Pairs of column tiles and the first step of the next block.
    next: (Range<usize>, usize),
}

impl<T: Number> Columns<'_, T> {
    #[inline(always)]
    fn run<U: MatrixUnit, K: Kernel>(mut self) {
        let unit = U::configure();
        let n_steps = self.gemm.layer.n_steps();
        for pairs in blocks(self.columns.clone(), NC_PAIRS) {
            for rows in blocks(0..self.rows.scales.len(), K::MC_PAIRS) {
                for steps in blocks(0..n_steps, K::KC) {
                    // Behind the last steps come other rows with the same columns, or other columns. The same
                    // columns are in the caches already, so the other columns are fetched in both cases.
                    let next = if steps.end < n_steps {
                        (pairs.clone(), steps.end)
                    } else {
                        (pairs.end..self.columns.end, 0)
                    };
                    let block = Block {
                        pairs: pairs.clone(),
                        rows: rows.clone(),
                        steps,
                        next,
                    };
                    self.block::<U, K>(&unit, &block);
                }
            }
        }
    }

    /// Multiplies a block of weights with its rows: loops 4 and 5.
    #[inline(always)]
    fn block<U: MatrixUnit, K: Kernel>(&mut self, unit: &U, block: &Block) {
        let gemm = self.gemm;
        let n_steps = gemm.layer.n_steps();
        let (begin, end) = (block.steps.start == 0, block.steps.end == n_steps);
        let n_lines = block.steps.len() * 2 * K::TILE_LINES;
        if K::IS_COMPRESSED {
            // Once for all rows of the block. The unpacked tiles stay in the second-level cache.
            let tiles = self.unpacked.chunks_exact_mut(n_lines);
            for (pair, tiles) in block.pairs.clone().zip(tiles) {
                K::unpack(gemm.weights(pair, &block.steps), tiles);
            }
        }
        for (i, row) in block.rows.clone().enumerate() {
            let start = (row * n_steps + block.steps.start) * 2 * K::TILE_LINES;
            let lhs = &self.rows.tiles[start..start + n_lines];
            for (j, pair) in block.pairs.clone().enumerate() {
                let rhs = if K::IS_COMPRESSED {
                    &self.unpacked[j * n_lines..(j + 1) * n_lines]
                } else {
                    gemm.weights(pair, &block.steps)
                };
                // A sum that begins and ends in this block needs no place of its own.
                let at = if begin && end { 0 } else { i * NC_PAIRS + j };
                let panels = Panels {
                    lhs,
                    rhs,
                    begin,
                    prefetch: gemm.prefetch::<K>(block, i, j),
                };
                K::multiply(unit, panels, &mut self.sums[at]);
                if end {
                    let to = Destination {
                        out: &gemm.out,
                        n_out: gemm.layer.n_out,
                        n_rows: gemm.rows.len() / gemm.layer.n_in,
                        row: row * PAIR,
                        column: pair * PAIR,
                    };
                    epilogue::<U, K, T>(
                        &self.sums[at],
                        gemm.bias_scale(pair),
                        &self.rows.scales[row],
                        gemm.activation,
                        &to,
                    );
                }
            }
        }
    }
}

/// A range in parts of at most `length`.
fn blocks(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(length)
        .map(move |start| start..end.min(start + length))
}
