//! Products of rows with a layer: rows are laid out, then every thread takes some columns.

use std::marker::PhantomData;
use std::ops::Range;

use crate::finish::{Activation, Beside, Place, finish};
use crate::formats::{Ahead, Arithmetic, Bfloat16Sums, Float32, Int8, PAIR, Sums, Terms, Unit};
use crate::layer::{Format, Layer};
use crate::numbers::Number;
use crate::rows;
use crate::scratch::{Line, Parts, Purpose, with_lines};
use crate::tiles::Tiles;
use crate::vectors::{Sixteen, Work, vectorised};

/// Rows at once. Laid out in float32, so many of 4096 numbers are 48 MiB, which a thread keeps; what the encoder
/// gives on a CPU are 13 MiB.
const N_ROWS: usize = 2048;
/// Pairs of column tiles of one block of weights: with [`Arithmetic::AT_ONCE`] in float32 768 KiB of a
/// second-level cache of 2 MiB, in the others 128 KiB.
const N_PAIRS: usize = 8;

/// Threads that share a product.
///
/// # Safety
///
/// The ranges that `run` gives to `part` make up `0..n`, and no two of them overlap: each thread writes what
/// belongs to its own.
#[expect(
    unsafe_code,
    reason = "what threads write is disjoint because their ranges are"
)]
pub unsafe trait Parallel {
    /// Calls `part` with ranges that make up `0..n`, on as many threads as there are, and waits for them.
    fn run(&self, n: usize, part: &(dyn Fn(Range<usize>) + Sync));
}

/// The calling thread alone.
#[derive(Debug, Clone, Copy)]
pub struct OneThread;

// SAFETY: it gives one range.
#[expect(unsafe_code, reason = "see the trait")]
unsafe impl Parallel for OneThread {
    fn run(&self, n: usize, part: &(dyn Fn(Range<usize>) + Sync)) {
        part(0..n);
    }
}

impl Layer {
    /// Multiplies `rows` (N, n_in) into `out` (N, n_out), with what [`Layer::lay_out`] made of the weights.
    ///
    /// A number that is not finite makes its whole row not finite.
    ///
    /// # Panics
    ///
    /// If a slice has another size, or [`crate::is_supported`] says no.
    pub fn multiply<T: Number>(
        self,
        lines: &[Line],
        rows: &[T],
        out: &mut [T],
        activation: Activation,
        parallel: &impl Parallel,
    ) {
        self.multiply_on::<Tiles, T>(lines, rows, out, activation, parallel);
    }

    pub(crate) fn multiply_on<U: Unit, T: Number>(
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
        let bands = rows
            .chunks(N_ROWS * self.n_in)
            .zip(out.chunks_mut(N_ROWS * self.n_out));
        for (rows, out) in bands {
            let product = Product {
                layer: self,
                lines,
                rows,
                out: Parts::of(out),
                activation,
            };
            match self.format {
                Format::Float32 => product.run::<U, Float32>(parallel),
                Format::Bfloat16 => product.run::<U, Bfloat16Sums>(parallel),
                Format::Int8 => product.run::<U, Int8>(parallel),
            }
        }
    }
}

struct Product<'a, T> {
    layer: Layer,
    lines: &'a [Line],
    rows: &'a [T],
    out: Parts<'a, T>,
    activation: Activation,
}

impl<T: Number> Product<'_, T> {
    fn run<U: Unit, A: Arithmetic>(&self, parallel: &impl Parallel) {
        let n_pairs = (self.rows.len() / self.layer.n_in).div_ceil(PAIR);
        let n_steps = self.layer.n_steps();
        let n_lines = n_steps * 2 * A::LINES;
        with_lines(Purpose::Rows, n_pairs * n_lines, |tiles| {
            let mut scales = vec![[1.0; PAIR]; n_pairs];
            let (tile_parts, scale_parts) = (Parts::of(tiles), Parts::of(&mut scales));
            parallel.run(n_pairs, &|pairs| {
                // SAFETY: no other thread has these pairs, as `Parallel` says.
                #[expect(unsafe_code, reason = "threads write disjoint pairs")]
                let (tiles, scales) = unsafe {
                    let tiles = tile_parts.part(pairs.start * n_lines..pairs.end * n_lines);
                    (tiles, scale_parts.part(pairs.clone()))
                };
                let arithmetic = PhantomData::<A>;
                vectorised(LayRows {
                    product: self,
                    first: pairs.start,
                    tiles,
                    scales,
                    arithmetic,
                });
            });
            let (rows, scales) = (&*tiles, &*scales);
            // Of a sum in one block nothing is kept.
            let n_kept = if n_steps <= A::AT_ONCE {
                1
            } else {
                n_pairs.min(A::ROW_PAIRS) * N_PAIRS
            };
            let n_unfolded = N_PAIRS * A::AT_ONCE * 2 * A::LINES;
            let n_lines = n_unfolded + n_kept * size_of::<Sums>() / size_of::<Line>();
            parallel.run(self.layer.n_pairs(), &|columns| {
                with_lines(Purpose::Block, n_lines, |lines| {
                    let (unfolded, sums) = lines.split_at_mut(n_unfolded);
                    let (sums, _) = sums.as_chunks_mut();
                    let arithmetic = PhantomData::<(U, A)>;
                    let product = self;
                    vectorised(Columns {
                        product,
                        columns,
                        rows,
                        scales,
                        unfolded,
                        sums,
                        arithmetic,
                    });
                });
            });
        });
    }

    /// Some steps of a pair of column tiles.
    fn stored(&self, pair: usize, steps: &Range<usize>) -> &[Line] {
        let first = pair * self.layer.n_steps();
        let stored = self.layer.stored();
        &self.lines[(first + steps.start) * stored..(first + steps.end) * stored]
    }

    fn beside(&self, pair: usize) -> &Beside {
        let (beside, _) = self.lines[self.layer.n_tile_lines()..].as_chunks();
        &beside[pair]
    }

    /// Where the product of pair `row` of rows and the `i`th of columns fetches what the next block needs: a
    /// share of its `i`th pair, as far as there is one.
    fn ahead<A: Arithmetic>(&self, block: &Block, row: usize, i: usize) -> Ahead {
        let stored = self.layer.stored();
        let (pairs, first_step) = &block.next;
        let start = row * block.steps.len() * A::AHEAD;
        let n_steps = (self.layer.n_steps() - first_step).min(A::AT_ONCE);
        if i >= pairs.len() || start >= n_steps * stored {
            // Again and again what is there already.
            return Ahead {
                at: self.lines.as_ptr().cast(),
                stride: 0,
            };
        }
        let first = ((pairs.start + i) * self.layer.n_steps() + first_step) * stored;
        Ahead {
            at: self.lines.as_ptr().wrapping_add(first + start).cast(),
            stride: A::AHEAD * size_of::<Line>(),
        }
    }
}

