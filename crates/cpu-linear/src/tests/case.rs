//! Layers of random numbers, their answers, and the same sums in float64.

use crate::kernel::MatrixUnit;
use crate::scratch::Line;
use crate::{Activation, Bfloat16, Format, Layer, Number, OneThread, Parallel};

/// A layer with random weights, and random rows.
pub(super) struct Case {
    pub(super) layer: Layer,
    pub(super) n_rows: usize,
    pub(super) rows: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) scale: Option<Vec<f32>>,
    pub(super) bias: Vec<f32>,
}

impl Case {
    pub(super) fn new(format: Format, [n_rows, n_in, n_out]: [usize; 3]) -> Self {
        let mut random = fastrand::Rng::with_seed((n_rows * 7 + n_in * 3 + n_out) as u64);
        let mut numbers =
            |n: usize| -> Vec<f32> { (0..n).map(|_| random.f32() * 2.0 - 1.0).collect() };
        let (rows, mut weight) = (numbers(n_rows * n_in), numbers(n_in * n_out));
        let bias = numbers(n_out);
        let scale = (format == Format::Int8).then(|| {
            weight.iter_mut().for_each(|it| *it = (*it * 127.0).round());
            numbers(n_out)
                .iter()
                .map(|it| (it.abs() + 0.1) / 127.0)
                .collect()
        });
        Self {
            layer: Layer {
                format,
                n_in,
                n_out,
            },
            n_rows,
            rows,
            weight,
            scale,
            bias,
        }
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::ZERO; self.layer.n_lines()];
        let weight = |i| self.weight[i];
        self.layer.pack(
            weight,
            self.scale.as_deref(),
            Some(&self.bias),
            &mut lines,
            &OneThread,
        );
        lines
    }

    pub(super) fn rows<T: Number>(&self) -> Vec<T> {
        self.rows.iter().map(|&it| T::from_f32(it)).collect()
    }

    /// An element of the answer in float64, and the sum of its absolute products.
    pub(super) fn exact<T: Number>(&self, row: usize, column: usize) -> (f64, f64) {
        let Layer { n_in, .. } = self.layer;
        let scale = self.scale.as_ref().map_or(1.0, |it| f64::from(it[column]));
        let rows = &self.rows[row * n_in..][..n_in];
        let weights = &self.weight[column * n_in..][..n_in];
        let products = rows.iter().zip(weights).map(|(&x, &w)| {
            let w = if self.layer.format == Format::Bfloat16 {
                Bfloat16::from_f32(w).to_f32()
            } else {
                w
            };
            f64::from(T::from_f32(x).to_f32()) * f64::from(w) * scale
        });
        products.fold((f64::from(self.bias[column]), 0.0), |(sum, size), it| {
            (sum + it, size + it.abs())
        })
    }

    pub(super) fn answer<U: MatrixUnit, T: Number>(
        &self,
        activation: Activation,
        parallel: &impl Parallel,
    ) -> Vec<T> {
        let mut out = vec![T::from_f32(0.5); self.n_rows * self.layer.n_out];
        let lines = self.lines();
        self.layer
            .gemm_on::<U, T>(&lines, &self.rows::<T>(), &mut out, activation, parallel);
        out
    }
}
