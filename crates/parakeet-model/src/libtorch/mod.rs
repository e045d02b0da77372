//! What tch does not bind of libtorch: devices, streams, threads and operators.
//!
//! This folder alone holds `unsafe` and C++. No tensor of it crosses the border of the crate.

pub(crate) mod device;
pub(crate) mod gemm_ops;
pub(crate) mod streams;
pub(crate) mod threads;
