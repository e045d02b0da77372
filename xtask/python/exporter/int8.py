"""Linear layers of 8-bit weights and activations, for CPUs.

Weights have one scale per output, fixed at export. Activations have one scale per row, measured at
every call: a row's result depends on that row alone, so neither a neighbour in the batch nor
padding changes it. (torch's own dynamic quantisation has one scale for a whole tensor.)

On a CPU with tiles, the engine's operators quantise, multiply and scale back in one pass. On other
CPUs oneDNN multiplies. CPUs with VNNI sum products of bytes in 32 bits. CPUs with AVX2 or AVX-512
alone add pairs of products in 16 bits, and saturate. On those CPUs weights are rounded to 7 bits,
so that no pair saturates.
"""

import torch
from torch import Tensor, nn

from exporter import gemm_ops  # noqa: F401  This module calls its operators.
from exporter.linear import Linear

# The least scale: a row of zeros must not divide by zero.
SMALLEST = 1e-30
LARGEST_WEIGHT = 127.0
# Two products with the largest activation are at most 2 * 255 * 64 = 32640, and 16 bits hold 32767.
LARGEST_WEIGHT_IN_PAIRS = 64.0


def quantised(layers: nn.Module) -> dict[str, "Int8Linear"]:
    """Returns an 8-bit layer for every linear layer inside `layers`, by its name."""
    return {
        name: Int8Linear(layer)
        for name, layer in layers.named_modules()
        if isinstance(layer, Linear)
    }


class Int8Linear(nn.Module):
    """A linear layer that multiplies bytes; its input and output are float32 or bfloat16."""

    weight: Tensor
    scale: Tensor
    bias: Tensor
    zero_points: Tensor

    def __init__(self, layer: Linear) -> None:
        super().__init__()
        scale = layer.weight.abs().amax(dim=1).clamp(min=SMALLEST) / LARGEST_WEIGHT
        weight = (layer.weight / scale.unsqueeze(1)).round()
        self.register_buffer("weight", weight.to(torch.int8))
        self.register_buffer("scale", scale)
        bias = torch.zeros_like(scale) if layer.bias is None else layer.bias.detach().clone()
        self.register_buffer("bias", bias)
        self.register_buffer("zero_points", torch.zeros(scale.size(0), dtype=torch.int32))
        self.smallest = SMALLEST
        self.in_pairs = LARGEST_WEIGHT_IN_PAIRS / LARGEST_WEIGHT
        self.n_out = scale.size(0)
        self.is_packed = False
        self.is_in_tiles = False

    def add_to(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Adds the layer's output for `inputs` (N, T', n_in) to `x` (N, T', n_out), in place."""
        if self.pack_for_cpu():
            return torch.ops.parakeet.add_product_(x, inputs, self.weight)
        return x.add_(self.multiply_onednn(inputs))

    def silu(self, x: Tensor) -> Tensor:
        """Returns the layer's output times its sigmoid."""
        if self.pack_for_cpu():
            return torch.ops.parakeet.multiply(x, self.weight, self.n_out, "silu")
        return nn.functional.silu(self.multiply_onednn(x), inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, T', n_in) to (N, T', n_out), in the type of `x`."""
        if self.pack_for_cpu():
            return torch.ops.parakeet.multiply(x, self.weight, self.n_out, "none")
        return self.multiply_onednn(x)

    def multiply_onednn(self, x: Tensor) -> Tensor:
        """Returns the layer's output; oneDNN multiplies."""
        n, t, n_in = x.shape
        rows = x.reshape(n * t, n_in)
        largest = rows.abs().amax(dim=1, keepdim=True).to(torch.float32)
        # Rounded to the type of `x`: the same scale must divide before the product and multiply
        # after.
        row_scale = (largest.clamp(min=self.smallest) / 127.0).to(x.dtype)
        rows = (rows.to(torch.float32) / row_scale).round_()
        # oneDNN takes unsigned bytes, where 128 stands for 0. Casting to signed bytes and flipping
        # the top bit is twice as fast as casting to unsigned bytes.
        rows = rows.to(torch.int8).to(torch.uint8).bitwise_xor_(128)
        product = byte_product(rows, self.weight, self.scale, self.zero_points, x.dtype)
        return torch.addcmul(self.bias.to(x.dtype), product, row_scale).view(n, t, -1)

    def pack_for_cpu(self) -> bool:
        """Packs the weights for this CPU at the first call; returns whether the CPU has tiles."""
        if not self.is_packed:
            self.is_in_tiles = torch.ops.parakeet.has_tiles(self.weight)
            if self.is_in_tiles:
                self.weight = torch.ops.parakeet.lay_out(self.weight, self.scale, self.bias)
            else:
                self.pack_for_onednn()
            self.is_packed = True
        return self.is_in_tiles

    def pack_for_onednn(self) -> None:
        """Packs the weights for oneDNN. An archive cannot hold packed weights."""
        if adds_in_pairs(self.weight):
            # In blocks: large temporary tensors would fragment the allocator's memory.
            for rows in self.weight.split(64):
                rows.copy_((rows * self.in_pairs).round_())
            self.scale = self.scale / self.in_pairs
        self.weight = torch.ops.onednn.qlinear_prepack(self.weight, None)


def adds_in_pairs(any_tensor: Tensor) -> bool:
    """Whether this CPU saturates the sum of two products of bytes at 16 bits."""
    n, k = 16, 64
    # Built from a tensor that changes: freezing folds constants, and would store the answer of the
    # exporter's CPU in the archive.
    rows = any_tensor.new_full([n, k], 255, dtype=torch.uint8)
    weight = any_tensor.new_full([n, k], 127, dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weight, None)
    scale, zero_points = torch.ones([n]), torch.zeros([n], dtype=torch.int32)
    product = byte_product(rows, packed, scale, zero_points, torch.float32)
    return bool((product != float(k * 127 * (255 - 128))).any())


def byte_product(
    rows: Tensor, weight: Tensor, scale: Tensor, zero_points: Tensor, out_type: torch.dtype
) -> Tensor:
    """Multiplies bytes (N, n_in), where 128 stands for 0, by packed weights: (N, n_out)."""
    return torch.ops.onednn.qlinear_pointwise(
        rows, 1.0, 128, weight, scale, zero_points, None, 1.0, 0, out_type, "none", [], ""
    )
