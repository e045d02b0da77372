//! The matrix units: eight tiles of 16 rows of 64 bytes, four of them sums, two rows, two columns.
//!
//! Intel's Software Developer's Manual, volume 1, chapter 18. The compiler knows nothing of tiles, and no
//! code but this touches them between `begin` and the drop.

use std::arch::asm;
use std::arch::x86_64::{__m512bh, _mm512_cvtne2ps_pbh, _mm512_loadu_ps};
use std::mem;
use std::sync::OnceLock;

use crate::formats::{PAIR, Sums, Terms, Unit};
use crate::numbers::Bfloat16;
use crate::scratch::Line;
use crate::vectors::has_avx512;

/// Whether this CPU has tiles for bfloat16 and bytes, and the system lets this process use them.
pub fn is_supported() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| cpu_has_tiles() && system_allows_tiles())
}

/// Intel's manual, volume 2, CPUID: leaf 7, EDX, bits 22 (AMX-BF16), 24 (AMX-TILE), 25 (AMX-INT8). The
/// standard library's macro does not know them yet.
fn cpu_has_tiles() -> bool {
    const TILES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    has_avx512()
        && std::is_x86_feature_detected!("avx512bf16")
        && std::arch::x86_64::__cpuid_count(7, 0).edx & TILES == TILES
}

