// Streams, events and pinned memory, which tch does not bind, through libtorch's device-independent calls,
// as in accelerator.cpp.

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/Event.h>

#include "guarded.h"

namespace {
c10::Device device() {
  return {at::accelerator::getAccelerator(true).value(), at::accelerator::getDeviceIndex()};
}
c10::Stream current() { return at::accelerator::getCurrentStream(device().index()); }
c10::Event* event(void* mark) { return static_cast<c10::Event*>(mark); }
}  // namespace
extern "C" {
// A stream beside the default one. Work on one that goes first is begun before what waits on others.
Said parakeet_stream(bool goes_first, int64_t* id) {
  return guarded([&] {
    const c10::impl::VirtualGuardImpl streams(device().type());
    *id = streams.getStreamFromGlobalPool(device(), goes_first).id();
  });
}
// Makes a stream this thread's current one, and says which it was before.
Said parakeet_exchange_stream(int64_t id, int64_t* before) {
  return guarded([&] {
    *before = current().id();
    at::accelerator::setCurrentStream(c10::Stream(c10::Stream::UNSAFE, device(), id));
  });
}
// An event behind all that the current stream holds.
Said parakeet_mark(void** mark) {
  return guarded([&] {
    auto made = std::make_unique<c10::Event>(device().type());
    made->record(current());
    *mark = made.release();
  });
}
Said parakeet_wait(void* mark) { return guarded([&] { event(mark)->block(current()); }); }
Said parakeet_wait_on_host(void* mark) { return guarded([&] { event(mark)->synchronize(); }); }
void parakeet_free_mark(void* mark) { delete event(mark); }
// Keeps a tensor's memory until what the current stream holds by the tensor's end is done.
Said parakeet_used_here(const void* tensor) {
  return guarded([&] { static_cast<const at::Tensor*>(tensor)->record_stream(current()); });
}
// Float32 (rows, columns) on the host, holding anything; in pinned memory, a GPU reads it by itself.
Said parakeet_on_host(int64_t n_rows, int64_t n_columns, bool is_pinned, void** tensor) {
  const auto options = at::TensorOptions(at::kFloat).pinned_memory(is_pinned);
  return guarded([&] { *tensor = new at::Tensor(at::empty({n_rows, n_columns}, options)); });
}
}
