//! Linear layers packed for products with a few rows, and tables of rows.

use cpu_linear::{Activation, Bfloat16, Format, Layer, Line, Number as _, OneThread, has_tiles};

use super::weights::LinearWeights;

/// A packed linear layer.
pub(super) struct Linear {
    layer: Layer,
    lines: Vec<Line>,
}

impl Linear {
    /// Packs weights and bias in a format.
    pub(super) fn new(format: Format, weights: &LinearWeights) -> Self {
        Self::pack(
            format,
            &weights.weight,
            weights.bias.len(),
            Some(&weights.bias),
        )
    }

    /// Packs weights (n_out, n_in) without a bias.
    pub(super) fn without_bias(format: Format, weight: &[f32], n_out: usize) -> Self {
        Self::pack(format, weight, n_out, None)
    }

    fn pack(format: Format, weight: &[f32], n_out: usize, bias: Option<&[f32]>) -> Self {
        let n_in = weight.len() / n_out;
        let layer = Layer {
            format,
            n_in,
            n_out,
        };
        let scales = (format == Format::Int8).then(|| int8_scales(weight, n_in));
        let scales = scales.as_deref();
        let mut lines = vec![Line([0; 16]); layer.n_lines()];
        let number = |i: usize| weight[i] / scales.map_or(1.0, |it| it[i / n_in]);
        layer.pack(number, scales, bias, &mut lines, &OneThread);
        Self { layer, lines }
    }

    pub(super) fn n_bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    pub(super) fn n_in(&self) -> usize {
        self.layer.n_in
    }

    pub(super) fn n_out(&self) -> usize {
        self.layer.n_out
    }

    /// Whether [`Self::multiply_many`] runs on tiles.
    ///
    /// Only bfloat16 does: in float32 tiles need some tens of rows before they are faster than vectors.
    pub(super) fn has_tiles(&self) -> bool {
        self.layer.format == Format::Bfloat16 && has_tiles()
    }

    /// Writes the products of a few rows (N, n_in) and the bias to `out` (N, n_out).
    pub(super) fn multiply(&self, rows: &[f32], out: &mut [f32]) {
        self.layer.gemv(&self.lines, rows, out, Activation::None);
    }

    /// Adds the products of a few rows and the bias to `out`.
    pub(super) fn add_product(&self, rows: &[f32], out: &mut [f32]) {
        self.layer.gemv(&self.lines, rows, out, Activation::Add);
    }

    /// As [`Self::multiply`], for more rows. On tiles the rows are rounded to bfloat16.
    pub(super) fn multiply_many(&self, rows: &[f32], out: &mut [f32]) {
        if self.has_tiles() {
            self.layer
                .gemm(&self.lines, rows, out, Activation::None, &OneThread);
        } else {
            self.multiply(rows, out);
        }
    }
}

/// A table whose rows are looked up, in the number format of the archive.
pub(super) struct Table {
    numbers: Numbers,
    width: usize,
}

enum Numbers {
    Float32(Vec<f32>),
    Bfloat16(Vec<Bfloat16>),
}

impl Table {
    pub(super) fn new(format: Format, numbers: Vec<f32>, n_rows: usize) -> Self {
        Self {
            width: numbers.len() / n_rows,
            numbers: match format {
                Format::Bfloat16 => {
                    Numbers::Bfloat16(numbers.into_iter().map(Bfloat16::from_f32).collect())
                }
                _ => Numbers::Float32(numbers),
            },
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_numbers() / self.width
    }

    pub(super) fn n_bytes(&self) -> usize {
        let element_size = match &self.numbers {
            Numbers::Float32(_) => size_of::<f32>(),
            Numbers::Bfloat16(_) => size_of::<Bfloat16>(),
        };
        self.n_numbers() * element_size
    }

    fn n_numbers(&self) -> usize {
        match &self.numbers {
            Numbers::Float32(numbers) => numbers.len(),
            Numbers::Bfloat16(numbers) => numbers.len(),
        }
    }

    /// Appends a row to `out`.
    pub(super) fn look_up(&self, row: usize, out: &mut Vec<f32>) {
        let range = row * self.width..(row + 1) * self.width;
        match &self.numbers {
            Numbers::Float32(numbers) => out.extend_from_slice(&numbers[range]),
            Numbers::Bfloat16(numbers) => out.extend(numbers[range].iter().map(|it| it.to_f32())),
        }
    }
}

/// A scale for each output, which brings the output's largest weight to 127.
fn int8_scales(weight: &[f32], n_in: usize) -> Vec<f32> {
    // The bits of floats that are not negative are in the order of the floats. Those of NaN are the largest,
    // so NaN becomes the scale and stays visible, where `f32::max` would drop it.
    let largest_bits = |row: &[f32]| row.iter().map(|it| it.abs().to_bits()).max();
    let largest = |row| f32::from_bits(largest_bits(row).unwrap_or(0));
    // The addend keeps the scale of a row of zeros from being zero, by which the row is divided.
    weight
        .chunks(n_in)
        .map(|row| (largest(row) / 127.0) + f32::MIN_POSITIVE)
        .collect()
}
