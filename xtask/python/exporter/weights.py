"""The sources of a module's tensors: a checkpoint, or random numbers.

A module is built from a `Weights`. The module takes each tensor by the name that NeMo gives it,
with the shape that the module expects. So a missing, misshapen or unused tensor is found and named.
Random and trained models are built by the same code.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from exporter.errors import ExportError
from exporter.linear import Linear


class Weights(ABC):
    """Tensors by name, under a prefix; `take` returns float32."""

    def __init__(self, source: str, prefix: str) -> None:
        self.source = source
        self.prefix = prefix

    @abstractmethod
    def take(self, name: str, *shape: int) -> Tensor:
        """Returns the tensor of this name, which must have `shape`. A tensor can be taken once."""

    def table(self, name: str, computed: Tensor) -> Tensor:
        """Returns a fixed table: that of a checkpoint, else `computed`."""
        return computed

    def refusal(self, name: str, reason: str) -> ExportError:
        """Returns the error for a tensor that cannot be used."""
        return ExportError(f"{self.source}: {self.prefix}{name} {reason}")

    @abstractmethod
    def refuse_unused(self) -> None:
        """Refuses a source that has tensors which no module took."""

    @abstractmethod
    def scope(self, prefix: str) -> "Weights":
        """Returns the same source with `prefix` before every name."""

    def linear(self, name: str, n_in: int, n_out: int, bias: bool = True) -> Linear:
        """Builds a linear layer of the encoder."""
        weight = self.take(f"{name}.weight", n_out, n_in)
        return Linear(weight, self.take(f"{name}.bias", n_out) if bias else None)

    def plain_linear(self, name: str, n_in: int, n_out: int) -> nn.Linear:
        """Builds a linear layer of predictor or joint, with a bias."""
        weight = self.take(f"{name}.weight", n_out, n_in)
        return plain(weight, self.take(f"{name}.bias", n_out))

    def conv1x1(self, name: str, n_in: int, n_out: int, bias: bool = True) -> Linear:
        """Builds a convolution of kernel 1 over time as a linear layer."""
        weight = self.take(f"{name}.weight", n_out, n_in, 1).squeeze(2)
        return Linear(weight, self.take(f"{name}.bias", n_out) if bias else None)

    def layer_norm(self, name: str, width: int, eps: float) -> nn.LayerNorm:
        """Builds a layer norm over the last dimension."""
        norm = nn.LayerNorm(width, eps=eps, device="meta")
        norm.weight = constant(self.take(f"{name}.weight", width))
        norm.bias = constant(self.take(f"{name}.bias", width))
        return norm


class CheckpointWeights(Weights):
    """A checkpoint's state dict. `take` removes a tensor, so that unused tensors can be named."""

    def __init__(self, tensors: dict[str, Tensor], source: str, prefix: str = "") -> None:
        super().__init__(source, prefix)
        self.tensors = tensors

    def take(self, name: str, *shape: int) -> Tensor:
        tensor = self.tensors.pop(self.prefix + name, None)
        if tensor is None:
            raise ExportError(f"{self.source} has no tensor {self.prefix}{name}")
        if tuple(tensor.shape) != shape:
            reason = f"has shape {list(tensor.shape)}, expected {list(shape)}"
            raise self.refusal(name, reason)
        # Checkpoints may store float16, and every export starts from float32. The copy releases the
        # file, which a memory-mapped tensor keeps open.
        tensor = tensor.to(torch.float32, copy=True)
        if not tensor.isfinite().all():
            raise self.refusal(name, "holds numbers that are not finite")
        return tensor

    def table(self, name: str, computed: Tensor) -> Tensor:
        return self.take(name, *computed.shape)

    def refuse_unused(self) -> None:
        # Batch norm counts its training steps in num_batches_tracked, which inference does not use.
        rest = [name for name in self.tensors if not name.endswith("num_batches_tracked")]
        if rest:
            raise ExportError(
                f"{self.source} holds {len(rest)} tensors that this exporter knows no place for, "
                f"{rest[0]} among them"
            )

    def scope(self, prefix: str) -> "CheckpointWeights":
        return CheckpointWeights(self.tensors, self.source, self.prefix + prefix)


class RandomWeights(Weights):
    """Random numbers that keep activations near unit size; the same for the same generator.

    Norms are near identity, biases small, and matrices scaled by their fan-in. Random attention
    averages all frames. Its output is scaled down, or all frames would be alike after some layers.
    """

    def __init__(self, generator: torch.Generator, prefix: str = "") -> None:
        super().__init__("random weights", prefix)
        self.generator = generator

    def take(self, name: str, *shape: int) -> Tensor:
        noise = torch.rand(shape, generator=self.generator) * 2.0 - 1.0
        if name.endswith("running_var"):
            return 1.0 + 0.5 * noise
        if name.endswith("weight") and len(shape) == 1:
            return 1.0 + 0.1 * noise
        if len(shape) == 1 or "pos_bias" in name:
            return 0.1 * noise
        if name.endswith("embed.weight"):
            # The last row is blank's, which stands for the start of sequence and is zero.
            noise[-1] = 0.0
            return noise
        fan_in = math.prod(shape[1:])
        share = 0.3 if name.endswith("linear_out.weight") else 1.0
        return share * noise * math.sqrt(3.0 / fan_in)

    def refuse_unused(self) -> None:
        """Does nothing: a random source has no unused tensors."""

    def scope(self, prefix: str) -> "RandomWeights":
        return RandomWeights(self.generator, self.prefix + prefix)


def plain(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Builds a linear layer whose weight is never packed."""
    n_out, n_in = weight.shape
    layer = nn.Linear(n_in, n_out, bias=bias is not None, device="meta")
    layer.weight = constant(weight)
    if bias is not None:
        layer.bias = constant(bias)
    return layer


def constant(tensor: Tensor) -> nn.Parameter:
    """Returns a parameter that takes no gradient."""
    return nn.Parameter(tensor, requires_grad=False)
