// Streams and events, which tch does not bind, through the device-independent interface that accelerator.cpp
// explains.

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/Event.h>

#include <cstdint>
#include <memory>

#include "guarded.h"

namespace {

c10::Device current_device() {
  return {at::accelerator::getAccelerator(true).value(), at::accelerator::getDeviceIndex()};
}

c10::Stream current_stream() {
  return at::accelerator::getCurrentStream(current_device().index());
}

c10::Event* as_event(void* event) { return static_cast<c10::Event*>(event); }

}  // namespace

extern "C" {

// Takes a stream from libtorch's pool; the pool owns it, so nobody frees it. The GPU starts waiting kernels
// of a stream of high priority before those of other streams.
ErrorText parakeet_stream(bool has_high_priority, int64_t* id) {
  return guarded([&] {
    const c10::impl::VirtualGuardImpl guard(current_device().type());
    *id = guard.getStreamFromGlobalPool(current_device(), has_high_priority).id();
  });
}

// Makes a stream the current one of this thread, and writes the id of the stream that was current before.
ErrorText parakeet_exchange_stream(int64_t id, int64_t* before) {
  return guarded([&] {
    *before = current_stream().id();
    // UNSAFE only means that the id is not checked; it comes from parakeet_stream or from the line above.
    at::accelerator::setCurrentStream(c10::Stream(c10::Stream::UNSAFE, current_device(), id));
  });
}

// Makes an event and records it behind all work that the current stream holds. The caller owns the event and
// frees it with parakeet_free_event.
ErrorText parakeet_record_event(void** event) {
  return guarded([&] {
    // If recording throws, the unique_ptr frees the event and `*event` stays as it was.
    auto recorded = std::make_unique<c10::Event>(current_device().type());
    recorded->record(current_stream());
    *event = recorded.release();
  });
}

// Makes later work of the current stream wait for the event; the calling thread does not wait.
ErrorText parakeet_block_on_event(void* event) {
  return guarded([&] { as_event(event)->block(current_stream()); });
}

// Makes the calling thread wait for the event.
ErrorText parakeet_synchronize_event(void* event) {
  return guarded([&] { as_event(event)->synchronize(); });
}

void parakeet_free_event(void* event) { delete as_event(event); }

// Notes that the current stream uses a tensor of another stream. When the tensor is freed, the allocator
// keeps its memory until the work that the current stream holds at that moment is done.
ErrorText parakeet_record_stream(const void* tensor) {
  return guarded([&] { static_cast<const at::Tensor*>(tensor)->record_stream(current_stream()); });
}

}  // extern "C"
