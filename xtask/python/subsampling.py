"""The convolutions that make one encoder frame out of eight feature frames."""

import math
from typing import Tuple

import torch
from torch import Tensor, nn

from architecture import Encoder
from weights import Weights, constant, linear


class Subsampling(nn.Module):
    """A 3x3 convolution of stride 2, then depthwise-separable ones until the factor is reached.

    Every convolution sees zeros past an utterance's end, as at the end of a batch of one. The
    output is scaled by `scale`.
    """

    def __init__(self, sizes: Encoder, n_mels: int, scale: float, weights: Weights) -> None:
        super().__init__()
        channels, width = sizes.subsampling_channels, sizes.width
        n_halvings = int(math.log2(sizes.subsampling))
        self.first = conv(weights, "conv.0", 1, channels)
        # NeMo numbers the layers of its sequence, activations included: 2, 3, (4), 5, 6, (7).
        places = range(2, 2 + 3 * (n_halvings - 1), 3)
        self.depthwise = nn.ModuleList(
            conv(weights, f"conv.{i}", channels, channels, groups=channels) for i in places
        )
        self.pointwise = nn.ModuleList(
            pointwise(weights, f"conv.{i + 1}", channels) for i in places
        )

        n_bands = n_mels
        for _ in range(n_halvings):
            n_bands = (n_bands - 1) // 2 + 1
        out = weights.linear("out", channels * n_bands, width)
        self.out = linear(out.weight * scale, out.bias * scale)

    def forward(self, features: Tensor, n_features: Tensor) -> Tuple[Tensor, Tensor]:
        """(N, n_mels, T), zero past `n_features` (N), to (N, T', D) and each row's valid T'."""
        x = features.transpose(1, 2).unsqueeze(1)
        n_frames = halve(n_features)
        x = torch.relu(self.first(x))
        for depthwise, pointwise in zip(self.depthwise, self.pointwise):
            past_end = torch.arange(x.size(2), device=x.device) >= n_frames.unsqueeze(1)
            x = x.masked_fill(past_end[:, None, :, None], 0.0)
            x = torch.relu(pointwise(depthwise(x)))
            n_frames = halve(n_frames)
        return self.out(x.transpose(1, 2).flatten(2)), n_frames


def halve(n_frames: Tensor) -> Tensor:
    """Frames out of a convolution of kernel 3, stride 2, padding 1: half, rounded up."""
    return (n_frames + 1) // 2


def conv(weights: Weights, name: str, n_in: int, n_out: int, groups: int = 1) -> nn.Conv2d:
    """A 3x3 convolution over time and mel bands, stride 2 in both."""
    layer = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, groups=groups, device="meta")
    layer.weight = constant(weights.take(f"{name}.weight", n_out, n_in // groups, 3, 3))
    layer.bias = constant(weights.take(f"{name}.bias", n_out))
    return layer


def pointwise(weights: Weights, name: str, channels: int) -> nn.Conv2d:
    """A 1x1 convolution that mixes the channels."""
    layer = nn.Conv2d(channels, channels, 1, device="meta")
    layer.weight = constant(weights.take(f"{name}.weight", channels, channels, 1, 1))
    layer.bias = constant(weights.take(f"{name}.bias", channels))
    return layer
