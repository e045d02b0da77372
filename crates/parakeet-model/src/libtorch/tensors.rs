//! Copies between slices and tensors.

use std::ffi::{c_char, c_void};
use std::ptr;

use tch::{Kind, TchError, Tensor};

use crate::libtorch::shim_error::checked;

/// The elements of a tensor as float32, row after row. On a GPU the host waits until they are there.
pub(crate) fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let mut numbers = vec![0.0; tensor.numel()];
    let tensor = tensor.f_to_kind(Kind::Float)?;
    tensor
        .f_contiguous()?
        .f_copy_data(&mut numbers, tensor.numel())?;
    Ok(numbers)
}

/// Copies rows to a float32 tensor (N, n_columns) on the host and fills each row's end with zeros.
///
/// A GPU reads pinned memory without the host's help. libtorch's allocator keeps pinned memory that is freed
/// until the copies that were queued from it are done, so the caller may drop the tensor before that.
#[expect(
    unsafe_code,
    reason = "tch fills no tensor row by row, and pins none but by a copy"
)]
pub(crate) fn padded_rows(
    rows: &[&[f32]],
    n_columns: usize,
    is_pinned: bool,
) -> Result<Tensor, TchError> {
    assert!(rows.iter().all(|row| row.len() <= n_columns));
    let mut tensor = ptr::null_mut();
    // SAFETY: the pointer is valid for a write, and the call catches every exception and returns its text.
    unsafe {
        checked(parakeet_host_tensor(
            rows.len() as i64,
            n_columns as i64,
            is_pinned,
            &mut tensor,
        ))?
    };
    // SAFETY: the call succeeded, so it has made a tensor, whose owner is the caller.
    let tensor = unsafe { Tensor::from_ptr(tensor.cast()) };
    let mut at = tensor.data_ptr().cast::<f32>();
    for row in rows {
        // SAFETY: the tensor has as many rows of `n_columns` contiguous float32 as there are in `rows`,
        // nobody else knows the tensor yet, and the assertion above bounds the length of each row.
        unsafe {
            ptr::copy_nonoverlapping(row.as_ptr(), at, row.len());
            ptr::write_bytes(at.add(row.len()), 0, n_columns - row.len());
            at = at.add(n_columns);
        }
    }
    Ok(tensor)
}

#[expect(unsafe_code, reason = "the C++ shim, src/libtorch/tensors.cpp")]
unsafe extern "C" {
    fn parakeet_host_tensor(
        n_rows: i64,
        n_columns: i64,
        is_pinned: bool,
        tensor: *mut *mut c_void,
    ) -> *const c_char;
}
