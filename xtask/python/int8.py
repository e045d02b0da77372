"""Linear layers of 8-bit weights and activations, for CPUs that multiply bytes (AVX-512 VNNI).

Weights have a scale per output, activations a scale per row that is measured as they come: a row
never depends on another, so that neither a neighbour nor padding changes it. (torch's own dynamic
quantisation has one scale for a whole tensor.)
"""

import torch
from torch import Tensor, nn

from linear import Linear

# A row of zeros has a scale, too.
SMALLEST = 1e-30


def quantised(layers: nn.Module) -> dict[str, "Int8Linear"]:
    """An 8-bit twin of every linear layer inside, by name."""
    return {
        name: Int8Linear(layer)
        for name, layer in layers.named_modules()
        if isinstance(layer, Linear)
    }


class Int8Linear(nn.Module):
    """A linear layer whose product is one of bytes; it takes and gives any type of float."""

    weight: Tensor
    scale: Tensor
    bias: Tensor
    zero_points: Tensor

    def __init__(self, layer: Linear) -> None:
        super().__init__()
        scale = layer.weight.abs().amax(dim=1).clamp(min=SMALLEST) / 127.0
        weight = (layer.weight / scale.unsqueeze(1)).round()
        self.register_buffer("weight", weight.to(torch.int8))
        self.register_buffer("scale", scale)
        bias = torch.zeros_like(scale) if layer.bias is None else layer.bias.detach().clone()
        self.register_buffer("bias", bias)
        self.register_buffer("zero_points", torch.zeros(scale.size(0), dtype=torch.int32))
        self.smallest = SMALLEST
        self.is_packed = False

    def add_to(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Adds the layer's output for `inputs` (N, T', n_in) to `x` (N, T', n_out), in place."""
        return x.add_(self.forward(inputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T', n_in) to (N, T', n_out), in the type of `x`."""
        if not self.is_packed:
            # An archive cannot hold the layout that the product wants, so the first call makes it.
            self.weight = torch.ops.onednn.qlinear_prepack(self.weight, None)
            self.is_packed = True
        n, t, n_in = x.shape
        rows = x.reshape(n * t, n_in)
        largest = rows.abs().amax(dim=1, keepdim=True).to(torch.float32)
        row_scale = largest.clamp(min=self.smallest) / 127.0
        # Bytes from 1 to 255, where 128 stands for 0.
        rows = (rows / row_scale).round_().add_(128.0).to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(
            rows, 1.0, 128, self.weight, self.scale, self.zero_points, None,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.addcmul(self.bias, product, row_scale).to(x.dtype).view(n, t, -1)
