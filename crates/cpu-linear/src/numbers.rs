//! The types of activations.

/// A float32 without its lower sixteen bits, as its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bfloat16(pub u16);

/// A type of activations: `f32` or [`Bfloat16`].
pub trait Number: Copy + Send + Sync + 'static {
    /// The same value.
    fn to_f32(self) -> f32;
    /// The nearest value. Of two equally near ones it is the one whose last bit is 0.
    fn from_f32(value: f32) -> Self;
    /// The nearest bfloat16.
    fn to_bfloat16(self) -> Bfloat16;
    /// The nearest values. Where they are bfloat16, `narrow` makes them: the CPU may have an instruction for
    /// it.
    fn from_f32s(values: &[f32; 32], narrow: impl Fn(&[f32; 32]) -> [Bfloat16; 32]) -> [Self; 32];
}

impl Number for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn to_bfloat16(self) -> Bfloat16 {
        Bfloat16::from_f32(self)
    }

    #[inline(always)]
    fn from_f32s(values: &[f32; 32], _: impl Fn(&[f32; 32]) -> [Bfloat16; 32]) -> [Self; 32] {
        *values
    }
}

impl Number for Bfloat16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        // Rounds up from one half on, and from just above one half if the last bit that stays is 0. A carry
        // into the exponent is right: the next number above 1.11..1 x 2^n is 2^(n + 1).
        let is_odd = bits >> 16 & 1;
        let rounded = bits.wrapping_add(0x7fff + is_odd) >> 16;
        // A NaN whose set bits are all in the lower half would become infinity. So NaN keeps its upper half,
        // with the bit set that makes it a quiet NaN.
        let quiet = bits >> 16 | 0x40;
        Self(if value.is_nan() { quiet } else { rounded } as u16)
    }

    #[inline(always)]
    fn to_bfloat16(self) -> Bfloat16 {
        self
    }

    #[inline(always)]
    fn from_f32s(values: &[f32; 32], narrow: impl Fn(&[f32; 32]) -> [Bfloat16; 32]) -> [Self; 32] {
        narrow(values)
    }
}
