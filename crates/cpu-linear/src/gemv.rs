//! Products of a few rows, with the vectors of any CPU. Reading the weights takes most of the time.

use std::array;
use std::ptr;

use crate::activation::Activation;
use crate::epilogue::{BiasScale, store};
use crate::formats::{Bfloat16Sums, Float32, Int8};
use crate::kernel::{Kernel, PAIR, TILE};
use crate::layer::{Format, Layer};
use crate::numbers::{Bfloat16, Number as _};
use crate::scratch::Line;
use crate::simd::{F32x16, Vectors, dispatch, prefetch};

impl Layer {
    /// Multiplies a few `rows` (N, n_in) into `out` (N, n_out), on this thread alone and on any CPU. `lines`
    /// are what [`Layer::pack`] wrote.
    ///
    /// Weights are rounded to the layer's format. Rows are not rounded, not even with int8 weights, and sums
    /// are float32, in an order that depends on the layer alone. So a row of the answer has the same bits
    /// whatever the other rows and the CPU are, but not the bits of [`Layer::gemm`]. A number that is not
    /// finite makes its row of the answer not finite.
    ///
    /// # Panics
    ///
    /// If a slice has another size.
    pub fn gemv(self, lines: &[Line], rows: &[f32], out: &mut [f32], activation: Activation) {
        self.gemv_on(Vectors::widest(), lines, rows, out, activation);
    }

    pub(crate) fn gemv_on(
        self,
        vectors: Vectors,
        lines: &[Line],
        rows: &[f32],
        out: &mut [f32],
        activation: Activation,
    ) {
        assert_eq!(lines.len(), self.n_lines());
        assert_eq!(rows.len() / self.n_in * self.n_in, rows.len());
        assert_eq!(rows.len() / self.n_in * self.n_out, out.len());
        let gemv = Gemv {
            layer: self,
            lines,
            activation,
        };
        match self.format {
            Format::Float32 => gemv.run::<Float32>(vectors, rows, out),
            Format::Bfloat16 => gemv.run::<Bfloat16Sums>(vectors, rows, out),
            Format::Int8 => gemv.run::<Int8>(vectors, rows, out),
        }
    }
}

/// What all rows of a product share.
#[derive(Clone, Copy)]
struct Gemv<'a> {
    layer: Layer,
    lines: &'a [Line],
    activation: Activation,
}

impl Gemv<'_> {
    fn run<K: Kernel>(self, vectors: Vectors, rows: &[f32], out: &mut [f32]) {
        let gemv = self;
        dispatch!(
            V in vectors,
            <K: Kernel> |gemv: Gemv<'_>, rows: &[f32], out: &mut [f32]| gemv.all_rows::<K, V>(rows, out)
        );
    }

    /// Multiplies as many rows at once as the registers have room for, since each pass reads all weights.
    #[inline(always)]
    fn all_rows<K: Kernel, V: F32x16>(&self, mut rows: &[f32], mut out: &mut [f32]) {
        let Layer { n_in, n_out, .. } = self.layer;
        while !rows.is_empty() {
            let n = (rows.len() / n_in).min(V::MAX_ROWS);
            let (rows_now, rows_later) = rows.split_at(n * n_in);
            let (out_now, out_later) = out.split_at_mut(n * n_out);
            // The number of rows is a constant to the compiler, so that the sums stay in registers.
            match n {
                1 => self.few_rows::<K, V, 1>(rows_now, out_now),
                2 => self.few_rows::<K, V, 2>(rows_now, out_now),
                3 => self.few_rows::<K, V, 3>(rows_now, out_now),
                4 => self.few_rows::<K, V, 4>(rows_now, out_now),
                5 => self.few_rows::<K, V, 5>(rows_now, out_now),
                6 => self.few_rows::<K, V, 6>(rows_now, out_now),
                7 => self.few_rows::<K, V, 7>(rows_now, out_now),
                _ => self.few_rows::<K, V, 8>(rows_now, out_now),
            }
            (rows, out) = (rows_later, out_later);
        }
    }

    /// Multiplies `N` rows and reads the weights once.
    #[inline(always)]
    fn few_rows<K: Kernel, V: F32x16, const N: usize>(&self, rows: &[f32], out: &mut [f32]) {
        let Layer { n_in, n_out, .. } = self.layer;
        let rows: [&[f32]; N] = array::from_fn(|r| &rows[r * n_in..][..n_in]);
        let (tiles, bias_scales) = self.lines.split_at(self.layer.n_weight_lines());
        let tiles = tiles.chunks_exact(self.layer.n_steps() * self.layer.n_step_lines());
        let (bias_scales, _) = bias_scales.as_chunks();
        for (pair, (tiles, bias_scale)) in tiles.zip(bias_scales).enumerate() {
            let sums = sums::<K, V, N>(tiles, rows);
            let columns = pair * PAIR..n_out.min((pair + 1) * PAIR);
            for (r, sums) in sums.into_iter().enumerate() {
                let mut values = scale_and_bias::<K>(&sums, bias_scale);
                let out = &mut out[r * n_out..][columns.clone()];
                store(&mut values, self.activation, out, |it| {
                    it.map(Bfloat16::from_f32)
                });
            }
        }
    }
}

