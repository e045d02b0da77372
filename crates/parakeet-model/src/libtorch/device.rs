//! Chooses the device, opens the CUDA library if there is one, and reads the GPU's memory.
//!
//! One binary serves machines with and without a GPU. It links libtorch's CPU library alone.
//! `libtorch_cuda.so` registers its kernels when it is opened. It is opened at run time, before any other
//! function of libtorch is called, and only on a machine with an NVIDIA driver.

use std::ffi::c_char;
use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::libtorch::shim_error::checked;
use crate::names::named;

/// The device that a network runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The first CUDA GPU, or the CPU if there is none.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first CUDA GPU that is visible to the process.
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

    /// Whether the device is a GPU: its work is queued, and runs while the host goes on.
    pub fn is_gpu(self) -> bool {
        self == Self::Cuda
    }

    /// Settles [`Device::Auto`], and opens the CUDA library if the network is to run on a GPU.
    ///
    /// Call this before any other function of libtorch: libtorch looks for CUDA only once, and remembers if
    /// there was none.
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
        named(&Self::ALL, Self::name, name)
    }
}

/// Memory of a GPU, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Memory that no process has taken. Memory that libtorch caches counts as taken.
    pub free: u64,
    /// Memory of the whole device.
    pub total: u64,
    /// Memory that libtorch caches; new tensors can use it.
    pub kept: u64,
    /// The most memory that tensors held at once since the last call.
    pub peak: u64,
    /// Memory that tensors hold now.
    pub held: u64,
}

/// Memory of the GPU that [`Device::resolve`] opened; `None` if libtorch gives no numbers.
#[expect(unsafe_code, reason = "tch binds no call for memory")]
pub(crate) fn memory() -> Option<DeviceMemory> {
    let [mut free, mut total, mut kept, mut peak, mut held] = [0; 5];
    // SAFETY: the five pointers are valid for writes, and the call catches every exception and returns its
    // text.
    let read = unsafe {
        checked(parakeet_memory(
            &mut free, &mut total, &mut kept, &mut peak, &mut held,
        ))
    };
    read.is_ok().then_some(DeviceMemory {
        free,
        total,
        kept,
        peak,
        held,
    })
}

/// Returns the memory that libtorch caches to the GPU.
#[expect(unsafe_code, reason = "tch binds no call for the cache")]
pub(crate) fn release_cache() {
    // SAFETY: the call takes no arguments and catches every exception. Its error is dropped: the next call
    // that needs the memory runs out of it again, and reports that.
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

/// Opens the driver, then libtorch's CUDA library. Without a driver that large library would be loaded in
/// vain.
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
