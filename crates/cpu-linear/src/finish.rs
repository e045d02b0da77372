//! What happens to a sum before it is an answer: scales, bias, activation, a residual.

use crate::formats::{Arithmetic, PAIR, Sums, TILE, Unit};
use crate::numbers::{Bfloat16, Number};
use crate::scratch::{Line, Parts};

/// What is done to a layer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// 0 for what is negative.
    Relu,
    /// x / (1 + exp(-x)), also called swish.
    Silu,
    /// It is added to what `out` holds: a residual connection.
    Add,
}

/// Where 32 rows by 32 columns of the answer go.
pub(crate) struct Place<'a, T> {
    pub(crate) out: &'a Parts<'a, T>,
    pub(crate) n_out: usize,
    pub(crate) n_rows: usize,
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// What a pair of columns has beside its weights: two lines of biases, two of scales, as float32.
pub(crate) type Beside = [Line; 4];

/// Writes the answer of `sums`; see [`Place`].
#[inline(always)]
pub(crate) fn finish<U: Unit, A: Arithmetic, T: Number>(
    sums: &Sums,
    beside: &Beside,
    scales: &[f32; PAIR],
    activation: Activation,
    place: &Place<'_, T>,
) {
    let n_columns = PAIR.min(place.n_out - place.column);
    let n_rows = PAIR.min(place.n_rows - place.row);
    for (r, &row_scale) in scales[..n_rows].iter().enumerate() {
        let mut values = [0.0; PAIR];
        for (half, values) in values.chunks_exact_mut(TILE).enumerate() {
            let sums = &sums[(r / TILE * 2 + half) * TILE + r % TILE].0;
            let (bias, scale) = (&beside[half].0, &beside[2 + half].0);
            for n in 0..TILE {
                let mut value = A::value(sums[n]);
                if A::IS_SCALED {
                    value *= f32::from_bits(scale[n]) * row_scale;
                }
                values[n] = value + f32::from_bits(bias[n]);
            }
        }
        let start = (place.row + r) * place.n_out + place.column;
        // SAFETY: no other thread has these columns, as `Parallel` says.
        #[expect(unsafe_code, reason = "threads write disjoint columns")]
        let out = unsafe { place.out.part(start..start + n_columns) };
        write(&mut values, activation, out, U::narrow);
    }
}

/// Writes values, or as many of them as there are places.
#[inline(always)]
pub(crate) fn write<T: Number>(
    values: &mut [f32; PAIR],
    activation: Activation,
    out: &mut [T],
    narrow: impl Fn(&[f32; PAIR]) -> [Bfloat16; PAIR],
) {
    if let Ok(out) = <&mut [T; PAIR]>::try_from(&mut *out) {
        activate(values, activation, out);
        *out = T::from_f32s(values, narrow);
    } else {
        let mut whole = [T::from_f32(0.0); PAIR];
        whole[..out.len()].copy_from_slice(out);
        activate(values, activation, &whole);
        out.copy_from_slice(&T::from_f32s(values, narrow)[..out.len()]);
    }
}

/// A loop for each: what is chosen for every value by itself is computed for all.
#[inline(always)]
fn activate<T: Number>(values: &mut [f32; PAIR], activation: Activation, out: &[T; PAIR]) {
    match activation {
        Activation::None => {}
        Activation::Relu => {
            for value in values {
                *value = if *value < 0.0 { 0.0 } else { *value };
            }
        }
        Activation::Silu => {
            for value in values {
                *value = silu(*value);
            }
        }
        Activation::Add => {
            for (value, before) in values.iter_mut().zip(out) {
                *value += before.to_f32();
            }
        }
    }
}

/// x / (1 + exp(-x)), off by 1e-6 of itself at most above -10, by 1e-5 above -80, and by 1e-36 of x below.
#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The exponential function, off by 2e-7 + 9e-8 |x| of itself at most, between -87 and 87; what is farther away
/// has the value at 87.3, or at -87.3.
///
/// Loops with it become vectors.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // exp(x) = 2^whole 2^part.
    let power = (x * std::f32::consts::LOG2_E).clamp(-126.0, 126.0);
    // Added to 1.5 x 2^23, a number loses what is behind the point.
    let shifted = power + 12_582_912.0;
    let part = (power - (shifted - 12_582_912.0)) * std::f32::consts::LN_2;
    let whole = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    // The exponential series up to the seventh power, for at most ln(2) / 2: 5e-9.
    let series = [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let exp = series
        .iter()
        .fold(1.0 / 5040.0, |sum, term| sum * part + term);
    exp * whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_the_function_and_hides_no_nan() {
        for i in -87_000..=87_000 {
            let x = i as f32 * 0.001;
            let exact = f64::from(x).exp();
            let allowed = 2e-7 + 9e-8 * f64::from(x.abs());
            let off = (f64::from(exp(x)) - exact).abs();
            assert!(off <= allowed * exact, "{x}: {}, {exact}", exp(x));
        }
        for bits in [0x7fc0_0000, 0xffc0_0001, 0x7f80_0001, 0x7fff_ffff] {
            assert!(exp(f32::from_bits(bits)).is_nan(), "{bits:x}");
        }
        assert!(exp(f32::INFINITY) > 8e37);
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn silu_is_the_formula_s() {
        for i in -16_000..20_000 {
            let x = i as f32 * 0.005;
            let exact = f64::from(x) / (1.0 + (-f64::from(x)).exp());
            let off = (f64::from(silu(x)) - exact).abs();
            // Below, what is left of the exponent's rounding grows with it.
            let allowed = if x > -10.0 { 1e-6 } else { 1e-5 };
            assert!(off <= allowed * exact.abs(), "{x}: {}, {exact}", silu(x));
        }
    }
}
