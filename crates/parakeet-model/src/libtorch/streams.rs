//! Streams of a GPU, so that uploads and the search run at the same time as the encoder.
//!
//! A stream is a queue of work that runs in order; the streams of a GPU run at the same time. The encoder
//! works on the default stream. Two rules follow:
//!
//! - Work of different streams has no order but that of [`StreamEvent`]s. A stream that reads what another
//!   one writes waits for an event that the other has recorded behind the writing.
//! - libtorch's allocator ties a tensor's memory to the stream that was current when the tensor was made.
//!   When the tensor is dropped, the allocator gives the memory to later work of that stream at once,
//!   although another stream may still read it. A tensor that another stream reads is therefore either passed
//!   to [`record_stream`], or dropped only after the host has waited for the end of the reading.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::OnceLock;

use tch::{TchError, Tensor};

use crate::libtorch::shim_error::checked;

/// The streams that are not the default one.
pub(crate) struct Streams {
    /// Copies audio to the GPU while the encoder works.
    pub(crate) upload: Stream,
    /// Runs the search's kernels. They are small, and each would wait for what the encoder has queued: this
    /// stream has high priority.
    pub(crate) search: Stream,
}

impl Streams {
    /// The streams of this process. All networks share them, because CUDA's libraries keep a work space for
    /// each stream that they have worked on.
    pub(crate) fn shared() -> Result<&'static Self, TchError> {
        static STREAMS: OnceLock<Streams> = OnceLock::new();
        if let Some(streams) = STREAMS.get() {
            return Ok(streams);
        }
        // Two threads may both come here. The pair of the slower one is dropped, which costs nothing:
        // libtorch's pool owns the streams.
        let (upload, search) = (Stream::new(false)?, Stream::new(true)?);
        Ok(STREAMS.get_or_init(|| Self { upload, search }))
    }
}

/// A queue of work on the GPU, which runs in order.
pub(crate) struct Stream {
    id: i64,
}

impl Stream {
    #[expect(unsafe_code, reason = "tch binds no stream")]
    fn new(has_high_priority: bool) -> Result<Self, TchError> {
        let mut id = 0;
        // SAFETY: the pointer is valid for a write, and the call catches every exception and returns its text.
        unsafe { checked(parakeet_stream(has_high_priority, &mut id))? };
        Ok(Self { id })
    }

    /// Runs `work` on this thread with this stream as the current one: what `work` gives to the GPU is queued
    /// here. The stream that was current before is current again afterwards, even if `work` panics.
    pub(crate) fn queue<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Restore(i64);
        impl Drop for Restore {
            fn drop(&mut self) {
                exchange_current(self.0);
            }
        }
        let _restore = Restore(exchange_current(self.id));
        work()
    }
}

/// Makes a stream this thread's current one, and returns the stream that was current before.
#[expect(unsafe_code, reason = "tch binds no stream")]
fn exchange_current(id: i64) -> i64 {
    let mut before = id;
    // SAFETY: the pointer is valid for a write, and the call catches every exception. The call fails only
    // where there is no GPU, and then there is no `Stream`.
    unsafe { parakeet_exchange_stream(id, &mut before) };
    before
}

/// A point in the work of a stream that other streams and the host can wait for.
pub(crate) struct StreamEvent {
    event: *mut c_void,
}

// SAFETY: CUDA's events belong to no thread.
#[expect(unsafe_code, reason = "the pointer is an event's")]
unsafe impl Send for StreamEvent {}

impl StreamEvent {
    /// Records an event behind all work that the current stream holds.
    #[expect(unsafe_code, reason = "tch binds no event")]
    pub(crate) fn record() -> Result<Self, TchError> {
        let mut event = ptr::null_mut();
        // SAFETY: the pointer is valid for a write, and the call catches every exception and returns its text.
        unsafe { checked(parakeet_record_event(&mut event))? };
        Ok(Self { event })
    }

    /// Makes later work of the current stream wait for the event; the host does not wait.
    #[expect(unsafe_code, reason = "tch binds no event")]
    pub(crate) fn block_current_stream(&self) -> Result<(), TchError> {
        // SAFETY: `record` made the event, and only `drop` frees it. `checked` reads the text of this call.
        unsafe { checked(parakeet_block_on_event(self.event)) }
    }

    /// Makes the host wait for the event.
    #[expect(unsafe_code, reason = "tch binds no event")]
    pub(crate) fn synchronize(&self) -> Result<(), TchError> {
        // SAFETY: as in `block_current_stream`.
        unsafe { checked(parakeet_synchronize_event(self.event)) }
    }
}

impl Drop for StreamEvent {
    #[expect(unsafe_code, reason = "tch binds no event")]
    fn drop(&mut self) {
        // SAFETY: `record` made the event, and this is the only place that frees it. A stream that waits for
        // the event goes on waiting for the point that was recorded.
        unsafe { parakeet_free_event(self.event) };
    }
}

/// Notes that the current stream reads a tensor that was made on another stream: when the tensor is dropped,
/// its memory is kept until the work that this stream holds by then is done.
#[expect(unsafe_code, reason = "tch binds no stream")]
pub(crate) fn record_stream(tensor: &Tensor) -> Result<(), TchError> {
    // SAFETY: the pointer is a tensor's that lives until this returns. `checked` reads the text of this call.
    unsafe { checked(parakeet_record_stream(tensor.as_ptr().cast())) }
}

#[expect(unsafe_code, reason = "the C++ shim, src/libtorch/streams.cpp")]
unsafe extern "C" {
    fn parakeet_stream(has_high_priority: bool, id: *mut i64) -> *const c_char;
    fn parakeet_exchange_stream(id: i64, before: *mut i64) -> *const c_char;
    fn parakeet_record_event(event: *mut *mut c_void) -> *const c_char;
    fn parakeet_block_on_event(event: *mut c_void) -> *const c_char;
    fn parakeet_synchronize_event(event: *mut c_void) -> *const c_char;
    fn parakeet_free_event(event: *mut c_void);
    fn parakeet_record_stream(tensor: *const c_void) -> *const c_char;
}
