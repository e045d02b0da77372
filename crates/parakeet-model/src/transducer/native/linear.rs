//! Linear layers out of an archive, laid out for products of a few rows.

use cpu_linear::{Activation, Bfloat16, Format, Layer, Line, Number as _, OneThread, has_tiles};
use tch::{Kind, TchError, Tensor};

/// A linear layer (n_out, n_in), with a bias or none.
pub(super) struct Matrix {
    layer: Layer,
    lines: Vec<Line>,
}

impl Matrix {
    /// In any format, int8 with a scale for each output, as large as its largest weight wants.
    pub(super) fn new(
        format: Format,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Self, TchError> {
        let (n_out, n_in) = weight.size2()?;
        let [n_out, n_in] = [n_out, n_in].map(|n| n as usize);
        let layer = Layer {
            format,
            n_in,
            n_out,
        };
        let weight = numbers(weight)?;
        let bias = bias.map(numbers).transpose()?;
        let scale = (format == Format::Int8).then(|| scales(&weight, n_in));
        let mut lines = vec![Line([0; 16]); layer.n_lines()];
        let (scale, bias) = (scale.as_deref(), bias.as_deref());
        let number = |i: usize| weight[i] / scale.map_or(1.0, |it| it[i / n_in]);
        layer.pack(number, scale, bias, &mut lines, &OneThread);
        Ok(Self { layer, lines })
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

    /// Whether [`Self::multiply_many`] has tiles.
    pub(super) fn has_tiles(&self) -> bool {
        self.layer.format == Format::Bfloat16 && has_tiles()
    }

    /// Writes the products of rows (N, n_in), with the bias, to `out` (N, n_out).
    pub(super) fn multiply(&self, rows: &[f32], out: &mut [f32]) {
        self.layer.gemv(&self.lines, rows, out, Activation::None);
    }

    /// Adds the products and the bias to it.
    pub(super) fn add_product(&self, rows: &[f32], out: &mut [f32]) {
        self.layer.gemv(&self.lines, rows, out, Activation::Add);
    }

    /// As [`Self::multiply`], for more rows. On a CPU with tiles bfloat16 is multiplied on them, and the rows are
    /// rounded; float32 costs more there until there are some tens of rows.
    pub(super) fn multiply_many(&self, rows: &[f32], out: &mut [f32]) {
        if self.has_tiles() {
            self.layer
                .gemm(&self.lines, rows, out, Activation::None, &OneThread);
        } else {
            self.multiply(rows, out);
        }
    }
}

/// Rows to look up.
pub(super) struct Table {
    numbers: Numbers,
    width: usize,
}

enum Numbers {
    Float32(Vec<f32>),
    Bfloat16(Vec<Bfloat16>),
}

impl Table {
    pub(super) fn new(tensor: &Tensor) -> Result<Self, TchError> {
        let (_, width) = tensor.size2()?;
        let numbers = numbers(tensor)?;
        Ok(Self {
            numbers: match tensor.kind() {
                Kind::BFloat16 => {
                    Numbers::Bfloat16(numbers.into_iter().map(Bfloat16::from_f32).collect())
                }
                _ => Numbers::Float32(numbers),
            },
            width: width as usize,
        })
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_numbers() / self.width
    }

    pub(super) fn n_bytes(&self) -> usize {
        let n_bytes = match &self.numbers {
            Numbers::Float32(_) => size_of::<f32>(),
            Numbers::Bfloat16(_) => size_of::<Bfloat16>(),
        };
        self.n_numbers() * n_bytes
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

/// How weights of an archive are kept.
pub(super) fn format_of(kind: Kind) -> Format {
    match kind {
        Kind::BFloat16 => Format::Bfloat16,
        _ => Format::Float32,
    }
}

/// By which each row of a matrix is divided, so that bytes hold it.
fn scales(weight: &[f32], n_in: usize) -> Vec<f32> {
    // The bits of what is not negative are in the order of the numbers; what is no number is larger than any.
    let bits = |row: &[f32]| row.iter().map(|it| it.abs().to_bits()).max();
    let largest = |row| f32::from_bits(bits(row).unwrap_or(0));
    let rows = weight.chunks(n_in);
    // A row of zeros has a scale, too.
    rows.map(|row| (largest(row) / 127.0) + f32::MIN_POSITIVE)
        .collect()
}

/// The elements of a tensor, row after row, as float32.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let mut numbers = vec![0.0; tensor.numel()];
    let tensor = tensor.f_to_kind(Kind::Float)?;
    tensor
        .f_contiguous()?
        .f_copy_data(&mut numbers, tensor.numel())?;
    Ok(numbers)
}
