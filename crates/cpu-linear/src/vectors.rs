//! Vectors of sixteen numbers, for loops that are written for any CPU.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use crate::scratch::Line;

/// What a thread does with vectors. Not a closure: whatever a function with more instructions calls must be part
/// of it, down to the loops, which `#[inline(always)]` says.
pub(crate) trait Work {
    fn run<V: Sixteen>(self);
}

/// How vectors are chosen.
pub(crate) trait Run {
    fn run(work: impl Work);
}

/// The widest that this CPU has.
pub(crate) struct Widest;

impl Run for Widest {
    fn run(work: impl Work) {
        vectorised(work);
    }
}

/// Calls `work`, compiled for the widest vectors that this CPU has, as far as the compiler makes it part of this
/// function: it does so with short ones, and whatever they call should have `#[inline(always)]`.
pub fn with_vectors(work: impl FnOnce()) {
    struct Call<F>(F);
    impl<F: FnOnce()> Work for Call<F> {
        #[inline(always)]
        fn run<V: Sixteen>(self) {
            (self.0)();
        }
    }
    vectorised(Call(work));
}

/// Does work with the widest vectors that this CPU has.
#[cfg(target_arch = "x86_64")]
pub(crate) fn vectorised(work: impl Work) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    fn beside_tiles(work: impl Work) {
        work.run::<Wide>();
    }
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn with_avx512(work: impl Work) {
        work.run::<Wide>();
    }
    #[target_feature(enable = "avx2,fma")]
    fn with_avx2(work: impl Work) {
        work.run::<[f32; 16]>();
    }
    // SAFETY: the CPU was asked for them.
    #[expect(unsafe_code, reason = "the CPU was asked at run time")]
    unsafe {
        if crate::is_supported() {
            beside_tiles(work);
        } else if has_avx512() {
            with_avx512(work);
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            with_avx2(work);
        } else {
            work.run::<[f32; 16]>();
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn vectorised(work: impl Work) {
    work.run::<[f32; 16]>();
}

/// Whether this CPU has vectors of 64 bytes, and what is done with them here.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
}

/// Has a line brought to the first-level cache. Nothing is read of it: it may lie anywhere.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn fetch(line: *const Line) {
    // SAFETY: every CPU of the kind has the instruction, and it fails on no address.
    #[expect(unsafe_code, reason = "an instruction that takes any address")]
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
}

/// Other CPUs fetch by themselves alone.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn fetch(_: *const Line) {}

/// Sixteen float32.
pub(crate) trait Sixteen: Copy {
    /// Rows whose sums the registers hold beside what is added to them.
    const ROWS: usize;

    /// All of them 0.
    fn zero() -> Self;

    /// Words as the bits of float32.
    fn of_words(line: &Line) -> Self;

    /// The lower halves of words as bfloat16.
    fn of_lower_halves(line: &Line) -> Self;

    /// The upper halves of words as bfloat16.
    fn of_upper_halves(line: &Line) -> Self;

    /// The `i`th bytes of words, the lowest first, as signed integers times 2^24.
    fn of_bytes(line: &Line, i: usize) -> Self;

    /// `self` + `numbers` x, rounded once.
    fn add_product(self, numbers: Self, x: f32) -> Self;

    fn to_array(self) -> [f32; 16];
}

/// Of the size that the compiler finds.
impl Sixteen for [f32; 16] {
    const ROWS: usize = 2;

    #[inline(always)]
    fn zero() -> Self {
        [0.0; 16]
    }

    #[inline(always)]
    fn of_words(line: &Line) -> Self {
        line.0.map(f32::from_bits)
    }

    #[inline(always)]
    fn of_lower_halves(line: &Line) -> Self {
        line.0.map(|word| f32::from_bits(word << 16))
    }

    #[inline(always)]
    fn of_upper_halves(line: &Line) -> Self {
        line.0.map(|word| f32::from_bits(word & 0xffff_0000))
    }

    #[inline(always)]
    fn of_bytes(line: &Line, i: usize) -> Self {
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

/// Of 64 bytes: AVX-512. [`vectorised`] alone names it, in functions that have it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Wide(__m512);

/// Evaluates intrinsics.
#[cfg(target_arch = "x86_64")]
macro_rules! with_avx512 {
    (
        $($intrinsics:tt)*
    ) => {{
        // SAFETY: who names `Wide` has AVX-512. What is loaded or stored is 64 bytes, in which any bits are
        // numbers.
        #[expect(unsafe_code, reason = "instructions that not every CPU has")]
        unsafe {
            $($intrinsics)*
        }
    }};
}

#[cfg(target_arch = "x86_64")]
impl Sixteen for Wide {
    const ROWS: usize = 8;

    #[inline(always)]
    fn zero() -> Self {
        with_avx512!(Self(_mm512_setzero_ps()))
    }

    #[inline(always)]
    fn of_words(line: &Line) -> Self {
        with_avx512!(Self(_mm512_loadu_ps(line.0.as_ptr().cast())))
    }

    #[inline(always)]
    fn of_lower_halves(line: &Line) -> Self {
        with_avx512! {
            let words = _mm512_loadu_si512(line.0.as_ptr().cast());
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)))
        }
    }

    #[inline(always)]
    fn of_upper_halves(line: &Line) -> Self {
        with_avx512! {
            let words = _mm512_loadu_si512(line.0.as_ptr().cast());
            let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
            Self(_mm512_castsi512_ps(_mm512_and_si512(words, upper)))
        }
    }

    #[inline(always)]
    fn of_bytes(line: &Line, i: usize) -> Self {
        with_avx512! {
            let words = _mm512_loadu_si512(line.0.as_ptr().cast());
            // Each to the highest place of its word; the others, which have no number, become 0.
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
