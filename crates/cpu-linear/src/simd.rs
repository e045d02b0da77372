//! Vectors of sixteen float32, and functions compiled for the widest vectors that a CPU has.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
use crate::cpu::{has_avx512, has_tiles};
use crate::scratch::Line;

/// Sets of vector instructions. [`dispatch!`] compiles a body for each set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    /// AVX-512, and its conversion to bfloat16, which every CPU with tiles has.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The instructions that the whole program is compiled for.
    Baseline,
}

/// A set of vector instructions that this CPU has.
///
/// The field is private, so that a value is proof: [`Vectors::widest`] asks the CPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vectors(Level);

impl Vectors {
    /// The widest vectors of this CPU.
    pub(crate) fn widest() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if has_tiles() {
                return Self(Level::Avx512Bf16);
            }
            if has_avx512() {
                return Self(Level::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self(Level::Avx2);
            }
        }
        Self(Level::Baseline)
    }

    /// The vectors that every CPU has for which the program is compiled.
    #[cfg(test)]
    pub(crate) fn baseline() -> Self {
        Self(Level::Baseline)
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

/// Runs a body, compiled for the instructions that a [`Vectors`] names. In the body `$V` is the [`F32x16`] of
/// these instructions.
///
/// ```text
/// dispatch!(V in Vectors::widest(), <K: Kernel> |rows: &[f32]| few_rows::<K, V>(rows));
/// ```
///
/// A function with `#[target_feature]` uses the named instructions only in code that the compiler makes part
/// of that function. So everything that a body calls, down to the loops, has `#[inline(always)]`. The body
/// cannot be a closure given to a function, because a closure takes no such attribute. Nor can the four
/// functions see the variables and type parameters of the function around them, so the macro is given those
/// that the body uses.
macro_rules! dispatch {
    (
        $V:ident in $vectors:expr,
        <$($parameter:ident: $bound:path),*> |$($name:ident: $type:ty),*| $body:expr
    ) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
        fn avx512_bf16<$($parameter: $bound),*>($($name: $type),*) {
            type $V = $crate::simd::Avx512;
            $body
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn avx512<$($parameter: $bound),*>($($name: $type),*) {
            type $V = $crate::simd::Avx512;
            $body
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2<$($parameter: $bound),*>($($name: $type),*) {
            type $V = [f32; 16];
            $body
        }
        fn baseline<$($parameter: $bound),*>($($name: $type),*) {
            type $V = [f32; 16];
            $body
        }
        match $crate::simd::Vectors::level($vectors) {
            // SAFETY: a `Vectors` of this level says that the CPU has the instructions.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "the CPU was asked at run time")]
            $crate::simd::Level::Avx512Bf16 => unsafe { avx512_bf16::<$($parameter),*>($($name),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "the CPU was asked at run time")]
            $crate::simd::Level::Avx512 => unsafe { avx512::<$($parameter),*>($($name),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "the CPU was asked at run time")]
            $crate::simd::Level::Avx2 => unsafe { avx2::<$($parameter),*>($($name),*) },
            $crate::simd::Level::Baseline => baseline::<$($parameter),*>($($name),*),
        }
    }};
}
pub(crate) use dispatch;

/// Calls `work`, compiled for the widest vectors of this CPU.
///
/// Only code that the compiler makes part of the call uses these vectors. The compiler does so with a short
/// closure; whatever the closure calls should have `#[inline(always)]`.
pub fn with_vectors(work: impl FnOnce()) {
    fn call<F: FnOnce()>(work: F) {
        dispatch!(_V in Vectors::widest(), <F: FnOnce()> |work: F| work());
    }
    call(work);
}

/// Asks the CPU to bring a line to its first-level cache. The address may be any address: a hint reads
/// nothing for the program, and the CPU ignores a hint that it cannot follow.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn prefetch(line: *const Line) {
    // SAFETY: every CPU of this architecture has the instruction, which fails on no address.
    #[expect(unsafe_code, reason = "an instruction that takes any address")]
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
}

/// Does nothing: stable Rust has this instruction for no other architecture.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn prefetch(_: *const Line) {}

/// Sixteen float32. The answers of all implementations have the same bits.
pub(crate) trait F32x16: Copy {
    /// Most rows whose sums (two vectors a row) the CPU's registers hold, with room for two vectors of
    /// weights.
    const MAX_ROWS: usize;

    /// Sixteen zeros.
    fn zero() -> Self;

    /// The words of a line, which are float32.
    fn from_words(line: &Line) -> Self;

    /// The lower halves of the words, which are bfloat16.
    fn from_lower_halves(line: &Line) -> Self;

