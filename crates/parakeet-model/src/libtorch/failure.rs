//! Turns libtorch's errors into this crate's.
//!
//! libtorch gives its errors no codes, so the words of its texts are all there is to tell them apart by.

use std::path::Path;

use tch::TchError;

use crate::error::Error;

/// The texts of libtorch's CUDA and CPU allocators and of its calls of CUDA, for a memory that is full.
const FULL_MEMORY: [&str; 3] = [
    "out of memory",
    "can't allocate memory",
    "STATUS_ALLOC_FAILED",
];

/// The texts of calls that CUDA or its libraries refuse as invalid. Such a call leaves the GPU as it was.
const REFUSED_CALL: [&str; 2] = ["invalid", "CUBLAS_STATUS"];

/// libtorch for Linux has oneDNN; libtorch for a Mac lacks it, and cannot read an archive that names its
/// kernels.
const WITHOUT_ONEDNN: &str = ", which was exported for a libtorch with oneDNN, and this one is without: \
    `cargo xtask export-model` on this machine writes one that it can read";

/// Sorts an error of a network's method: full memory, lost GPU, or a network that refuses its arguments.
pub(crate) fn method_failure(method: &'static str, arguments: String, why: TchError) -> Error {
    let text = why.to_string();
    let source = why.into();
    // The order matters: CUDA reports a full memory as a "CUDA error", too, and survives it.
    if FULL_MEMORY.iter().any(|words| text.contains(words)) {
        Error::OutOfMemory {
            method,
            arguments,
            source,
        }
    } else if is_lost(&text) {
        Error::DeviceLost {
            method,
            arguments,
            source,
        }
    } else {
        Error::Network {
            method,
            arguments,
            source,
        }
    }
}

/// Sorts an error of loading the archive at `path`.
pub(crate) fn load_failure(path: &Path, why: TchError) -> Error {
    let text = why.to_string();
    if is_lost(&text) {
        return method_failure("load", path.display().to_string(), why);
    }
    Error::Load {
        path: path.to_owned(),
        hint: if text.contains("mkldnn::") {
            WITHOUT_ONEDNN
        } else {
            ""
        },
        source: why.into(),
    }
}

/// Whether every later call of this process on the GPU would fail like this one.
fn is_lost(text: &str) -> bool {
    text.contains("CUDA error") && !REFUSED_CALL.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_and_a_lost_gpu_are_told_from_a_network_that_fails() {
        let sorted =
            |text: &str| method_failure("encode", String::new(), TchError::Torch(text.into()));
        for text in [
            "CUDA out of memory. Tried to allocate 2.00 GiB.",
            "CUDA error: out of memory",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.",
        ] {
            assert!(matches!(sorted(text), Error::OutOfMemory { .. }), "{text}");
        }
        let lost = sorted("CUDA error: an illegal memory access was encountered");
        assert!(matches!(lost, Error::DeviceLost { .. }), "{lost}");
        for text in [
            "mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)",
            "CUDA error: invalid configuration argument",
            "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`",
        ] {
            assert!(matches!(sorted(text), Error::Network { .. }), "{text}");
        }
    }
}