/// Lays out some pairs of tiles of rows.
struct LayRows<'a, T, A> {
    product: &'a Product<'a, T>,
    first: usize,
    tiles: &'a mut [Line],
    scales: &'a mut [[f32; PAIR]],
    arithmetic: PhantomData<A>,
}

impl<T: Number, A: Arithmetic> Work for LayRows<'_, T, A> {
    #[inline(always)]
    fn run<V: Sixteen>(self) {
        let Layer { n_in, .. } = self.product.layer;
        let tiles = self
            .tiles
            .chunks_exact_mut(self.product.layer.n_steps() * 2 * A::LINES);
        let rows = self.product.rows[self.first * PAIR * n_in..].chunks(PAIR * n_in);
        for ((tiles, scales), rows) in tiles.zip(self.scales).zip(rows) {
            rows::lay_out::<A, T>(rows, n_in, tiles, scales);
        }
    }
}

/// Makes the answer's columns of some pairs of tiles, a block of weights after another.
struct Columns<'a, T, U, A> {
    product: &'a Product<'a, T>,
    columns: Range<usize>,
    rows: &'a [Line],
    scales: &'a [[f32; PAIR]],
    unfolded: &'a mut [Line],
    sums: &'a mut [Sums],
    arithmetic: PhantomData<(U, A)>,
}

impl<T: Number, U: Unit, A: Arithmetic> Work for Columns<'_, T, U, A> {
    #[inline(always)]
    fn run<V: Sixteen>(mut self) {
        let unit = U::begin();
        let n_steps = self.product.layer.n_steps();
        for pairs in blocks(self.columns.clone(), N_PAIRS) {
            for rows in blocks(0..self.scales.len(), A::ROW_PAIRS) {
                for steps in blocks(0..n_steps, A::AT_ONCE) {
                    // What more rows need of this block is in the caches.
                    let next = if steps.end < n_steps {
                        (pairs.clone(), steps.end)
                    } else {
                        (pairs.end..self.columns.end, 0)
                    };
                    self.block(
                        &unit,
                        &Block {
                            pairs: pairs.clone(),
                            rows: rows.clone(),
                            steps,
                            next,
                        },
                    );
                }
            }
        }
    }
}

impl<T: Number, U: Unit, A: Arithmetic> Columns<'_, T, U, A> {
    #[inline(always)]
    fn block(&mut self, unit: &U, block: &Block) {
        let product = self.product;
        let n_steps = product.layer.n_steps();
        let (begin, end) = (block.steps.start == 0, block.steps.end == n_steps);
        let n_lines = block.steps.len() * 2 * A::LINES;
        if A::IS_FOLDED {
            let tiles = self.unfolded.chunks_exact_mut(n_lines);
            for (pair, tiles) in block.pairs.clone().zip(tiles) {
                A::unfold(product.stored(pair, &block.steps), tiles);
            }
        }
        for (i, row) in block.rows.clone().enumerate() {
            let start = (row * n_steps + block.steps.start) * 2 * A::LINES;
            let rows = &self.rows[start..start + n_lines];
            for (j, pair) in block.pairs.clone().enumerate() {
                let columns = if A::IS_FOLDED {
                    &self.unfolded[j * n_lines..(j + 1) * n_lines]
                } else {
                    product.stored(pair, &block.steps)
                };
                let kept = if begin && end { 0 } else { i * N_PAIRS + j };
                let terms = Terms {
                    rows,
                    columns,
                    begin,
                    ahead: product.ahead::<A>(block, i, j),
                };
                A::multiply(unit, terms, &mut self.sums[kept]);
                if end {
                    let place = Place {
                        out: &product.out,
                        n_out: product.layer.n_out,
                        n_rows: product.rows.len() / product.layer.n_in,
                        row: row * PAIR,
                        column: pair * PAIR,
                    };
                    let beside = product.beside(pair);
                    finish::<U, A, T>(
                        &self.sums[kept],
                        beside,
                        &self.scales[row],
                        product.activation,
                        &place,
                    );
                }
            }
        }
    }
}

/// Weights and the rows that they are multiplied with before any others, and the weights that come after them.
struct Block {
    pairs: Range<usize>,
    rows: Range<usize>,
    steps: Range<usize>,
    next: (Range<usize>, usize),
}

/// A range in parts of at most `length`.
fn blocks(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(length)
        .map(move |start| start..end.min(start + length))
}