    /// The upper halves of the words, which are bfloat16.
    fn from_upper_halves(line: &Line) -> Self;

    /// Byte `i` of each word, 0 the lowest, as a signed integer times 2^24. The factor stays because it is
    /// free: the byte is used in the highest place of its word, where its sign is the word's sign.
    fn from_bytes(line: &Line, i: usize) -> Self;

    /// `self` + `numbers` x with a single rounding.
    fn add_product(self, numbers: Self, x: f32) -> Self;

    fn to_array(self) -> [f32; 16];
}

/// An array, which the compiler keeps in as many registers as it needs: two with AVX2. With sixteen
/// registers, the sums of two rows leave room for weights.
impl F32x16 for [f32; 16] {
    const MAX_ROWS: usize = 2;

    #[inline(always)]
    fn zero() -> Self {
        [0.0; 16]
    }

    #[inline(always)]
    fn from_words(line: &Line) -> Self {
        line.0.map(f32::from_bits)
    }

    #[inline(always)]
    fn from_lower_halves(line: &Line) -> Self {
        line.0.map(|word| f32::from_bits(word << 16))
    }

    #[inline(always)]
    fn from_upper_halves(line: &Line) -> Self {
        line.0.map(|word| f32::from_bits(word & 0xffff_0000))
    }

    #[inline(always)]
    fn from_bytes(line: &Line, i: usize) -> Self {
        line.0
            .map(|word| (word << (24 - 8 * i) & 0xff00_0000).cast_signed() as f32)
    }

    #[inline(always)]
    fn add_product(mut self, numbers: Self, x: f32) -> Self {
        for (sum, number) in self.iter_mut().zip(numbers) {
            *sum = number.mul_add(x, *sum);
        }
        self
    }

    #[inline(always)]
    fn to_array(self) -> [f32; 16] {
        self
    }
}

/// One register of 64 bytes. Only [`dispatch!`] names this type, in functions compiled for AVX-512.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

/// Evaluates intrinsics of AVX-512.
#[cfg(target_arch = "x86_64")]
macro_rules! with_avx512 {
    (
        $($intrinsics:tt)*
    ) => {{
        // SAFETY: code that names `Avx512` runs on a CPU with AVX-512. Every load and store is of 64 bytes
        // inside an array of 64 bytes, and every pattern of bits is a number.
        #[expect(unsafe_code, reason = "instructions that not every CPU has")]
        unsafe {
            $($intrinsics)*
        }
    }};
}

#[cfg(target_arch = "x86_64")]
impl F32x16 for Avx512 {
    // Sixteen of the 32 registers; eight rows hide the latency of a fused multiplication and addition.
    const MAX_ROWS: usize = 8;

    #[inline(always)]
    fn zero() -> Self {
        with_avx512!(Self(_mm512_setzero_ps()))
    }

    #[inline(always)]
    fn from_words(line: &Line) -> Self {
        with_avx512!(Self(_mm512_loadu_ps(line.0.as_ptr().cast())))
    }

    #[inline(always)]
    fn from_lower_halves(line: &Line) -> Self {
        with_avx512! {
            let words = _mm512_loadu_si512(line.0.as_ptr().cast());
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)))
        }
    }

    #[inline(always)]
    fn from_upper_halves(line: &Line) -> Self {
        with_avx512! {
            let words = _mm512_loadu_si512(line.0.as_ptr().cast());
            let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
            Self(_mm512_castsi512_ps(_mm512_and_si512(words, upper)))
        }
    }

    #[inline(always)]
    fn from_bytes(line: &Line, i: usize) -> Self {
        with_avx512! {
            let words = _mm512_loadu_si512(line.0.as_ptr().cast());
            // A shuffle takes for each byte the place of its source. The highest byte of each word takes byte
            // i of the word; the lower three have the place's highest bit set, which makes them 0.
            let first_of_words = _mm512_set4_epi32(12 << 24, 8 << 24, 4 << 24, 0);
            let ith_alone = _mm512_set1_epi32((i as i32) << 24 | 0x0080_8080);
            let places = _mm512_add_epi32(first_of_words, ith_alone);
            Self(_mm512_cvtepi32_ps(_mm512_shuffle_epi8(words, places)))
        }
    }

    #[inline(always)]
    fn add_product(self, numbers: Self, x: f32) -> Self {
        with_avx512!(Self(_mm512_fmadd_ps(numbers.0, _mm512_set1_ps(x), self.0)))
    }

    #[inline(always)]
    fn to_array(self) -> [f32; 16] {
        let mut array = [0.0; 16];
        with_avx512!(_mm512_storeu_ps(array.as_mut_ptr(), self.0));
        array
    }
}
