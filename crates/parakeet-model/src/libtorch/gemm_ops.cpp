// The operators by which an archive calls the products of cpu-linear.
//
// This file knows tensors and no layers: it hands gemm_ops.rs the type, shape and address of each tensor, and
// gemm_ops.rs decides whether the tensors make a layer that cpu-linear multiplies. Archives contain the names
// of the operators and of their parameters, so neither may change.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <cstdint>
#include <optional>
#include <string>

using at::Tensor;

namespace {

// A contiguous tensor as gemm_ops.rs reads it; both files assert the size of the struct.
struct Matrix {
  void* numbers;
  int64_t n_rows;
  // The tensor's last dimension.
  int64_t n_columns;
  // libtorch's number of the element type (c10::ScalarType).
  int8_t kind;
};
static_assert(sizeof(Matrix) == 32, "gemm_ops.rs declares the same struct");

// A range of a loop that several threads share, and what cpu-linear does with the range.
using Part = void (*)(const void* context, int64_t begin, int64_t end);
using ParallelFor = void (*)(int64_t n, const void* context, Part part);

// The functions that gemm_ops.rs gives, in its order.
struct GemmOps {
  // Whether this CPU has the tiles that `multiply` needs.
  bool (*has_tiles)();
  // Bytes of the packed layer that a weight (n_out, n_in) becomes; 0 if no layer has such a weight.
  int64_t (*n_packed_bytes)(Matrix weight);
  // Packs a weight for which n_packed_bytes is not 0; scale and bias are null or hold n_out numbers.
  void (*pack)(Matrix weight, const float* scale, const float* bias, void* packed, ParallelFor);
  // The number of the activation that an archive names; -1 if there is none of this name.
  int8_t (*activation_number)(const char* name, size_t n_name_bytes);
  // The names that have a number, as an error message lists them.
  const char* activation_names;
  // The number of the activation that adds the product to what `out` holds. It has no name, because an
  // archive that named it would add to uninitialised memory.
  int8_t add;
  // Writes nothing and returns false if the matrices do not belong to one layer.
  bool (*multiply)(Matrix packed, Matrix rows, Matrix out, int8_t activation, ParallelFor);
};

GemmOps ops;

// cpu-linear runs on libtorch's threads: two pools of threads on the same cores would wait for each other.
void parallel_for(int64_t n, const void* context, Part part) noexcept {
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) { part(context, begin, end); });
}

Matrix matrix(const Tensor& tensor, void* numbers) {
  const int64_t n_columns = tensor.size(-1);
  const int64_t n_rows = n_columns > 0 ? tensor.numel() / n_columns : 0;
  return {numbers, n_rows, n_columns, static_cast<int8_t>(tensor.scalar_type())};
}

// The cast only fits the field's type: gemm_ops.rs reads the numbers of such a matrix and never writes them.
Matrix read_only(const Tensor& tensor) {
  return matrix(tensor, const_cast<void*>(tensor.const_data_ptr()));
}

bool has_tiles(const Tensor& weight) {
  return weight.scalar_type() != at::kHalf && ops.has_tiles();
}

// One number for each output of the layer, in any type and shape.
bool fits(const std::optional<Tensor>& per_output, const Tensor& weight) {
  return !per_output || per_output->numel() == weight.size(0);
}

Tensor as_float32(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->to(at::kFloat).contiguous() : Tensor();
}

const float* address(const Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

// The packed layer is a tensor of the weight's type, so that it tells `multiply_into` the layer's type.
Tensor lay_out(const Tensor& weight, const std::optional<Tensor>& scale,
               const std::optional<Tensor>& bias) {
  const auto kind = weight.scalar_type();
  const bool has_its_numbers = weight.dim() == 2 && scale.has_value() == (kind == at::kChar) &&
                               fits(scale, weight) && fits(bias, weight);
  const auto plain = weight.contiguous();
  const int64_t n_bytes = has_its_numbers ? ops.n_packed_bytes(read_only(plain)) : 0;
  TORCH_CHECK(n_bytes > 0, "no tiles multiply ", kind, weight.sizes(), " with such a scale and bias");
  // The two tensors own the numbers while `pack` reads them.
  const auto scales = as_float32(scale);
  const auto biases = as_float32(bias);
  auto packed = at::empty({n_bytes / weight.element_size()}, weight.options());
  ops.pack(read_only(plain), address(scales), address(biases), packed.mutable_data_ptr(),
           parallel_for);
  return packed;
}

// Multiplies rows (..., n_in) with a packed layer into `out` (..., n_out), through an activation by its
// number.
Tensor multiply_into(Tensor out, const Tensor& rows, const Tensor& packed, int8_t activation) {
  const auto plain = rows.contiguous();
  // gemm_ops.rs makes slices of the three tensors, and a slice that is written must overlap no other.
  const bool can_be_slices = packed.dim() > 0 && packed.is_contiguous() && out.dim() > 0 &&
                             out.is_contiguous() && !out.is_alias_of(rows) &&
                             !out.is_alias_of(packed);
  const bool is_done =
      can_be_slices && ops.multiply(read_only(packed), read_only(plain),
                                    matrix(out, out.mutable_data_ptr()), activation, parallel_for);
  TORCH_CHECK(is_done, "rows ", rows.sizes(), " for ", out.sizes(),
              " are not those of the layer's tiles");
  return out;
}

Tensor multiply(const Tensor& rows, const Tensor& packed, int64_t n_out, std::string activation) {
  const int8_t number = ops.activation_number(activation.data(), activation.size());
  TORCH_CHECK(number >= 0, "a layer's product is followed by ", ops.activation_names,
              ", and not by ", activation);
  TORCH_CHECK(rows.dim() > 0, "rows have no dimension");
  auto shape = rows.sizes().vec();
  shape.back() = n_out;
  return multiply_into(at::empty(shape, rows.options()), rows, packed, number);
}

Tensor add_product(const Tensor& x, const Tensor& rows, const Tensor& packed) {
  TORCH_CHECK(rows.dim() > 0, "rows have no dimension");
  return multiply_into(x, rows, packed, ops.add);
}

}  // namespace

extern "C" void parakeet_set_gemm_ops(GemmOps given) { ops = given; }

// Runs when the program starts, before Rust gives the functions: registering an operator does not call it.
TORCH_LIBRARY(parakeet, operators) {
  const auto on_cpu = [](auto call) { return torch::dispatch(c10::DispatchKey::CPU, call); };
  operators.def("has_tiles(Tensor weight) -> bool", &has_tiles);
  operators.def("lay_out(Tensor weight, Tensor? scale, Tensor? bias) -> Tensor", on_cpu(&lay_out));
  operators.def("multiply(Tensor rows, Tensor laid_out, int n_out, str then) -> Tensor",
                on_cpu(&multiply));
  operators.def("add_product_(Tensor(a!) x, Tensor rows, Tensor laid_out) -> Tensor(a!)",
                on_cpu(&add_product));
}
