//! Everything that this crate does with libtorch beyond what tch offers.
//!
//! [`module`] calls the methods of a loaded archive, [`failure`] sorts libtorch's errors. The other files
//! bind what tch leaves out: devices, streams, threads, padded tensors on the host, and operators of our own.
//! This folder alone holds `unsafe` code and C++.

pub(crate) mod device;
pub(crate) mod failure;
mod gemm_ops;
pub(crate) mod module;
mod shim_error;
pub(crate) mod streams;
pub(crate) mod tensors;
pub(crate) mod threads;
