//! Memory that a thread keeps from one product to the next, and slices of which each thread writes a part.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::slice;

/// 64 bytes: a line of a CPU's cache, and a row of a tile. Aligned, so that no row of a tile lies in two
/// lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [u32; 16]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; 16]);
}

// Allocating megabytes for each product would cost more than some products: the system gives such memory page
// by page, as zeros.
thread_local! {
    static LINES: [RefCell<Vec<Line>>; 2] = const { [const { RefCell::new(Vec::new()) }; 2] };
}

/// What memory is for. A thread has memory for each purpose, because a product uses both at once.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// Rows of activations, which all threads of a product read.
    Rows,
    /// A thread's block of weights and sums.
    Block,
}

/// Lends `n` lines to `work`. They hold whatever was last written to them.
///
/// # Panics
///
/// If `work` asks for lines of the same purpose.
pub(crate) fn with_lines<R>(purpose: Purpose, n: usize, work: impl FnOnce(&mut [Line]) -> R) -> R {
    LINES.with(|lines| {
        let mut lines = lines[purpose as usize].borrow_mut();
        if lines.len() < n {
            // Cleared first, because `resize` alone would copy the old lines to the new memory.
            lines.clear();
            lines.resize(n, Line::ZERO);
        }
        work(&mut lines[..n])
    })
}

/// A slice of which several threads each write a part.
pub(crate) struct Parts<'a, T> {
    at: *mut T,
    len: usize,
    whole: PhantomData<&'a mut [T]>,
}

// SAFETY: a `Parts` stands for a `&mut [T]`, which threads may divide if `T` is `Send`. `part` is unsafe, so
// the division is its callers' duty.
#[expect(unsafe_code, reason = "threads share the slice's address")]
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub(crate) fn of(whole: &'a mut [T]) -> Self {
        Self {
            at: whole.as_mut_ptr(),
            len: whole.len(),
            whole: PhantomData,
        }
    }

    /// Lends the part `range`.
    ///
    /// # Safety
    ///
    /// While a part lives, no thread asks for a part that overlaps it.
    #[expect(unsafe_code, reason = "the borrow checker sees no disjoint columns")]
    #[expect(clippy::mut_from_ref, reason = "see Safety")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range is inside the slice, as asserted, and the caller lets no two living parts
        // overlap.
        unsafe { slice::from_raw_parts_mut(self.at.add(range.start), range.len()) }
    }
}
