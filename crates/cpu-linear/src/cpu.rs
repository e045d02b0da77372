//! Asks the CPU and the system which instructions this process may use.

/// Whether this CPU has tiles (Intel AMX) for bfloat16 and for bytes, and the system lets this process use
/// them. [`crate::Layer::gemm`] needs them; [`crate::Layer::gemv`] does not.
#[cfg(target_arch = "x86_64")]
pub fn has_tiles() -> bool {
    static ANSWER: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    // One system call for the process: the permission is the process's and not the thread's.
    *ANSWER.get_or_init(|| cpu_has_tiles() && system_allows_tiles())
}

/// Whether this CPU has tiles (Intel AMX), which no CPU of this make has.
#[cfg(not(target_arch = "x86_64"))]
pub fn has_tiles() -> bool {
    false
}

/// Intel's Software Developer's Manual, volume 2, CPUID: leaf 7, EDX, bits 22 (AMX-BF16), 24 (AMX-TILE) and
/// 25 (AMX-INT8). The standard library's macro does not know these bits yet.
#[cfg(target_arch = "x86_64")]
fn cpu_has_tiles() -> bool {
    const TILES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    has_avx512()
        && std::is_x86_feature_detected!("avx512bf16")
        && std::arch::x86_64::__cpuid_count(7, 0).edx & TILES == TILES
}

/// Asks Linux for the tiles. Linux saves eight KiB of tiles for each thread at a switch of threads, and does
/// so only for processes that ask; without the permission the first tile instruction ends the process.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[expect(unsafe_code, reason = "a system call that no safe interface has")]
fn system_allows_tiles() -> bool {
    // asm/prctl.h: ARCH_REQ_XCOMP_PERM, and the number of the tiles' part of a thread's state.
    const REQUEST: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and no address, so it touches no memory of this process.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn system_allows_tiles() -> bool {
    false
}

/// Whether this CPU has vectors of 64 bytes with the instructions of them that this crate uses.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
}
