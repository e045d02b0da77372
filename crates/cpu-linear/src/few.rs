//! Products with a few rows, by the vectors of any CPU: most of the time goes to reading the weights.

use std::array;
use std::marker::PhantomData;
use std::ptr;

use crate::finish::{Activation, Beside, write};
use crate::formats::{Arithmetic, Bfloat16Sums, Float32, Int8, PAIR, TILE};
use crate::layer::{Format, Layer};
use crate::numbers::{Bfloat16, Number};
use crate::scratch::Line;
use crate::vectors::{Run, Sixteen, Widest, Work, fetch};

impl Layer {
    /// As [`Layer::multiply`], for a few rows and on this thread alone, on any CPU.
    ///
    /// Weights are what the layer's format makes of them. Rows are not rounded, not even for bytes, and sums are
    /// float32, in an order that is the layer's own: a row of the answer has the same bits in any company and on
    /// any CPU, but not those of [`Layer::multiply`]. What is not finite makes its row not finite.
    ///
    /// # Panics
    ///
    /// If a slice has another size.
    pub fn multiply_few(
        self,
        lines: &[Line],
        rows: &[f32],
        out: &mut [f32],
        activation: Activation,
    ) {
        self.multiply_few_on::<Widest>(lines, rows, out, activation);
    }

    pub(crate) fn multiply_few_on<R: Run>(
        self,
        lines: &[Line],
        rows: &[f32],
        out: &mut [f32],
        activation: Activation,
    ) {
        assert_eq!(lines.len(), self.n_lines());
        assert_eq!(rows.len() / self.n_in * self.n_in, rows.len());
        assert_eq!(rows.len() / self.n_in * self.n_out, out.len());
        let few = Few {
            layer: self,
            lines,
            rows,
            activation,
        };
        match self.format {
            Format::Float32 => R::run(Product::<Float32>(few, out, PhantomData)),
            Format::Bfloat16 => R::run(Product::<Bfloat16Sums>(few, out, PhantomData)),
            Format::Int8 => R::run(Product::<Int8>(few, out, PhantomData)),
        }
    }
}

/// What is multiplied.
struct Few<'a> {
    layer: Layer,
    lines: &'a [Line],
    rows: &'a [f32],
    activation: Activation,
}

struct Product<'a, A>(Few<'a>, &'a mut [f32], PhantomData<A>);

impl<A: Arithmetic> Work for Product<'_, A> {
    #[inline(always)]
    fn run<V: Sixteen>(self) {
        let Self(mut few, mut out, _) = self;
        let Layer { n_in, n_out, .. } = few.layer;
        let mut later = few.rows;
        while !later.is_empty() {
            let n = (later.len() / n_in).min(V::ROWS);
            (few.rows, later) = later.split_at(n * n_in);
            let (now, out_later) = out.split_at_mut(n * n_out);
            match n {
                1 => few.multiply::<A, V, 1>(now),
                2 => few.multiply::<A, V, 2>(now),
                3 => few.multiply::<A, V, 3>(now),
                4 => few.multiply::<A, V, 4>(now),
                5 => few.multiply::<A, V, 5>(now),
                6 => few.multiply::<A, V, 6>(now),
                7 => few.multiply::<A, V, 7>(now),
                _ => few.multiply::<A, V, 8>(now),
            }
            out = out_later;
        }
    }
}

impl Few<'_> {
    /// Multiplies `N` rows with weights that are read once.
    #[inline(always)]
    fn multiply<A: Arithmetic, V: Sixteen, const N: usize>(&self, out: &mut [f32]) {
        let Layer { n_in, n_out, .. } = self.layer;
        let rows: [&[f32]; N] = array::from_fn(|r| &self.rows[r * n_in..][..n_in]);
        let (tiles, beside) = self.lines.split_at(self.layer.n_tile_lines());
        let tiles = tiles.chunks_exact(self.layer.n_steps() * self.layer.stored());
        let (beside, _) = beside.as_chunks();
        for (pair, (tiles, beside)) in tiles.zip(beside).enumerate() {
            let sums = sums::<A, V, N>(tiles, rows);
            let columns = pair * PAIR..n_out.min((pair + 1) * PAIR);
            for (r, sums) in sums.into_iter().enumerate() {
                let mut values = values::<A>(&sums, beside);
                let out = &mut out[r * n_out..][columns.clone()];
                write(&mut values, self.activation, out, |it| {
                    it.map(Bfloat16::from_f32)
                });
            }
        }
    }
}

/// The sums of each row with a pair of column tiles.
#[inline(always)]
fn sums<A: Arithmetic, V: Sixteen, const N: usize>(
    tiles: &[Line],
    rows: [&[f32]; N],
) -> [[[f32; TILE]; 2]; N] {
    let mut sums = [[V::zero(); 2]; N];
    let mut tiles = tiles.chunks_exact(2 * A::STORED);
    let n_whole = rows[0].len() / A::STEP;
    for (step, tiles) in tiles.by_ref().take(n_whole).enumerate() {
        let rows = array::from_fn(|r| &rows[r][step * A::STEP..][..A::STEP]);
        add_step::<A, V, N>(tiles, rows, &mut sums);
    }
    if let Some(tiles) = tiles.next() {
        let mut rest = [[0.0; 64]; N];
        for (rest, row) in rest.iter_mut().zip(rows) {
            let row = &row[n_whole * A::STEP..];
            rest[..row.len()].copy_from_slice(row);
        }
        let rest = array::from_fn(|r| &rest[r][..A::STEP]);
        add_step::<A, V, N>(tiles, rest, &mut sums);
    }
    sums.map(|halves| halves.map(V::to_array))
}

/// Lines of weights between what is multiplied and what is fetched: a page, which is where a CPU that fetches
/// by itself ends.
const AHEAD: usize = 4096 / size_of::<Line>();

/// Adds the products of a step.
#[inline(always)]
fn add_step<A: Arithmetic, V: Sixteen, const N: usize>(
    tiles: &[Line],
    rows: [&[f32]; N],
    sums: &mut [[V; 2]; N],
) {
    let (left, right) = tiles.split_at(A::STORED);
    for (l, (left, right)) in left.iter().zip(right).enumerate() {
        for line in [left, right] {
            fetch(ptr::from_ref(line).wrapping_add(AHEAD));
        }
        for i in 0..A::PER_WORD {
            let place = A::place(l, i);
            let (left, right) = (A::numbers::<V>(left, i), A::numbers::<V>(right, i));
            for (sums, row) in sums.iter_mut().zip(rows) {
                sums[0] = sums[0].add_product(left, row[place]);
                sums[1] = sums[1].add_product(right, row[place]);
            }
        }
    }
}

/// Undoes the 2^24 of [`Sixteen::of_bytes`].
const BYTE: f32 = 1.0 / (1 << 24) as f32;

/// Sums with their scales and biases.
#[inline(always)]
fn values<A: Arithmetic>(sums: &[[f32; TILE]; 2], beside: &Beside) -> [f32; PAIR] {
    array::from_fn(|n| {
        let (half, n) = (n / TILE, n % TILE);
        let [bias, scale] = [half, 2 + half].map(|line| f32::from_bits(beside[line].0[n]));
        let sum = sums[half][n];
        bias + if A::IS_SCALED {
            sum * BYTE * scale
        } else {
            sum
        }
    })
}
