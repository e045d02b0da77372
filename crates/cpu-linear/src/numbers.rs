//! The types of activations.

/// A float32 without its lower sixteen bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bfloat16(pub u16);

/// What rows of activations are made of.
pub trait Number: Copy + Send + Sync + 'static {
    /// The same value.
    fn to_f32(self) -> f32;
    /// The nearest value, of two the even one.
    fn from_f32(value: f32) -> Self;
    /// The nearest value in sixteen bits.
    fn to_bfloat16(self) -> Bfloat16;
    /// The nearest values; in sixteen bits those that `narrow` makes, with instructions of the CPU's own.
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
        let is_odd = bits >> 16 & 1;
        let rounded = bits.wrapping_add(0x7fff + is_odd) >> 16;
        // Rounding would make infinity of some that are no number.
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
