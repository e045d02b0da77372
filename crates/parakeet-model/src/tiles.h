// What amx-gemm does for libtorch, as tiles.rs gives it, on libtorch's threads.

#pragma once

#include <ATen/Parallel.h>

#include <cstdint>

// A linear layer; `kind` is libtorch's number of the type its products are made in.
struct Layer {
  int8_t kind;
  int64_t n_in;
  int64_t n_out;
};

// Calls `part` with ranges that make up 0 to n, on all threads.
using Parallel = void (*)(int64_t n, const void* work, void (*part)(const void*, int64_t, int64_t));

struct Tiles {
  bool (*are_here)();
  int64_t (*n_bytes)(Layer);
  void (*lay_out)(Layer, const void* weight, const float* scale, const float* bias, void* laid_out,
                  Parallel);
  void (*multiply)(Layer, const void* laid_out, int8_t kind_of_rows, int64_t n_rows, const void* rows,
                   void* out, const char* then, Parallel);
};

inline void parallel(int64_t n, const void* work, void (*part)(const void*, int64_t, int64_t)) {
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) { part(work, begin, end); });
}
