//! The function that follows a product.

use crate::kernel::PAIR;
use crate::numbers::Number;

/// The function that is applied to a sum of products and its bias before the result is written.
///
/// The discriminants are the numbers that code of another language passes; see [`Activation::from_number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Activation {
    /// The identity.
    None = 0,
    /// 0 for a negative number, else the number.
    Relu = 1,
    /// x / (1 + exp(-x)), also called swish.
    Silu = 2,
    /// The number is added to the number that `out` holds: a residual connection.
    Add = 3,
}

impl Activation {
    /// The activations that have a name, by their names.
    ///
    /// [`Activation::Add`] has no name, because it reads `out`: whoever names an activation gets a new `out`,
    /// which holds no numbers to add to.
    pub const NAMED: [(&'static str, Self); 3] = [
        ("none", Self::None),
        ("relu", Self::Relu),
        ("silu", Self::Silu),
    ];

    /// The activation of this name in [`NAMED`](Self::NAMED).
    pub fn named(name: &str) -> Option<Self> {
        let mut named = Self::NAMED.into_iter();
        named.find_map(|(its_name, it)| (its_name == name).then_some(it))
    }

    /// The activation whose discriminant is `number`.
    pub fn from_number(number: i8) -> Option<Self> {
        [Self::None, Self::Relu, Self::Silu, Self::Add]
            .into_iter()
            .find(|&it| it as i8 == number)
    }
}

/// Applies an activation to values, which are about to replace `out`.
///
/// The choice is made once, outside of the loops: each loop then has no branch, and the compiler makes vector
/// instructions of it.
#[inline(always)]
pub(crate) fn activate<T: Number>(
    values: &mut [f32; PAIR],
    activation: Activation,
    out: &[T; PAIR],
) {
    match activation {
        Activation::None => {}
        Activation::Relu => {
            for value in values {
                // Not `max`, which would turn NaN into 0 and hide it.
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

/// x / (1 + exp(-x)). The relative error is at most 1e-6 above -10 and 1e-5 above -80; below, the error is at
/// most 1e-36 of x.
#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The exponential function, with a relative error of at most 2e-7 + 9e-8 |x| between -87 and 87. Numbers
/// above 87.3 have the value at 87.3, numbers below -87.3 the value at -87.3, and NaN stays NaN.
///
/// The function has no branch and calls nothing, so the compiler makes vector instructions of a loop over it.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // exp(x) = 2^(x / ln 2) = 2^whole 2^part. The bounds keep 2^whole a normal float32.
    let power = (x * std::f32::consts::LOG2_E).clamp(-126.0, 126.0);
    // A float32 of about 1.5 x 2^23 has no bits behind the point. So adding that number rounds `power` to an
    // integer, which then stands in the lowest bits.
    let shifted = power + 12_582_912.0;
    let part = (power - (shifted - 12_582_912.0)) * std::f32::consts::LN_2;
    // Moves the integer into the exponent and adds the exponent of 1.0: 2^whole.
    let whole = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    // The exponential series up to the seventh power. `part` is at most ln(2) / 2, where the rest of the
    // series is below 5e-9.
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
            // Below -10 the error is relative to a tiny number: the rounding of the exponent grows with |x|.
            let allowed = if x > -10.0 { 1e-6 } else { 1e-5 };
            assert!(off <= allowed * exact.abs(), "{x}: {}, {exact}", silu(x));
        }
    }
}
