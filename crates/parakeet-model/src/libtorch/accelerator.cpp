// What tch does not bind: the memory of the accelerator, through libtorch's device-independent calls.
// They lie in the CPU library, and reach the CUDA one once that is open.

#include <ATen/DeviceAccelerator.h>

#include <cstdint>

#include "guarded.h"

extern "C" {

// Gives the memory that the allocator keeps for later back to the device.
Said parakeet_release_cache() {
  return guarded([] { at::accelerator::emptyCache(); });
}

// Free and total bytes of the current device, and those that the allocator keeps for later; the most that
// tensors have held of it at once since the last call, and what they hold now.
Said parakeet_memory(uint64_t* free, uint64_t* total, uint64_t* kept, uint64_t* peak,
                     uint64_t* held) {
  return guarded([&] {
    const auto device = at::accelerator::getDeviceIndex();
    const auto info = at::accelerator::getMemoryInfo(device);
    const auto stats = at::accelerator::getDeviceStats(device);
    *free = info.first;
    *total = info.second;
    *kept = static_cast<uint64_t>(stats.reserved_bytes[0].current - stats.allocated_bytes[0].current);
    *peak = static_cast<uint64_t>(stats.allocated_bytes[0].peak);
    *held = static_cast<uint64_t>(stats.allocated_bytes[0].current);
    at::accelerator::resetPeakStats(device);
  });
}

}
