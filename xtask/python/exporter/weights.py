"""Where a module's tensors come from: a checkpoint's names, or random numbers under those names.

Modules are built from a `Weights`: each asks for the tensors it needs by the names that NeMo gives
them, with the shapes it expects. So a missing, misshapen or left-over tensor is found and named,
and a random model takes the same way as a trained one.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from exporter.errors import ExportError
from exporter.linear import Linear


class Weights(ABC):
    """Tensors by name, under a prefix, always float32."""

    def __init__(self, source: str, prefix: str) -> None:
        self.source = source
        self.prefix = prefix

    @abstractmethod
    def take(self, name: str, *shape: int) -> Tensor:
        """Returns the tensor of this name; it must have `shape`. Each can be taken once."""

    def table(self, name: str, computed: Tensor) -> Tensor:
        """A fixed table: the source's own where it carries one, else `computed`."""
        return computed

    def refusal(self, name: str, reason: str) -> ExportError:
        """The error for a tensor that cannot be used."""
        return ExportError(f"{self.source}: {self.prefix}{name} {reason}")

    @abstractmethod
    def refuse_rest(self) -> None:
        """Refuses a source with a tensor that no module asked for."""

    @abstractmethod
    def scope(self, prefix: str) -> "Weights":
        """The same source with `prefix` put before every name."""

    def linear(self, name: str, n_in: int, n_out: int, bias: bool = True) -> Linear:
        """A linear layer of the encoder."""
        weight = self.take(f"{name}.weight", n_out, n_in)
        return Linear(weight, self.take(f"{name}.bias", n_out) if bias else None)

    def plain_linear(self, name: str, n_in: int, n_out: int) -> nn.Linear:
        """A linear layer of predictor or joint, with a bias."""
        weight = self.take(f"{name}.weight", n_out, n_in)
        return plain(weight, self.take(f"{name}.bias", n_out))

    def conv1x1(self, name: str, n_in: int, n_out: int, bias: bool = True) -> Linear:
        """A convolution over time of kernel 1, as the linear layer that it is."""
        weight = self.take(f"{name}.weight", n_out, n_in, 1).squeeze(2)
        return Linear(weight, self.take(f"{name}.bias", n_out) if bias else None)

    def layer_norm(self, name: str, width: int, eps: float) -> nn.LayerNorm:
        """A layer norm over the last dimension."""
        norm = nn.LayerNorm(width, eps=eps, device="meta")
        norm.weight = constant(self.take(f"{name}.weight", width))
        norm.bias = constant(self.take(f"{name}.bias", width))
        return norm


class CheckpointWeights(Weights):
    """A checkpoint's state dict. What is taken leaves it, so that the rest can be named."""

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
        # Checkpoints may store float16; every export starts from float32. The copy lets go of
        # the file that a memory-mapped tensor would keep open.
        tensor = tensor.to(torch.float32, copy=True)
        if not tensor.isfinite().all():
            raise self.refusal(name, "holds numbers that are not finite")
        return tensor

    def table(self, name: str, computed: Tensor) -> Tensor:
        return self.take(name, *computed.shape)

    def refuse_rest(self) -> None:
        # Batch norm counts its training steps.
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

    Norms are near identity, biases small, matrices scaled by their fan-in. Random attention is an
    average over all frames: it is added in part, or after some layers all frames would be alike.
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
            # The last row is blank's, which stands for the start.
            noise[-1] = 0.0
            return noise
        fan_in = math.prod(shape[1:])
        share = 0.3 if name.endswith("linear_out.weight") else 1.0
        return share * noise * math.sqrt(3.0 / fan_in)

    def refuse_rest(self) -> None:
        """There are always as many random numbers as were asked for."""

    def scope(self, prefix: str) -> "RandomWeights":
        return RandomWeights(self.generator, self.prefix + prefix)


def plain(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer that no device packs."""
    n_out, n_in = weight.shape
    layer = nn.Linear(n_in, n_out, bias=bias is not None, device="meta")
    layer.weight = constant(weight)
    if bias is not None:
        layer.bias = constant(bias)
    return layer


def constant(tensor: Tensor) -> nn.Parameter:
    """A parameter that takes no gradient."""
    return nn.Parameter(tensor, requires_grad=False)