/// Linux keeps eight more KiB for each thread of a process that asks.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call that no safe interface has")]
fn system_allows_tiles() -> bool {
    // asm/prctl.h: ARCH_REQ_XCOMP_PERM; and the number of the tiles' part of a thread's state.
    const REQUEST: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers, and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn system_allows_tiles() -> bool {
    false
}

/// This thread's tiles, while it lives.
pub(crate) struct Tiles(());

/// Multiplies what each step has of `$n` tiles of rows and as many of columns, by the instructions given, with
/// the sums in tiles 0 to 3.
macro_rules! multiply {
    (
        $n:literal, $terms:ident, $sums:ident,
        $($instruction:expr),* $(,)?
    ) => {{
        const LINES: usize = $n * 16;
        assert_eq!($terms.rows.len(), $terms.columns.len());
        assert!(!$terms.rows.is_empty() && $terms.rows.len().is_multiple_of(LINES));
        // SAFETY: tiles are configured as long as there is a `Tiles`. Every step reads `$n` tiles of each slice,
        // as the instructions say, and the slices have so many for each; the sums are four tiles; and fetching
        // ahead reads nothing.
        #[expect(unsafe_code, reason = "the compiler knows no tiles")]
        unsafe {
            asm!(
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
                "add {rows}, {step}",
                "add {columns}, {step}",
                "add {ahead}, {stride}",
                "dec {steps}",
                "jnz 3b",
                "tilestored [{sums} + {line}], tmm0",
                "tilestored [{sums} + {line} + 1024], tmm1",
                "tilestored [{sums} + {line} + 2048], tmm2",
                "tilestored [{sums} + {line} + 3072], tmm3",
                rows = inout(reg) $terms.rows.as_ptr() => _,
                columns = inout(reg) $terms.columns.as_ptr() => _,
                sums = in(reg) $sums.as_mut_ptr(),
                begin = in(reg) u32::from($terms.begin),
                ahead = inout(reg) $terms.ahead.at => _,
                stride = in(reg) $terms.ahead.stride,
                steps = inout(reg) $terms.rows.len() / LINES => _,
                line = in(reg) size_of::<Line>(),
                step = const LINES * size_of::<Line>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }};
}

/// One tile with one in each place.
macro_rules! multiply_by {
    (
        $instruction:literal, $terms:ident, $sums:ident
    ) => {
        multiply!(
            2,
            $terms,
            $sums,
            "tileloadd tmm4, [{rows} + {line}]",
            "tileloadd tmm6, [{columns} + {line}]",
            concat!($instruction, " tmm0, tmm4, tmm6"),
            "tileloadd tmm7, [{columns} + {line} + 1024]",
            concat!($instruction, " tmm1, tmm4, tmm7"),
            "tileloadd tmm5, [{rows} + {line} + 1024]",
            concat!($instruction, " tmm2, tmm5, tmm6"),
            concat!($instruction, " tmm3, tmm5, tmm7"),
            "prefetcht1 [{ahead}]",
            "prefetcht1 [{ahead} + 64]",
            "prefetcht1 [{ahead} + 128]",
        )
    };
}

impl Unit for Tiles {
    #[inline(always)]
    fn narrow(values: &[f32; PAIR]) -> [Bfloat16; PAIR] {
        #[target_feature(enable = "avx512f,avx512bf16")]
        #[inline]
        fn nearest(values: &[f32; PAIR]) -> [Bfloat16; PAIR] {
            // SAFETY: both types are 64 bytes in which every bit may be set; the loads are 16 float32 each.
            #[expect(unsafe_code, reason = "vectors are made of arrays by their bits")]
            unsafe {
                let low = _mm512_loadu_ps(values.as_ptr());
                let high = _mm512_loadu_ps(values.as_ptr().add(16));
                mem::transmute::<__m512bh, [Bfloat16; PAIR]>(_mm512_cvtne2ps_pbh(high, low))
            }
        }
        // SAFETY: where tiles multiply, `is_supported` asked the CPU for these instructions.
        #[expect(unsafe_code, reason = "the CPU was asked at run time")]
        unsafe {
            nearest(values)
        }
    }

    /// # Panics
    ///
    /// If there are none.
    #[expect(unsafe_code, reason = "the compiler knows no tiles")]
    fn begin() -> Self {
        assert!(is_supported(), "this CPU has no tiles");
        // Palette 1; from byte 16 on a tile's bytes in a row, in 16 bits each; from byte 48 on its rows.
        let mut configuration = Line::ZERO;
        configuration.0[0] = 1;
        configuration.0[4..8].fill(64 << 16 | 64);
        configuration.0[12..14].fill(0x1010_1010);
        // SAFETY: there are tiles, and the operand is 64 bytes of a valid configuration.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &configuration, options(nostack, readonly)) };
        Self(())
    }

    fn bfloat16(&self, terms: Terms<'_>, sums: &mut Sums) {
        multiply_by!("tdpbf16ps", terms, sums);
    }

    fn int8(&self, terms: Terms<'_>, sums: &mut Sums) {
        multiply_by!("tdpbssd", terms, sums);
    }

    fn float32(&self, terms: Terms<'_>, sums: &mut Sums) {
        multiply!(
            6,
            terms,
            sums,
            // The third piece of rows with the first of columns.
            "tileloadd tmm4, [{rows} + {line} + 2048]",
            "tileloadd tmm6, [{columns} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{columns} + {line} + 3072]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{rows} + {line} + 5120]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead}]",
            "prefetcht1 [{ahead} + 64]",
            // First with first.
            "tileloadd tmm4, [{rows} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{rows} + {line} + 3072]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            // Second with first.
            "tileloadd tmm4, [{rows} + {line} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{rows} + {line} + 4096]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead} + 128]",
            "prefetcht1 [{ahead} + 192]",
            // Second with second.
            "tileloadd tmm6, [{columns} + {line} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{columns} + {line} + 4096]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            // First with second.
            "tileloadd tmm4, [{rows} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{rows} + {line} + 3072]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "prefetcht1 [{ahead} + 256]",
            "prefetcht1 [{ahead} + 320]",
            // First with third.
            "tileloadd tmm6, [{columns} + {line} + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{columns} + {line} + 5120]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
        );
    }
}

impl Drop for Tiles {
    #[expect(unsafe_code, reason = "the compiler knows no tiles")]
    fn drop(&mut self) {
        // SAFETY: what made `self` found tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
