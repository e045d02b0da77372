// What cpu-linear does for libtorch, as tiles.rs gives it, on libtorch's threads.

#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

using at::Tensor;
using Some = std::optional<Tensor>;

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
                   void* out, int8_t then, Parallel);
};

inline void parallel(int64_t n, const void* work,
                     void (*part)(const void*, int64_t, int64_t)) noexcept {
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) { part(work, begin, end); });
}
// What follows a product, by its number in tiles.rs: nothing, an activation, or what is added to.
constexpr int8_t ADD = 3;
inline int8_t number_of(const std::string& then) {
  const int8_t number = then == "none" ? 0 : then == "relu" ? 1 : then == "silu" ? 2 : -1;
  TORCH_CHECK(number >= 0, "a layer's product is followed by none, relu or silu, and not by ", then);
  return number;
}
inline bool fits(const Some& some, const Tensor& weight) {
  return !some || some->numel() == weight.size(0);
}
inline Tensor numbers(const Some& some) {
  return some ? some->to(at::kFloat).contiguous() : Tensor();
}
inline const float* address(const Tensor& numbers) {
  return numbers.defined() ? numbers.const_data_ptr<float>() : nullptr;
}
// Whether it lies in memory like an array of 64 bytes each.
inline bool is_of_lines(const Tensor& laid_out) {
  return laid_out.is_contiguous() && reinterpret_cast<uintptr_t>(laid_out.const_data_ptr()) % 64 == 0;
}
