//! The micro-kernel on tiles, the registers of Intel's matrix unit (AMX).
//!
//! A thread has eight tiles, `tmm0` to `tmm7`, of 16 rows of 64 bytes each. The micro-kernel keeps four of
//! them as sums (2 x 2 tiles, so that each loaded tile is used twice) and loads the two of the left side into
//! `tmm4` and `tmm5`, the two of the right side into `tmm6` and `tmm7`. See Intel's Software Developer's
//! Manual, volume 1, chapter 18.
//!
//! The compiler knows no tiles: it neither uses nor saves them. So they hold their configuration from
//! [`Tiles::configure`] to the drop, and every micro-kernel loads its sums and stores them again.

use std::arch::asm;
use std::arch::x86_64::{__m512bh, _mm512_cvtne2ps_pbh, _mm512_loadu_ps};
use std::mem;

use crate::cpu::has_tiles;
use crate::kernel::{MatrixUnit, PAIR, Panels, Sums};
use crate::numbers::Bfloat16;
use crate::scratch::Line;

/// The configured tiles of the thread that made it. The private field keeps others from making one.
pub(crate) struct Tiles(());

/// Loads or clears the sums, runs the given instructions once for each step, and stores the sums.
///
/// A step has `$n` tiles on each side, of 1024 bytes. In the instructions `{lhs}` and `{rhs}` are the
/// addresses of the step's tiles, `{line}` is the distance between the rows of a tile, and `{ahead}` is the
/// address that the step prefetches from.
macro_rules! micro_kernel {
    (
        $n:literal, $panels:ident, $sums:ident,
        $($instruction:expr),* $(,)?
    ) => {{
        const LINES: usize = $n * 16;
        assert_eq!($panels.lhs.len(), $panels.rhs.len());
        assert!(!$panels.lhs.is_empty() && $panels.lhs.len().is_multiple_of(LINES));
        // SAFETY: tiles are configured while a `Tiles` lives. Each step reads `$n` tiles of each slice, and
        // the slices hold `$n` tiles for each step, as asserted. The sums are four tiles. A prefetch is a
        // hint: it fails on no address, so it may point past the weights.
        #[expect(unsafe_code, reason = "the compiler knows no tiles")]
        unsafe {
            asm!(
                // The first block of a sum starts from zero, so no memory has to be cleared for it.
                "test {begin:e}, {begin:e}",
                "jnz 2f",
                "tileloadd tmm0, [{sums} + {line}]",
                "tileloadd tmm1, [{sums} + {line} + 1024]",
                "tileloadd tmm2, [{sums} + {line} + 2048]",
                "tileloadd tmm3, [{sums} + {line} + 3072]",
                "jmp 3f",
                "2:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "3:",
                $($instruction,)*
                "add {lhs}, {step}",
                "add {rhs}, {step}",
                "add {ahead}, {stride}",
                "dec {steps}",
                "jnz 3b",
                "tilestored [{sums} + {line}], tmm0",
                "tilestored [{sums} + {line} + 1024], tmm1",
                "tilestored [{sums} + {line} + 2048], tmm2",
                "tilestored [{sums} + {line} + 3072], tmm3",
                lhs = inout(reg) $panels.lhs.as_ptr() => _,
                rhs = inout(reg) $panels.rhs.as_ptr() => _,
                sums = in(reg) $sums.as_mut_ptr(),
                begin = in(reg) u32::from($panels.begin),
                ahead = inout(reg) $panels.prefetch.at => _,
                stride = in(reg) $panels.prefetch.stride,
                steps = inout(reg) $panels.lhs.len() / LINES => _,
                line = in(reg) size_of::<Line>(),
                step = const LINES * size_of::<Line>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }};
}

/// The micro-kernel of a format with one tile for 16 rows or columns of a step: two tiles on each side make
/// four products. Loads stand between the products, so that the unit multiplies while the next tile comes.
macro_rules! micro_kernel_2x2 {
    (
        $instruction:literal, $panels:ident, $sums:ident
    ) => {
        micro_kernel!(
            2,
            $panels,
            $sums,
            "tileloadd tmm4, [{lhs} + {line}]",
            "tileloadd tmm6, [{rhs} + {line}]",
            concat!($instruction, " tmm0, tmm4, tmm6"),
            "tileloadd tmm7, [{rhs} + {line} + 1024]",
            concat!($instruction, " tmm1, tmm4, tmm7"),
            "tileloadd tmm5, [{lhs} + {line} + 1024]",
            concat!($instruction, " tmm2, tmm5, tmm6"),
            concat!($instruction, " tmm3, tmm5, tmm7"),
            "prefetcht1 [{ahead}]",
            "prefetcht1 [{ahead} + 64]",
            "prefetcht1 [{ahead} + 128]",
        )
    };
}

impl MatrixUnit for Tiles {
    #[inline(always)]
    fn narrow(values: &[f32; PAIR]) -> [Bfloat16; PAIR] {
        #[target_feature(enable = "avx512f,avx512bf16")]
        #[inline]
        fn nearest(values: &[f32; PAIR]) -> [Bfloat16; PAIR] {
            // SAFETY: the loads are of 16 float32 each, inside the array of 32. The types of the
            // transmutation both have 64 bytes, and every pattern of bits is valid in both.
            #[expect(unsafe_code, reason = "vectors are made of arrays by their bits")]
            unsafe {
                let low = _mm512_loadu_ps(values.as_ptr());
                let high = _mm512_loadu_ps(values.as_ptr().add(16));
                mem::transmute::<__m512bh, [Bfloat16; PAIR]>(_mm512_cvtne2ps_pbh(high, low))
            }
        }
        // SAFETY: `configure` asserted that the CPU has tiles, and `has_tiles` asks for these instructions
        // too.
        #[expect(unsafe_code, reason = "the CPU was asked at run time")]
        unsafe {
            nearest(values)
        }
    }

    /// # Panics
    ///
    /// If the CPU has no tiles.
    #[expect(unsafe_code, reason = "the compiler knows no tiles")]
    fn configure() -> Self {
        assert!(has_tiles(), "this CPU has no tiles");
        // Byte 0 is the palette, 1. From byte 16 on, 16 bits for each tile: its bytes in a row, 64. From byte
        // 48 on, 8 bits for each tile: its rows, 16.
        let mut configuration = Line::ZERO;
        configuration.0[0] = 1;
        configuration.0[4..8].fill(64 << 16 | 64);
        configuration.0[12..14].fill(0x1010_1010);
        // SAFETY: the CPU has tiles, as asserted, and the operand is a valid configuration of 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &configuration, options(nostack, readonly)) };
        Self(())
    }

    fn bfloat16(&self, panels: Panels<'_>, sums: &mut Sums) {
        micro_kernel_2x2!("tdpbf16ps", panels, sums);
    }

    fn int8(&self, panels: Panels<'_>, sums: &mut Sums) {
        micro_kernel_2x2!("tdpbssd", panels, sums);
    }

    fn float32(&self, panels: Panels<'_>, sums: &mut Sums) {
        // Each side has three tiles for 16 rows or columns: pieces 1, 2 and 3 of its numbers at the offsets
        // 0, 1024 and 2048, those of the other 16 at 3072, 4096 and 5120. Six products of pieces are added to
        // each sum, in an order in which neighbours share a loaded tile: 14 loads serve 24 products. The
        // prefetches stand between them, so that no load waits behind a row of prefetches.
        micro_kernel!(
            6,
            panels,
            sums,
            // Piece 3 of the left side with piece 1 of the right side.
            "tileloadd tmm4, [{lhs} + {line} + 2048]",
            "tileloadd tmm6, [{rhs} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{rhs} + {line} + 3072]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lhs} + {line} + 5120]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead}]",
            "prefetcht1 [{ahead} + 64]",
            // Piece 1 with piece 1; the right side is already loaded.
            "tileloadd tmm4, [{lhs} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lhs} + {line} + 3072]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            // Piece 2 with piece 1; the right side is already loaded.
            "tileloadd tmm4, [{lhs} + {line} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lhs} + {line} + 4096]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead} + 128]",
            "prefetcht1 [{ahead} + 192]",
            // Piece 2 with piece 2; the left side is already loaded.
            "tileloadd tmm6, [{rhs} + {line} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{rhs} + {line} + 4096]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            // Piece 1 with piece 2; the right side is already loaded.
            "tileloadd tmm4, [{lhs} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lhs} + {line} + 3072]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead} + 256]",
            "prefetcht1 [{ahead} + 320]",
            // Piece 1 with piece 3; the left side is already loaded.
            "tileloadd tmm6, [{rhs} + {line} + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{rhs} + {line} + 5120]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
        );
    }
}

impl Drop for Tiles {
    #[expect(unsafe_code, reason = "the compiler knows no tiles")]
    fn drop(&mut self) {
        // SAFETY: `configure`, which made `self`, found that the CPU has tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
