"""Linear layers whose weights a CPU lays out once for its kernels.

Where a CPU has tiles, the engine multiplies on them. Else oneDNN multiplies float32 a quarter faster
than MKL and bfloat16 a tenth faster when it need not reorder the weights at every call.
"""

from typing import Final

import torch
from torch import Tensor, nn

from exporter import gemm_ops  # noqa: F401  Its operators are named below.


class Linear(nn.Module):
    """A linear layer (n_out, n_in); a GPU runs it as any other."""

    # Where the exporter's PyTorch has no oneDNN, an archive that names its kernels cannot be read.
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
        """(..., n_in) to (..., n_out)."""
        return self.product(x, "none")

    def relu(self, x: Tensor) -> Tensor:
        """The layer's output, and 0 for what is not positive: one kernel where it is packed."""
        return self.product(x, "relu")

    def silu(self, x: Tensor) -> Tensor:
        """The layer's output times its sigmoid: one kernel on tiles."""
        return self.product(x, "silu")

    def product(self, x: Tensor, activation: str) -> Tensor:
        """The layer's output through an activation: none, relu or silu.

        Each of its branches is in an archive as often as there are layers, and reading it takes
        memory for each: they are few, and none returns.
        """
        # Out of an archive only: a packed weight can be neither cast nor saved.
        if torch.jit.is_scripting():  # noqa: SIM102  TorchScript compiles no more than it must.
            if self.packs:
                self.settle(x)
                if self.is_in_tiles:
                    out = torch.ops.parakeet.multiply(x, self.weight, self.n_out, activation)
                else:
                    out = self.product_elsewhere(x, activation)
                return out
        return self.plain(x, activation)

    def product_elsewhere(self, x: Tensor, activation: str) -> Tensor:
        """The product by oneDNN, if it has packed the weights."""
        if self.is_packed:
            fused = "relu" if activation == "relu" else "none"
            out = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, fused, [], "")
            if activation == "silu":
                out = nn.functional.silu(out, inplace=True)
        else:
            out = self.plain(x, activation)
        return out

    def plain(self, x: Tensor, activation: str) -> Tensor:
        """The product of a weight as it is, which any device multiplies."""
        out = nn.functional.linear(x, self.weight, self.bias)
        if activation == "relu":
            out = out.relu_()
        if activation == "silu":
            out = nn.functional.silu(out, inplace=True)
        return out

    def add_to(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Adds the layer's output for `inputs` (N, T', n_in) to `x` (N, T', n_out), in place."""
        if x.is_cuda and self.bias is None:
            # In the product's own sum: a GPU passes over memory once less. A bias beside it would
            # cost more than that saves.
            n_out, n_in = self.n_out, inputs.size(-1)
            x.view(-1, n_out).addmm_(inputs.reshape(-1, n_in), self.weight.t())
            return x
        if torch.jit.is_scripting():  # noqa: SIM102  As above.
            if self.packs:
                self.settle(inputs)
                if self.is_in_tiles:
                    x = torch.ops.parakeet.add_product_(x, inputs, self.weight)
                else:
                    x = x.add_(self.product_elsewhere(inputs, "none"))
                return x
        return x.add_(self.plain(inputs, "none"))

    def settle(self, x: Tensor) -> None:
        """Lays the weights out at the first call, if this CPU has kernels for their type."""
        # No `and` and no `or`: each is a branch of its own.
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
