"""The convolutions that make one encoder frame out of eight feature frames.

Tensors lie in memory with the channels last, the layout of the matrix products: one row of (F, C)
for each frame, with F mel bands and C channels, utterance after utterance.
"""

import math
from typing import Tuple

import torch
from torch import Tensor, nn

from exporter.architecture import Encoder
from exporter.linear import Linear
from exporter.slabs import in_slabs, past_end, slab
from exporter.weights import Weights, constant

# Rows of the first convolution that a CPU computes at a time in 16 bits: 30 s of audio, 31 MB.
N_AT_ONCE = 1536


class Subsampling(nn.Module):
    """A 3x3 convolution of stride 2, then depthwise-separable ones until the factor is reached.

    Every convolution sees zeros before an utterance's start and past its end, wherever the
    utterance lies in the batch. The output is scaled by `scale`.
    """

    def __init__(self, sizes: Encoder, n_mels: int, scale: float, weights: Weights) -> None:
        super().__init__()
        channels, width = sizes.subsampling_channels, sizes.width
        n_halvings = int(math.log2(sizes.subsampling))
        self.n_mels = n_mels
        self.channels = channels
        self.first = FirstConvolution(n_mels, channels, weights)
        # NeMo numbers the layers of its sequence with the activations: 2, 3, (4), 5, 6, (7).
        places = range(2, 2 + 3 * (n_halvings - 1), 3)
        self.depthwise = nn.ModuleList(depthwise(weights, f"conv.{i}", channels) for i in places)
        self.pointwise = nn.ModuleList(
            pointwise(weights, f"conv.{i + 1}", channels) for i in places
        )

        self.n_bands = halve(n_mels)
        n_bands = n_mels
        for _ in range(n_halvings):
            n_bands = halve(n_bands)
        out = weights.linear("out", channels * n_bands, width)
        # The checkpoint orders the inputs by channel, then band; the rows here by band, then
        # channel.
        weight = out.weight.view(width, channels, n_bands).mT.reshape(width, -1)
        self.out = Linear(weight * scale, out.bias * scale)

    def forward(
        self, features: Tensor, n_features: Tensor, n_columns: int
    ) -> Tuple[Tensor, Tensor]:
        """Returns encoder frames (N, n_columns, D), and the number of valid ones of each row (N).

        `features` is (N, n_mels, T), zero past `n_features` (N). `n_columns` is more than
        ceil(T / subsampling). Both counts lie on the host.
        """
        n = features.size(0)
        # One row of the product for every second frame: the frame before, the frame, the frame
        # after.
        n_rows = n_columns << len(self.depthwise)
        x = torch.nn.functional.pad(features.mT, [0, 0, 1, 2 * n_rows - features.size(2)])
        x = torch.cat([x[:, 0:-2:2], x[:, 1:-1:2], x[:, 2::2]], dim=2)
        x = x.view(n * n_rows, 3 * self.n_mels)
        n_bands, n_rows = self.n_bands, n * n_rows
        signal = self.signal(n_rows, n_bands, x)
        self.first(x, signal[1 : n_rows + 1].view(n_rows, n_bands * self.channels))
        n_frames = (n_features + 1) // 2
        for depthwise, pointwise in zip(self.depthwise, self.pointwise):
            # Row 0 is zero, and the rows past each utterance's end are set to zero: they separate
            # the utterances for the next convolution.
            rows = signal[1 : n_rows + 1].view(n_rows, n_bands * self.channels)
            rows.index_fill_(0, past_end(n_frames, n_rows // n, rows), 0.0)
            n_bands, n_rows = halve(n_bands), n_rows // 2
            n_frames = (n_frames + 1) // 2
            halved = self.signal(n_rows, n_bands, x)
            start = 0
            while start < n_rows:
                length = slab(n_rows - start, x)
                piece = signal[2 * start : 2 * (start + length) + 1].unsqueeze(0)
                piece = depthwise(piece.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)[0]
                end = min(start + length, n_rows)
                out = halved[start + 1 : end + 1].view(-1, self.channels)
                pointwise(piece[: end - start].reshape(-1, self.channels), out)
                start = end
            signal = halved
        return self.out(signal[1 : n_rows + 1].view(n, n_columns, -1)), n_frames

    def signal(self, n_rows: int, n_bands: int, x: Tensor) -> Tensor:
        """Allocates a row of zeros, then rows of (n_bands, C) for all slabs, uninitialised."""
        signal = x.new_empty([2 * in_slabs(n_rows // 2, x) + 1, n_bands, self.channels])
        signal[:1].zero_()
        return signal


class ProductRelu(nn.Module):
    """A linear layer and a ReLU."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.linear = Linear(weight, bias)

    def forward(self, rows: Tensor, out: Tensor) -> None:
        """Maps (N, n_in) to (N, n_out), and writes the result to `out`."""
        bias = self.linear.bias
        assert bias is not None
        if rows.is_cuda or rows.dtype == torch.float32:
            # Product, bias and ReLU are one kernel on a GPU.
            weight = self.linear.weight.t()
            torch._addmm_activation(bias, rows, weight, use_gelu=False, out=out)
        else:
            # In 16 bits the packed layer is faster, even with the copy.
            out.copy_(self.linear.relu(rows))


class FirstConvolution(nn.Module):
    """The first convolution, 3x3 over frames and mel bands of one channel, as products.

    A GPU computes one product, from three frames (3 n_mels) to all bands and channels of one frame.
    Seven of eight weights are 0, but a convolution of a single channel could not fill a matrix
    unit. A CPU computes several products in float32, each of the few mel bands that a few output
    bands depend on. A ReLU follows.
    """

    def __init__(self, n_mels: int, channels: int, weights: Weights) -> None:
        super().__init__()
        kernel = weights.take("conv.0.weight", channels, 1, 3, 3)
        bias = weights.take("conv.0.bias", channels)
        n_bands = halve(n_mels)
        matrix = torch.zeros(n_bands, channels, 3, n_mels)
        for band in range(n_bands):
            for tap in range(3):
                source = 2 * band - 1 + tap
                if 0 <= source < n_mels:
                    matrix[band, :, :, source] = kernel[:, 0, :, tap]
        self.n_mels = n_mels
        self.n_at_once = N_AT_ONCE
        weight = matrix.view(n_bands * channels, 3 * n_mels)
        self.whole = ProductRelu(weight, bias.repeat(n_bands))
        self.parts = nn.ModuleList(
            FewBands(matrix, bias, band) for band in range(0, n_bands, FewBands.N_BANDS)
        )

    def forward(self, rows: Tensor, out: Tensor) -> None:
        """Maps (N, 3 n_mels) to (N, bands C), and writes the result to `out`."""
        if rows.is_cuda:
            self.whole(rows, out)
        elif rows.dtype == torch.float32:
            frames = rows.view(-1, 3, self.n_mels)
            for part in self.parts:
                part(frames, out)
        else:
            # Block by block: the result is copied into `out`, and takes memory twice until then.
            for few, into in zip(rows.split(self.n_at_once), out.split(self.n_at_once)):
                self.whole(few, into)


class FewBands(nn.Module):
    """`N_BANDS` output bands of the first convolution, from `band` on."""

    N_BANDS = 2

    def __init__(self, matrix: Tensor, bias: Tensor, band: int) -> None:
        super().__init__()
        rows = matrix[band : band + self.N_BANDS]
        n_bands, channels, _, n_mels = rows.shape
        self.mels_from, self.mels_to = max(2 * band - 1, 0), min(2 * (band + n_bands), n_mels)
        self.out_from, self.out_to = band * channels, (band + n_bands) * channels
        rows = rows[:, :, :, self.mels_from : self.mels_to].reshape(n_bands * channels, -1)
        self.product = ProductRelu(rows, bias.repeat(n_bands))
        # This product runs in float32 alone and is never packed. Without `packs` the archive omits
        # the branches for packed weights.
        self.product.linear.packs = False

    def forward(self, frames: Tensor, out: Tensor) -> None:
        """Maps (N, 3, n_mels) to these bands' columns of `out` (N, bands C)."""
        seen = frames[:, :, self.mels_from : self.mels_to].flatten(1)
        self.product(seen, out[:, self.out_from : self.out_to])


def halve(n: int) -> int:
    """Returns the output length of a convolution of kernel 3, stride 2, padding 1."""
    return (n + 1) // 2


def depthwise(weights: Weights, name: str, channels: int) -> nn.Conv2d:
    """Builds a depthwise 3x3 convolution over frames and mel bands, of stride 2 in both.

    The convolution pads the bands with zeros. It does not pad the frames: its input holds the
    zeros.
    """
    layer = nn.Conv2d(
        channels, channels, 3, stride=2, padding=(0, 1), groups=channels, device="meta"
    )
    layer.weight = constant(weights.take(f"{name}.weight", channels, 1, 3, 3))
    layer.bias = constant(weights.take(f"{name}.bias", channels))
    return layer


def pointwise(weights: Weights, name: str, channels: int) -> ProductRelu:
    """Builds a 1x1 convolution over channels as a linear layer with a ReLU."""
    weight = weights.take(f"{name}.weight", channels, channels, 1, 1)
    return ProductRelu(weight.view(channels, channels), weights.take(f"{name}.bias", channels))
