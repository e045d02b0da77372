//! Memory that a thread keeps for its next product, and slices that threads write in parts.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::slice;

/// A line of a CPU's cache, and a row of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [u32; 16]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; 16]);
}

thread_local! {
    static LINES: [RefCell<Vec<Line>>; 2] = const { [const { RefCell::new(Vec::new()) }; 2] };
}

/// What the memory is for; a thread has some of each.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// Rows of activations, which all threads of a product read.
    Rows,
    /// A thread's block of weights and sums.
    Block,
}

/// Lends `n` lines, which hold anything.
pub(crate) fn with_lines<R>(purpose: Purpose, n: usize, work: impl FnOnce(&mut [Line]) -> R) -> R {
    LINES.with(|lines| {
        let mut lines = lines[purpose as usize].borrow_mut();
        if lines.len() < n {
            // What it holds need not be copied.
            lines.clear();
            lines.resize(n, Line::ZERO);
        }
        work(&mut lines[..n])
    })
}

/// A slice whose parts several threads write.
pub(crate) struct Parts<'a, T> {
    at: *mut T,
    len: usize,
    whole: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&mut [T]` that `part` divides.
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

    /// # Safety
    ///
    /// While a part lives, nobody asks for one that overlaps it.
    #[expect(unsafe_code, reason = "the borrow checker sees no disjoint columns")]
    #[expect(clippy::mut_from_ref, reason = "see Safety")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice, and the caller lets no two overlap.
        unsafe { slice::from_raw_parts_mut(self.at.add(range.start), range.len()) }
    }
}
