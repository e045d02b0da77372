"""Linear layers whose weights a CPU packs once for its kernels.

On a CPU with tiles the engine's operators multiply. On other CPUs oneDNN multiplies packed weights:
float32 a quarter faster than MKL, bfloat16 a tenth faster than with weights that oneDNN reorders at
every call.
"""

from typing import Final

import torch
from torch import Tensor, nn

from exporter import gemm_ops  # noqa: F401  This module calls its operators.


class Linear(nn.Module):
    """A linear layer (n_out, n_in); a GPU multiplies its weight unpacked."""

    # False where the exporter's PyTorch has no oneDNN: such a PyTorch refuses an archive that names
    # oneDNN's operators.
    packs: Final[bool]
    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packs = torch.backends.mkldnn.is_available()
        self.n_out = weight.size(0)
        self.is_settled = False
        self.is_packed = False
        self.is_in_tiles = False
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., n_in) to (..., n_out)."""
        return self.product(x, "none")

    def relu(self, x: Tensor) -> Tensor:
        """Returns the layer's output through a ReLU: one kernel if the weight is packed."""
        return self.product(x, "relu")

    def silu(self, x: Tensor) -> Tensor:
        """Returns the layer's output times its sigmoid: one kernel on a CPU with tiles."""
        return self.product(x, "silu")

    def product(self, x: Tensor, activation: str) -> Tensor:
        """Returns the layer's output through an activation: none, relu or silu.

        Freezing inlines this method once per layer, and loading an archive takes memory for every
        branch. So the method has few branches, and no branch returns.
        """
        # Only a scripted layer packs: a packed weight can be neither cast nor saved.
        if torch.jit.is_scripting():  # noqa: SIM102  Nested `if`s compile to fewer branches.
            if self.packs:
                self.pack_for_cpu(x)
                if self.is_in_tiles:
                    out = torch.ops.parakeet.multiply(x, self.weight, self.n_out, activation)
                else:
                    out = self.product_onednn(x, activation)
                return out
        return self.plain(x, activation)

    def product_onednn(self, x: Tensor, activation: str) -> Tensor:
        """Multiplies by oneDNN if the weight is packed for it, else as any device does."""
        if self.is_packed:
            fused = "relu" if activation == "relu" else "none"
            out = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, fused, [], "")
            if activation == "silu":
                out = nn.functional.silu(out, inplace=True)
        else:
            out = self.plain(x, activation)
        return out

    def plain(self, x: Tensor, activation: str) -> Tensor:
        """Multiplies by the unpacked weight, which every device can do."""
        out = nn.functional.linear(x, self.weight, self.bias)
        if activation == "relu":
            out = out.relu_()
        if activation == "silu":
            out = nn.functional.silu(out, inplace=True)
        return out

    def add_to(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Adds the layer's output for `inputs` (N, T', n_in) to `x` (N, T', n_out), in place."""
        if x.is_cuda and self.bias is None:
            # addmm adds within the product, which saves a GPU one pass over memory. A separate
            # addition of a bias would cost more than that pass.
            n_out, n_in = self.n_out, inputs.size(-1)
            x.view(-1, n_out).addmm_(inputs.reshape(-1, n_in), self.weight.t())
            return x
        if torch.jit.is_scripting():  # noqa: SIM102  As above.
            if self.packs:
                self.pack_for_cpu(inputs)
                if self.is_in_tiles:
                    x = torch.ops.parakeet.add_product_(x, inputs, self.weight)
                else:
                    x = x.add_(self.product_onednn(inputs, "none"))
                return x
        return x.add_(self.plain(inputs, "none"))

    def pack_for_cpu(self, x: Tensor) -> None:
        """Packs the weight at the first call, if this CPU has kernels for its type."""
        # `|` and `&` in place of `or` and `and`: TorchScript compiles each `or` and `and` to a
        # branch.
        if not (self.is_settled | x.is_cuda):
            self.is_in_tiles = torch.ops.parakeet.has_tiles(self.weight)
            if self.is_in_tiles:
                self.weight = torch.ops.parakeet.lay_out(self.weight, None, self.bias)
            else:
                kind = self.weight.dtype
                self.is_packed = (kind == torch.float32) | (
                    (kind == torch.bfloat16) & torch.ops.mkldnn._is_mkldnn_bf16_supported()
                )
                if self.is_packed:
                    self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, None)
            self.is_settled = True
