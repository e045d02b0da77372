// Tensors on the host without content, in pinned memory if a GPU is to read them; tch pins only by a copy.

#include <ATen/ATen.h>

#include <cstdint>

#include "guarded.h"

extern "C" {

// Makes an uninitialised float32 tensor (n_rows, n_columns) on the host; the caller owns it.
ErrorText parakeet_host_tensor(int64_t n_rows, int64_t n_columns, bool is_pinned, void** tensor) {
  const auto options = at::TensorOptions(at::kFloat).pinned_memory(is_pinned);
  return guarded([&] { *tensor = new at::Tensor(at::empty({n_rows, n_columns}, options)); });
}

}  // extern "C"
