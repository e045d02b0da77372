// The operators by which an archive names the products of cpu-linear.

#include <torch/library.h>

#include "tiles.h"

namespace {
Tiles tiles;
bool has_tiles(const Tensor& weight) { return weight.scalar_type() != at::kHalf && tiles.are_here(); }
// What comes out has the type of the weights, and so says what multiplies them.
Tensor lay_out(const Tensor& weight, const Some& scale, const Some& bias) {
  const auto kind = weight.scalar_type();
  const bool is_known = kind == at::kFloat || kind == at::kBFloat16 || kind == at::kChar;
  TORCH_CHECK(is_known && scale.has_value() == (kind == at::kChar) && weight.dim() == 2 &&
                  weight.numel() > 0 && fits(scale, weight) && fits(bias, weight),
              "no tiles multiply ", kind, weight.sizes(), " with such a scale and bias");
  const Layer layer = {static_cast<int8_t>(kind), weight.size(1), weight.size(0)};
  const auto plain = weight.contiguous(), scales = numbers(scale), biases = numbers(bias);
  auto laid_out = at::empty({tiles.n_bytes(layer) / weight.element_size()}, weight.options());
  tiles.lay_out(layer, plain.const_data_ptr(), address(scales), address(biases),
                laid_out.mutable_data_ptr(), parallel);
  return laid_out;
}
// Rows (..., n_in) into `out` (..., n_out), with what the number `then` says.
Tensor multiply_into(Tensor out, const Tensor& rows, const Tensor& laid_out, int8_t then) {
  const auto kind = laid_out.scalar_type(), of_rows = rows.scalar_type();
  const bool is_known = of_rows == at::kFloat || of_rows == at::kBFloat16;
  const Layer layer = {static_cast<int8_t>(kind), rows.size(-1), out.size(-1)};
  TORCH_CHECK(is_known && (kind == of_rows || kind == at::kChar) && out.scalar_type() == of_rows &&
                  layer.n_in > 0 && layer.n_out > 0 && is_of_lines(laid_out) &&
                  laid_out.nbytes() == static_cast<size_t>(tiles.n_bytes(layer)) &&
                  out.is_contiguous() && !out.is_alias_of(rows) &&
                  out.numel() / layer.n_out == rows.numel() / layer.n_in,
              "rows ", rows.sizes(), " for ", out.sizes(), " are not those of the layer's tiles");
  if (rows.numel() > 0) {
    tiles.multiply(layer, laid_out.const_data_ptr(), static_cast<int8_t>(of_rows),
                   rows.numel() / layer.n_in, rows.contiguous().const_data_ptr(),
                   out.mutable_data_ptr(), then, parallel);
  }
  return out;
}
Tensor multiply(const Tensor& rows, const Tensor& laid_out, int64_t n_out, std::string then) {
  auto shape = rows.sizes().vec();
  shape.back() = n_out;
  return multiply_into(at::empty(shape, rows.options()), rows, laid_out, number_of(then));
}
Tensor add_product(const Tensor& x, const Tensor& rows, const Tensor& laid_out) {
  return multiply_into(x, rows, laid_out, ADD);
}
}  // namespace

extern "C" void parakeet_set_tiles(Tiles given) { tiles = given; }

TORCH_LIBRARY(parakeet, operators) {
  const auto on_cpu = [](auto call) { return torch::dispatch(c10::DispatchKey::CPU, call); };
  operators.def("has_tiles(Tensor weight) -> bool", &has_tiles);
  operators.def("lay_out(Tensor weight, Tensor? scale, Tensor? bias) -> Tensor", on_cpu(&lay_out));
  operators.def("multiply(Tensor rows, Tensor laid_out, int n_out, str then) -> Tensor", on_cpu(&multiply));
  operators.def("add_product_(Tensor(a!) x, Tensor rows, Tensor laid_out) -> Tensor(a!)", on_cpu(&add_product));
}