/// The sums of each row with a pair of column tiles.
#[inline(always)]
fn sums<K: Kernel, V: F32x16, const N: usize>(
    tiles: &[Line],
    rows: [&[f32]; N],
) -> [[[f32; TILE]; 2]; N] {
    // One chain of additions for each row and column, from the first input to the last. That order is the
    // same for every CPU and every N, so the bits are, too. The chains of 2 N vectors hide each other's
    // latency.
    let mut sums = [[V::zero(); 2]; N];
    let mut tiles = tiles.chunks_exact(2 * K::STORED_LINES);
    let n_whole = rows[0].len() / K::STEP;
    for (step, tiles) in tiles.by_ref().take(n_whole).enumerate() {
        let rows = array::from_fn(|r| &rows[r][step * K::STEP..][..K::STEP]);
        add_step::<K, V, N>(tiles, rows, &mut sums);
    }
    if let Some(tiles) = tiles.next() {
        // The last step has fewer numbers. 64 are enough for the longest step.
        let mut rest = [[0.0; 64]; N];
        for (rest, row) in rest.iter_mut().zip(rows) {
            let row = &row[n_whole * K::STEP..];
            rest[..row.len()].copy_from_slice(row);
        }
        let rest = array::from_fn(|r| &rest[r][..K::STEP]);
        add_step::<K, V, N>(tiles, rest, &mut sums);
    }
    // Loops instead of `map`: the compiler may call `map` as a function of its own, without these
    // instructions.
    let mut arrays = [[[0.0; TILE]; 2]; N];
    for (arrays, sums) in arrays.iter_mut().zip(sums) {
        for (array, sum) in arrays.iter_mut().zip(sums) {
            *array = sum.to_array();
        }
    }
    arrays
}

/// Lines between the weights that are multiplied and the weights that are prefetched: a page. The CPU's own
/// prefetcher stops at the end of a page, because the next page may lie anywhere in memory.
const PREFETCH_DISTANCE: usize = 4096 / size_of::<Line>();

/// Adds the products of a step.
#[inline(always)]
fn add_step<K: Kernel, V: F32x16, const N: usize>(
    tiles: &[Line],
    rows: [&[f32]; N],
    sums: &mut [[V; 2]; N],
) {
    let (left, right) = tiles.split_at(K::STORED_LINES);
    for (l, (left, right)) in left.iter().zip(right).enumerate() {
        for line in [left, right] {
            // Points past the weights at their end. That is a wasted hint and no error.
            prefetch(ptr::from_ref(line).wrapping_add(PREFETCH_DISTANCE));
        }
        for i in 0..K::PER_WORD {
            // A vector of weights is sixteen outputs with one input, so one number of the row multiplies it.
            let k = K::element(l, i);
            let (left, right) = (K::weights::<V>(left, i), K::weights::<V>(right, i));
            for (sums, row) in sums.iter_mut().zip(rows) {
                sums[0] = sums[0].add_product(left, row[k]);
                sums[1] = sums[1].add_product(right, row[k]);
            }
        }
    }
}

/// Undoes the 2^24 of [`F32x16::from_bytes`]. A power of two, so it rounds nothing.
const BYTE: f32 = 1.0 / (1 << 24) as f32;

/// Sums, times the outputs' scales where the kernel has such, plus the biases.
#[inline(always)]
fn scale_and_bias<K: Kernel>(sums: &[[f32; TILE]; 2], bias_scale: &BiasScale) -> [f32; PAIR] {
    let mut values = [0.0; PAIR];
    for (half, values) in values.chunks_exact_mut(TILE).enumerate() {
        let (bias, scale) = (&bias_scale[half].0, &bias_scale[2 + half].0);
        for n in 0..TILE {
            let mut value = sums[half][n];
            if K::IS_SCALED {
                value = value * BYTE * f32::from_bits(scale[n]);
            }
            values[n] = f32::from_bits(bias[n]) + value;
        }
    }
    values
}
