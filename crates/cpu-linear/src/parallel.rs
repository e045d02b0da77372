//! Divides a product among threads.

use std::ops::Range;

/// Threads that share a product.
///
/// # Safety
///
/// The ranges that `run` gives to `part` make up `0..n`, and no two of them overlap. Callers rely on it:
/// `part` writes the memory that belongs to its range without a lock.
#[expect(
    unsafe_code,
    reason = "threads write disjoint memory because their ranges are disjoint"
)]
pub unsafe trait Parallel {
    /// Calls `part` with ranges that make up `0..n`, on any number of threads, and returns once all calls
    /// have returned.
    fn run(&self, n: usize, part: &(dyn Fn(Range<usize>) + Sync));
}

/// The calling thread alone.
#[derive(Debug, Clone, Copy)]
pub struct OneThread;

// SAFETY: `part` is called once, with the whole range.
#[expect(unsafe_code, reason = "see the trait")]
unsafe impl Parallel for OneThread {
    fn run(&self, n: usize, part: &(dyn Fn(Range<usize>) + Sync)) {
        part(0..n);
    }
}
