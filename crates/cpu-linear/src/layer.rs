//! Weights, laid out for tiles, and for vectors as well.

use crate::finish::Beside;
use crate::formats::{Arithmetic, Bfloat16Sums, Float32, Int8, PAIR, TILE};
use crate::multiply::Parallel;
use crate::scratch::{Line, Parts};

/// What a layer computes in on tiles, and what its weights are; see the crate's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Float32, by six products of bfloat16.
    Float32,
    /// Bfloat16, summed in float32.
    Bfloat16,
    /// Signed bytes, summed in 32 bits, with a scale for each row and each column.
    Int8,
}

/// The size of a linear layer, and what it computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// What it computes in.
    pub format: Format,
    /// Numbers in a row that it is given.
    pub n_in: usize,
    /// Numbers in a row of its answer.
    pub n_out: usize,
}

impl Layer {
    /// Lines that [`Layer::lay_out`] fills.
    pub fn n_lines(self) -> usize {
        self.n_pairs() * (self.n_steps() * self.stored() + size_of::<Beside>() / size_of::<Line>())
    }

    /// Lays weights (n_out, n_in) out in `lines`, with a bias (n_out) or none. Int8 has weights that are whole
    /// numbers from -127 to 127, and a scale for each output.
    ///
    /// # Panics
    ///
    /// If a slice has another size, a scale is missing or too much, or int8 has more than 2^17 numbers in a row,
    /// whose sum 32 bits do not hold.
    pub fn lay_out(
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
        let (tiles, beside) = lines.split_at_mut(self.n_tile_lines());
        let n_lines = tiles.len() / self.n_pairs();
        let tiles = Parts::of(tiles);
        parallel.run(self.n_pairs(), &|pairs| {
            for pair in pairs {
                // SAFETY: no other thread has this pair, as `Parallel` says.
                #[expect(unsafe_code, reason = "threads write disjoint pairs")]
                let tiles = unsafe { tiles.part(pair * n_lines..(pair + 1) * n_lines) };
                tiles.fill(Line::ZERO);
                match self.format {
                    Format::Float32 => self.store::<Float32>(&weight, pair, tiles),
                    Format::Bfloat16 => self.store::<Bfloat16Sums>(&weight, pair, tiles),
                    Format::Int8 => self.store::<Int8>(&weight, pair, tiles),
                }
            }
        });
        beside.fill(Line::ZERO);
        for (pair, beside) in beside.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            for (lines, numbers) in beside.chunks_exact_mut(2).zip([bias, scale]) {
                let numbers = numbers.unwrap_or_default().iter().skip(pair * PAIR);
                for (n, number) in numbers.take(PAIR).enumerate() {
                    lines[n / TILE].0[n % TILE] = number.to_bits();
                }
            }
        }
    }

    /// Lays out a pair of column tiles: step after step, two tiles.
    fn store<A: Arithmetic>(self, weight: &impl Fn(usize) -> f32, pair: usize, tiles: &mut [Line]) {
        for (i, tile) in tiles.chunks_exact_mut(A::STORED).enumerate() {
            let (start, column) = (i / 2 * A::STEP, pair * PAIR + i % 2 * TILE);
            for k in start..self.n_in.min(start + A::STEP) {
                for n in column..self.n_out.min(column + TILE) {
                    A::store(weight(n * self.n_in + k), k - start, n - column, tile);
                }
            }
        }
    }

    /// Pairs of column tiles.
    pub(crate) fn n_pairs(self) -> usize {
        self.n_out.div_ceil(PAIR)
    }

    /// Steps along the sum.
    pub(crate) fn n_steps(self) -> usize {
        let step = match self.format {
            Format::Float32 => Float32::STEP,
            Format::Bfloat16 => Bfloat16Sums::STEP,
            Format::Int8 => Int8::STEP,
        };
        self.n_in.div_ceil(step)
    }

    /// Lines that a step of a pair of column tiles has.
    pub(crate) fn stored(self) -> usize {
        2 * match self.format {
            Format::Float32 => Float32::STORED,
            Format::Bfloat16 => Bfloat16Sums::STORED,
            Format::Int8 => Int8::STORED,
        }
    }

    /// Lines before biases and scales begin.
    pub(crate) fn n_tile_lines(self) -> usize {
        self.n_pairs() * self.n_steps() * self.stored()
    }
}
