// The operators by which an archive names the products of amx-gemm.

#include <ATen/ATen.h>
#include <torch/library.h>

#include "tiles.h"

namespace {
using at::Tensor;
using Some = std::optional<Tensor>;
Tiles tiles;

Tensor numbers(const Some& some) { return some ? some->to(at::kFloat).contiguous() : Tensor(); }
const float* address(const Tensor& numbers) {
  return numbers.defined() ? numbers.const_data_ptr<float>() : nullptr;
}
// What comes out has the type of the weights, and so says what multiplies them.
Tensor lay_out(const Tensor& weight, const Some& scale, const Some& bias) {
  const auto kind = weight.scalar_type();
  const bool is_known = kind == at::kFloat || kind == at::kBFloat16 || kind == at::kChar;
  TORCH_CHECK(is_known && scale.has_value() == (kind == at::kChar), "no tiles multiply ", kind);
  const Layer layer = {static_cast<int8_t>(kind), weight.size(1), weight.size(0)};
  const auto plain = weight.contiguous(), scales = numbers(scale), biases = numbers(bias);
  auto laid_out = at::empty({tiles.n_bytes(layer) / weight.element_size()}, weight.options());
  tiles.lay_out(layer, plain.const_data_ptr(), address(scales), address(biases),
                laid_out.mutable_data_ptr(), parallel);
  return laid_out;
}
// Rows (..., n_in) into `out` (..., n_out), with what `then` names.
Tensor multiply_into(Tensor out, const Tensor& rows, const Tensor& laid_out, const std::string& then) {
  const auto kind = laid_out.scalar_type(), of_rows = rows.scalar_type();
  const bool is_known = of_rows == at::kFloat || of_rows == at::kBFloat16;
  const Layer layer = {static_cast<int8_t>(kind), rows.size(-1), out.size(-1)};
  const auto n_rows = rows.numel() / layer.n_in;
  TORCH_CHECK(is_known && (kind == of_rows || kind == at::kChar) &&
                  out.scalar_type() == of_rows && out.is_contiguous() && out.numel() == n_rows * layer.n_out &&
                  laid_out.nbytes() == static_cast<size_t>(tiles.n_bytes(layer)),
              "rows ", rows.sizes(), " for ", out.sizes(), " are not those of the layer's tiles");
  tiles.multiply(layer, laid_out.const_data_ptr(), static_cast<int8_t>(of_rows), n_rows,
                 rows.contiguous().const_data_ptr(), out.mutable_data_ptr(), then.c_str(), parallel);
  return out;
}
}  // namespace

extern "C" void parakeet_set_tiles(Tiles given) { tiles = given; }

TORCH_LIBRARY(parakeet, operators) {
  operators.def("has_tiles(Tensor any) -> bool", [](const Tensor&) { return tiles.are_here(); });
  operators.def("lay_out(Tensor weight, Tensor? scale, Tensor? bias) -> Tensor", lay_out);
  operators.def("multiply(Tensor rows, Tensor laid_out, int n_out, str then) -> Tensor",
                [](const Tensor& rows, const Tensor& laid_out, int64_t n_out, std::string then) {
                  auto shape = rows.sizes().vec();
                  shape.back() = n_out;
                  return multiply_into(at::empty(shape, rows.options()), rows, laid_out, then);
                });
  operators.def("add_product_(Tensor(a!) x, Tensor rows, Tensor laid_out) -> Tensor(a!)",
                [](const Tensor& x, const Tensor& rows, const Tensor& laid_out) {
                  return multiply_into(x, rows, laid_out, "add");
                });
}
