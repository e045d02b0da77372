//! Reads the error text that a C++ shim returns.

use std::ffi::{CStr, c_char};

use tch::TchError;

/// The result of a shim: null for success, otherwise libtorch's text, as guarded.h returns it.
///
/// # Safety
///
/// `error_text` is what a shim has just returned on this thread: null, or a C string that stays valid until
/// the thread's next shim call.
#[expect(unsafe_code, reason = "the text is a C string of C++")]
pub(super) unsafe fn checked(error_text: *const c_char) -> Result<(), TchError> {
    if error_text.is_null() {
        return Ok(());
    }
    // SAFETY: the caller vouches for the C string, and no shim is called before the text is copied below.
    let error_text = unsafe { CStr::from_ptr(error_text) };
    Err(TchError::Torch(error_text.to_string_lossy().into_owned()))
}
