//! Reads the error text that a C++ shim returns.

use std::ffi::{CStr, c_char};

use tch::TchError;

/// The result of a shim: null for success, otherwise libtorch's text, as guarded.h returns it.
#[expect(unsafe_code, reason = "the text is a C string of C++")]
pub(super) fn checked(error_text: *const c_char) -> Result<(), TchError> {
    if error_text.is_null() {
        return Ok(());
    }
    // SAFETY: a pointer that is not null is a C string, which stays valid until this thread's next shim call.
    // No such call happens before the text is copied below.
    let error_text = unsafe { CStr::from_ptr(error_text) };
    Err(TchError::Torch(error_text.to_string_lossy().into_owned()))
}
