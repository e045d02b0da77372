//! Finds the device, and opens the CUDA library when there is one.
//!
//! One binary serves machines with and without a GPU. It links libtorch's CPU library alone;
//! `libtorch_cuda.so` registers its kernels when it is opened, so it is opened at run time, before
//! anything else of libtorch is touched, and only where an NVIDIA driver is found.

use std::ffi::c_char;
use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Where a network is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The first CUDA GPU, or the CPU where there is none.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first CUDA GPU that the process may see.
    Cuda,
}

impl Device {
    /// Every device, in the order of a help text.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Cpu, Self::Cuda];

    /// The name that a user types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// Whether work on it is queued, and done beside the host's.
    pub fn is_gpu(self) -> bool {
        self == Self::Cuda
    }

    /// Settles [`Device::Auto`], and opens the CUDA library if it is going to be used.
    ///
    /// Call it before any other function of libtorch: libtorch looks for CUDA once, and remembers
    /// that there was none.
    pub(crate) fn resolve(self) -> Result<tch::Device, Error> {
        match self {
            Self::Cpu => Ok(tch::Device::Cpu),
            Self::Auto => Ok(open_cuda().unwrap_or(tch::Device::Cpu)),
            Self::Cuda => open_cuda().map_err(|reason| Error::CudaUnavailable { reason }),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        crate::named(&Self::ALL, Self::name, name)
    }
}

/// Memory of a GPU, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// What nobody has taken; what libtorch keeps for later counts as taken.
    pub free: u64,
    /// All there is.
    pub total: u64,
    /// What libtorch keeps for later: tensors can have it.
    pub kept: u64,
    /// The most that tensors held at once since this was last asked.
    pub peak: u64,
    /// What tensors hold now.
    pub held: u64,
}

/// The memory of the GPU that [`Device::resolve`] opened; `None` if libtorch does not say.
#[expect(unsafe_code, reason = "tch binds no call for memory")]
pub(crate) fn memory() -> Option<DeviceMemory> {
    let [mut free, mut total, mut kept, mut peak, mut held] = [0; 5];
    // SAFETY: the five pointers are valid for writes, and the call catches every exception.
    let said = unsafe { parakeet_memory(&mut free, &mut total, &mut kept, &mut peak, &mut held) };
    said.is_null().then_some(DeviceMemory {
        free,
        total,
        kept,
        peak,
        held,
    })
}

/// Gives what libtorch keeps for later back to the GPU.
#[expect(unsafe_code, reason = "tch binds no call for the cache")]
pub(crate) fn release_cache() {
    // SAFETY: takes nothing, and catches every exception. That it may fail changes nothing here: what
    // needs the memory asks for it again, and says so.
    unsafe { parakeet_release_cache() };
}

#[expect(unsafe_code, reason = "the C++ shim, src/libtorch/accelerator.cpp")]
unsafe extern "C" {
    fn parakeet_memory(
        free: *mut u64,
        total: *mut u64,
        kept: *mut u64,
        peak: *mut u64,
        held: *mut u64,
    ) -> *const c_char;
    fn parakeet_release_cache() -> *const c_char;
}

/// Opens the driver first: without one, the large CUDA library would be loaded for nothing.
fn open_cuda() -> Result<tch::Device, String> {
    open_library(c"libcuda.so.1").map_err(|why| format!("no NVIDIA driver is found ({why})"))?;
    open_library(c"libtorch_cuda.so")
        .map_err(|why| format!("this libtorch is one for CPUs only ({why})"))?;
    if tch::Cuda::is_available() {
        Ok(tch::Device::Cuda(0))
    } else {
        Err("libtorch sees no GPU".to_owned())
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a library is opened by name at run time")]
fn open_library(name: &std::ffi::CStr) -> Result<(), String> {
    // SAFETY: `name` is a valid C string. The libraries opened here are CUDA's and libtorch's own,
    // whose initialisers may run at any time; the handle is never closed. `dlerror` returns null or
    // a C string that stays valid until this thread's next call of the same family.
    unsafe {
        if !libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            return Ok(());
        }
        let reason = libc::dlerror();
        Err(if reason.is_null() {
            "no reason given".to_owned()
        } else {
            std::ffi::CStr::from_ptr(reason)
                .to_string_lossy()
                .into_owned()
        })
    }
}

#[cfg(not(target_os = "linux"))]
fn open_library(_: &std::ffi::CStr) -> Result<(), String> {
    Err("CUDA is supported on Linux only".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let reason = open_library(c"libno_such_library.so").expect_err("there is no such library");
        assert!(reason.contains("libno_such_library.so"), "{reason}");
    }

    #[test]
    fn every_device_is_read_back_from_its_name() {
        for device in Device::ALL {
            assert_eq!(device.name().parse(), Ok(device));
        }
    }

    #[test]
    fn an_unknown_device_is_answered_with_the_known_ones() {
        let answer = "gpu".parse::<Device>().expect_err("gpu is no device");
        assert_eq!(answer, "`gpu` is unknown, expected one of auto, cpu, cuda");
    }
}
