//! Main memory of this process in bytes, read from Linux's `/proc`; `None` on other systems.

use std::fs;

/// The main memory that this process holds now.
pub fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

/// The most main memory that this process ever held.
pub fn peak_bytes() -> Option<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kib)
}
