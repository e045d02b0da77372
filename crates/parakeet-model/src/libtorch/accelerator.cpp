// Memory of the GPU, which tch does not bind.
//
// at::accelerator is libtorch's device-independent interface. Its functions lie in the CPU library and reach
// the CUDA library once that is open, so this file compiles and links without CUDA.

#include <ATen/DeviceAccelerator.h>

#include <cstdint>

#include "guarded.h"

extern "C" {

// Returns the memory that libtorch's allocator caches to the device.
ErrorText parakeet_release_cache() {
  return guarded([] { at::accelerator::emptyCache(); });
}

// Reads five sizes in bytes: what the device has free, what it has in total, what the allocator caches, the
// peak of what tensors held at once since the last call, and what tensors hold now.
ErrorText parakeet_memory(uint64_t* free, uint64_t* total, uint64_t* kept, uint64_t* peak,
                          uint64_t* held) {
  return guarded([&] {
    const auto device = at::accelerator::getDeviceIndex();
    const auto info = at::accelerator::getMemoryInfo(device);
    const auto stats = at::accelerator::getDeviceStats(device);
    // Index 0 of each statistic counts all pools of the allocator together.
    const auto& reserved = stats.reserved_bytes[0];
    const auto& allocated = stats.allocated_bytes[0];
    *free = info.first;
    *total = info.second;
    *kept = static_cast<uint64_t>(reserved.current - allocated.current);
    *peak = static_cast<uint64_t>(allocated.peak);
    *held = static_cast<uint64_t>(allocated.current);
    // Each caller learns the peak of its own stretch of work.
    at::accelerator::resetPeakStats(device);
  });
}

}  // extern "C"
