//! Queues of work on a GPU: uploads and the search run beside the encoder, not behind it.
//!
//! The encoder works on the default stream. Work on different streams is in no order but that of [`StreamEvent`]s,
//! and memory is given out again for work on the stream it was taken on, so a tensor that another one reads
//! is either [`used_here`], or dropped only after the host has seen the end of what reads it.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::OnceLock;

use tch::{TchError, Tensor};

/// The streams beside the default one. All networks share them, since CUDA's libraries keep memory for each
/// stream that they have worked on.
pub(crate) struct Streams {
    /// Brings audio while the encoder works.
    pub(crate) upload: Stream,
    /// Its kernels are small, and what the encoder has queued would keep each waiting: they go first.
    pub(crate) search: Stream,
}

impl Streams {
    pub(crate) fn get() -> Result<&'static Self, TchError> {
        static STREAMS: OnceLock<Streams> = OnceLock::new();
        if let Some(streams) = STREAMS.get() {
            return Ok(streams);
        }
        let (upload, search) = (Stream::new(false)?, Stream::new(true)?);
        Ok(STREAMS.get_or_init(|| Self { upload, search }))
    }
}

/// A queue of work; what it holds runs in order.
pub(crate) struct Stream {
    id: i64,
}

impl Stream {
    #[expect(unsafe_code, reason = "tch binds no stream")]
    fn new(goes_first: bool) -> Result<Self, TchError> {
        let mut id = 0;
        // SAFETY: the pointer is valid for a write, and the call catches every exception.
        checked(unsafe { parakeet_stream(goes_first, &mut id) })?;
        Ok(Self { id })
    }

    /// Queues here what `work` gives to the GPU on this thread.
    pub(crate) fn queue<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Restore(i64);
        impl Drop for Restore {
            fn drop(&mut self) {
                exchange(self.0);
            }
        }
        let _restore = Restore(exchange(self.id));
        work()
    }
}

/// Makes a stream this thread's current one; the one before.
#[expect(unsafe_code, reason = "tch binds no stream")]
fn exchange(id: i64) -> i64 {
    let mut before = id;
    // SAFETY: the pointer is valid for a write, and the call catches every exception. It fails only where there
    // is no GPU, and then there is no `Stream`.
    unsafe { parakeet_exchange_stream(id, &mut before) };
    before
}

/// A point in the work of a stream that others can wait for.
pub(crate) struct StreamEvent {
    event: *mut c_void,
}

// SAFETY: CUDA's events belong to no thread.
#[expect(unsafe_code, reason = "the pointer is an event's")]
unsafe impl Send for StreamEvent {}

impl StreamEvent {
    /// Behind all that the current stream holds by now.
    #[expect(unsafe_code, reason = "tch binds no event")]
    pub(crate) fn new() -> Result<Self, TchError> {
        let mut event = ptr::null_mut();
        // SAFETY: the pointer is valid for a write, and the call catches every exception.
        checked(unsafe { parakeet_mark(&mut event) })?;
        Ok(Self { event })
    }

    /// Has the current stream wait for it; the host does not.
    #[expect(unsafe_code, reason = "tch binds no event")]
    pub(crate) fn wait(&self) -> Result<(), TchError> {
        // SAFETY: the event is one that `parakeet_mark` made, and is freed by `drop` alone.
        checked(unsafe { parakeet_wait(self.event) })
    }

    /// Has the host wait for it.
    #[expect(unsafe_code, reason = "tch binds no event")]
    pub(crate) fn wait_on_host(&self) -> Result<(), TchError> {
        // SAFETY: as in `wait`.
        checked(unsafe { parakeet_wait_on_host(self.event) })
    }
}

impl Drop for StreamEvent {
    #[expect(unsafe_code, reason = "tch binds no event")]
    fn drop(&mut self) {
        // SAFETY: the event is one that `parakeet_mark` made, and this is the only place that frees it.
        unsafe { parakeet_free_mark(self.event) };
    }
}

/// Says that the current stream works with a tensor of another one, whose memory is then kept until what is
/// queued here is done.
#[expect(unsafe_code, reason = "tch binds no stream")]
pub(crate) fn used_here(tensor: &Tensor) -> Result<(), TchError> {
    // SAFETY: the pointer is a tensor's that lives until this returns.
    checked(unsafe { parakeet_used_here(tensor.as_ptr().cast()) })
}

/// Rows of float32 (N, columns) on the host, each filled with zeros behind what it is given; in pinned
/// memory, a GPU reads it by itself.
#[expect(
    unsafe_code,
    reason = "tch fills no tensor row by row, and pins none but by a copy"
)]
pub(crate) fn on_host(
    rows: &[&[f32]],
    n_columns: usize,
    is_pinned: bool,
) -> Result<Tensor, TchError> {
    assert!(rows.iter().all(|row| row.len() <= n_columns));
    let mut tensor = ptr::null_mut();
    // SAFETY: the pointer is valid for a write, and the call catches every exception.
    checked(unsafe {
        parakeet_on_host(rows.len() as i64, n_columns as i64, is_pinned, &mut tensor)
    })?;
    // SAFETY: the call made a tensor and gave it away.
    let tensor = unsafe { Tensor::from_ptr(tensor.cast()) };
    let mut at = tensor.data_ptr().cast::<f32>();
    for row in rows {
        // SAFETY: the tensor has as many rows of `n_columns` contiguous float32 as there are in `rows`, nobody
        // else knows it yet, and no row is longer than one of its own.
        unsafe {
            ptr::copy_nonoverlapping(row.as_ptr(), at, row.len());
            ptr::write_bytes(at.add(row.len()), 0, n_columns - row.len());
            at = at.add(n_columns);
        }
    }
    Ok(tensor)
}

/// What libtorch said, if it did.
#[expect(unsafe_code, reason = "the text is C++'s")]
fn checked(said: *const c_char) -> Result<(), TchError> {
    if said.is_null() {
        return Ok(());
    }
    // SAFETY: what is not null is a C string, which stays until this thread's next call.
    let said = unsafe { CStr::from_ptr(said) };
    Err(TchError::Torch(said.to_string_lossy().into_owned()))
}

#[expect(unsafe_code, reason = "the C++ shim, src/libtorch/streams.cpp")]
unsafe extern "C" {
    fn parakeet_stream(goes_first: bool, id: *mut i64) -> *const c_char;
    fn parakeet_exchange_stream(id: i64, before: *mut i64) -> *const c_char;
    fn parakeet_mark(event: *mut *mut c_void) -> *const c_char;
    fn parakeet_wait(event: *mut c_void) -> *const c_char;
    fn parakeet_wait_on_host(event: *mut c_void) -> *const c_char;
    fn parakeet_free_mark(event: *mut c_void);
    fn parakeet_used_here(tensor: *const c_void) -> *const c_char;
    fn parakeet_on_host(
        n_rows: i64,
        n_columns: i64,
        is_pinned: bool,
        tensor: *mut *mut c_void,
    ) -> *const c_char;
}
