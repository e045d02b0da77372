//! The number format that a network computes in; the export fixes it for each archive.

use std::fmt;
use std::str::FromStr;

use crate::names::named;

/// The number format of an archive's matrix products. The front end is float32 in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ComputeType {
    /// The fastest compute type of the bundle that loses no words on the device.
    #[default]
    Auto,
    /// IEEE 754 single precision: the reference.
    Float32,
    /// Eight bits of exponent and eight of significand. It has float32's range, so nothing overflows.
    Bfloat16,
    /// IEEE 754 half precision.
    Float16,
    /// Linear layers of eight-bit integers with scales, the rest bfloat16: for CPUs with instructions for
    /// both.
    Int8,
    /// Linear layers of eight-bit integers with scales, the rest float32: for CPUs without bfloat16.
    Int8Float32,
}

impl ComputeType {
    /// Every compute type, in the order of a help text.
    pub const ALL: [Self; 6] = [
        Self::Auto,
        Self::Float32,
        Self::Bfloat16,
        Self::Float16,
        Self::Int8,
        Self::Int8Float32,
    ];

    /// The name that a user types and that a manifest holds.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Float32 => "float32",
            Self::Bfloat16 => "bfloat16",
            Self::Float16 => "float16",
            Self::Int8 => "int8",
            Self::Int8Float32 => "int8_float32",
        }
    }

    /// Whether linear layers multiply eight-bit integers.
    pub(crate) fn multiplies_int8(self) -> bool {
        matches!(self, Self::Int8 | Self::Int8Float32)
    }

    /// Why a device cannot compute in this type, whatever the bundle holds; `None` if it can.
    pub(crate) fn obstacle(self, device: tch::Device) -> Option<&'static str> {
        match self {
            Self::Int8 | Self::Int8Float32 if device.is_cuda() => {
                Some("it is for CPUs, and the device is cuda")
            }
            Self::Int8 | Self::Int8Float32 if !cpu_multiplies_int8() => {
                Some("the CPU has no instructions for it (AVX2)")
            }
            // A CPU without VNNI has no instructions for the bfloat16 of the other layers either, and float32
            // would be faster.
            Self::Int8 if !cpu_has_vnni() => {
                Some("the CPU has no instructions for it (VNNI); int8_float32 can do without")
            }
            _ => None,
        }
    }

    /// The types that [`ComputeType::Auto`] looks for in the bundle, best first.
    ///
    /// On CUDA bfloat16 comes before the equally fast float16, which can overflow. On a CPU float16
    /// runs at a tenth of float32's rate and is never chosen. Bfloat16 and int8 with bfloat16 are faster
    /// than float32 if the CPU has instructions for bfloat16, and slower if it has none. Int8 with float32
    /// is faster than float32 on every CPU that multiplies bytes.
    pub(crate) fn preferences(device: tch::Device) -> Vec<Self> {
        if device.is_cuda() {
            return vec![Self::Bfloat16, Self::Float16, Self::Float32];
        }
        let mut preferences = Vec::new();
        if cpu_has_bfloat16() {
            if cpu_has_vnni() {
                preferences.push(Self::Int8);
            }
            preferences.push(Self::Bfloat16);
        }
        if cpu_multiplies_int8() {
            preferences.push(Self::Int8Float32);
        }
        preferences.push(Self::Float32);
        preferences
    }
}

impl fmt::Display for ComputeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ComputeType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        named(&Self::ALL, Self::name, name)
    }
}

/// Whether the CPU sums int8 products in 32 bits: AVX-512 VNNI, or AVX-VNNI with 256 bits.
fn cpu_has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512vnni")
        || std::arch::is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Whether the CPU multiplies bytes at all. Without VNNI it sums pairs of products in 16 bits. The archive
/// makes its weights smaller at the first call, so that these sums do not overflow
/// (`xtask/python/exporter/int8.py`).
fn cpu_multiplies_int8() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Whether the CPU multiplies bfloat16. Every x86 CPU with bfloat16 tiles (AMX) also has the AVX-512
/// instructions that are asked for here.
fn cpu_has_bfloat16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_never_means_float16_on_a_cpu() {
        assert!(!ComputeType::preferences(tch::Device::Cpu).contains(&ComputeType::Float16));
    }

    #[test]
    fn auto_prefers_the_type_that_cannot_overflow_on_cuda() {
        assert_eq!(
            ComputeType::preferences(tch::Device::Cuda(0))[0],
            ComputeType::Bfloat16
        );
    }

    #[test]
    fn bytes_are_refused_on_cuda_and_never_chosen_there() {
        let cuda = tch::Device::Cuda(0);
        for compute_type in [ComputeType::Int8, ComputeType::Int8Float32] {
            assert!(compute_type.obstacle(cuda).is_some());
            assert!(!ComputeType::preferences(cuda).contains(&compute_type));
        }
    }

    #[test]
    fn on_a_cpu_bytes_come_right_before_float32_and_behind_what_bfloat16_gains() {
        let mut expected = vec![
            ComputeType::Int8,
            ComputeType::Bfloat16,
            ComputeType::Int8Float32,
            ComputeType::Float32,
        ];
        let preferences = ComputeType::preferences(tch::Device::Cpu);
        expected.retain(|it| preferences.contains(it));
        assert_eq!(preferences, expected);
    }

    #[test]
    fn what_auto_chooses_has_no_obstacle() {
        for device in [tch::Device::Cpu, tch::Device::Cuda(0)] {
            for compute_type in ComputeType::preferences(device) {
                assert_eq!(compute_type.obstacle(device), None, "{compute_type}");
            }
        }
    }

    #[test]
    fn float32_is_the_last_resort_everywhere() {
        for device in [tch::Device::Cpu, tch::Device::Cuda(0)] {
            let last = ComputeType::preferences(device).pop();
            assert_eq!(last, Some(ComputeType::Float32));
        }
    }

    #[test]
    fn every_compute_type_is_read_back_from_its_name() {
        for compute_type in ComputeType::ALL {
            assert_eq!(compute_type.name().parse(), Ok(compute_type));
        }
    }
}
