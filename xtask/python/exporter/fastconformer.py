"""The FastConformer encoder: log-mel to encoder frames; padding changes no valid frame.

Rekesh et al. 2023, "Fast Conformer with Linearly Scalable Attention". The modules serve inference
alone. Factors that can be folded into a weight are folded when the module is built: the input
scale, the half of the feed-forward residuals, batch norm, the position biases and the attention
scale. The projected positions are a table.

The residual stream, which runs from layer to layer, is kept at `STREAM_SCALE` of its size: float16
ends at 65504, and the input scale alone is sqrt(width). Every block that adds to the stream has the
scale in its last weights, and the norms that read the stream undo the scale. A power of two rounds
nothing: float32 gives the same bits with every power of two.
"""

import math
from typing import Tuple

import torch
from torch import Tensor, nn

from exporter.architecture import Encoder
from exporter.linear import Linear
from exporter.slabs import in_slabs, past_end, slab
from exporter.subsampling import Subsampling
from exporter.weights import Weights, constant

STREAM_SCALE = 2.0**-6
LAYER_NORM_EPS = 1e-5
# The variance of the scaled stream is smaller by the square of the scale, so its epsilon is too.
STREAM_EPS = LAYER_NORM_EPS * STREAM_SCALE**2


class FastConformer(nn.Module):
    """Subsampling, then `n_layers` conformer layers."""

    def __init__(self, sizes: Encoder, n_mels: int, max_frames: int, weights: Weights) -> None:
        super().__init__()
        input_scale = math.sqrt(sizes.width) if sizes.scale_input else 1.0
        self.subsampling = Subsampling(
            sizes, n_mels, input_scale * STREAM_SCALE, weights.scope("pre_encode.")
        )
        self.subsampling_factor = sizes.subsampling
        self.halo = sizes.conv_kernel // 2
        positions = sinusoids(sizes.width, self.n_columns(max_frames))
        self.layers = nn.ModuleList(
            ConformerLayer(sizes, positions, weights.scope(f"layers.{i}."))
            for i in range(sizes.n_layers)
        )
        # The last norm undoes the stream's scale: the encoder's output has its true size.
        scale_norm(self.layers[-1].norm, 1.0 / STREAM_SCALE)
        self.max_frames = max_frames

    def forward(self, features: Tensor, n_features: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns encoder frames (N, T', D), and the number of valid frames of each row, int64 (N).

        `features` is (N, n_mels, T), zero past the `n_features` (N) valid frames of each row. Both
        counts lie on the host. T' = ceil(T / subsampling). Frames past the valid ones hold
        arbitrary finite numbers.
        """
        t = (features.size(2) + self.subsampling_factor - 1) // self.subsampling_factor
        if t > self.max_frames:
            raise ValueError("the input is longer than max_samples of the bundle's manifest")
        n_columns = self.n_columns(t)
        x, n_frames = self.subsampling(features, n_features, n_columns)
        n_keys = max(int(n_frames.max()), 1)
        key_mask: Tensor | None = None
        # Utterances of one length need no mask, and without a mask attention is faster.
        if int(n_frames.min()) < n_keys:
            n_keys = n_columns
            # A row without valid frames attends to its first frame. Where every key is -inf, some
            # attention kernels give zeros and others NaN.
            n_seen = n_frames.clamp(min=1)
            columns = torch.arange(int(n_seen.min()), n_keys)
            unseen = columns >= n_seen.unsqueeze(1)
            key_mask = torch.zeros(unseen.shape).masked_fill(unseen, -math.inf)[:, None, None, :]
            key_mask = key_mask.to(x.device, x.dtype, non_blocking=True)
        rows_past_end = past_end(n_frames, n_columns, x)
        n_rows = in_slabs(x.size(0) * n_columns, x) + 2 * self.halo
        signal = x.new_zeros([n_rows, x.size(2)])
        for layer in self.layers:
            x = layer(x, n_keys, key_mask, rows_past_end, signal)
        return x[:, :t], n_frames

    def n_columns(self, n_frames: int) -> int:
        """Returns in how many columns `n_frames` are computed.

        The columns after an utterance's end are zeros and separate it from the next utterance: a
        convolution never sees both. Matrix units work on multiples of 8.
        """
        return round_up(n_frames + max(self.halo, 1))


class ConformerLayer(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, layer norm."""

    def __init__(self, sizes: Encoder, positions: Tensor, weights: Weights) -> None:
        super().__init__()
        self.feed_forward_in = FeedForward(sizes, weights, "1")
        self.attention = RelativeAttention(sizes, positions, weights)
        self.convolution = Convolution(sizes, weights)
        self.feed_forward_out = FeedForward(sizes, weights, "2")
        self.norm = weights.layer_norm("norm_out", sizes.width, STREAM_EPS)
        scale_norm(self.norm, STREAM_SCALE)

    def forward(
        self,
        x: Tensor,
        n_keys: int,
        key_mask: Tensor | None,
        rows_past_end: Tensor,
        signal: Tensor,
    ) -> Tensor:
        """Maps (N, T', D) to (N, T', D) and changes `x`.

        The other arguments separate valid frames from padding: `RelativeAttention.forward` and
        `Convolution.forward` say how.
        """
        x = self.feed_forward_in(x)
        x = self.attention(x, n_keys, key_mask)
        x = self.convolution(x, rows_past_end, signal)
        x = self.feed_forward_out(x)
        return self.norm(x)


class FeedForward(nn.Module):
    """Layer norm, linear, SiLU, linear; the second linear holds the residual's factor of a half."""

    def __init__(self, sizes: Encoder, weights: Weights, which: str) -> None:
        super().__init__()
        width, hidden, bias = sizes.width, sizes.feed_forward_width, sizes.bias
        self.norm = weights.layer_norm(f"norm_feed_forward{which}", width, STREAM_EPS)
        self.expand = weights.linear(f"feed_forward{which}.linear1", width, hidden, bias)
        contract = weights.linear(f"feed_forward{which}.linear2", hidden, width, bias)
        self.contract = scaled(contract, 0.5 * STREAM_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """Adds to `x` (N, T', D), in place."""
        return self.contract.add_to(x, self.expand.silu(self.norm(x)))


class RelativeAttention(nn.Module):
    """Self-attention over the whole utterance with relative positions.

    Dai et al. 2019, "Transformer-XL", section 3.3: the score of query i and key j is
    ((q_i + u) k_j + (q_i + v) r_(i-j)) / sqrt(d), where r is the projected position.
    """

    position_bias: Tensor
    positions: Tensor

    def __init__(self, sizes: Encoder, positions: Tensor, weights: Weights) -> None:
        super().__init__()
        width, heads = sizes.width, sizes.n_heads
        head_width = width // heads
        self.n_heads = heads
        self.head_width = head_width
        self.max_frames = (positions.size(0) + 1) // 2
        self.norm = weights.layer_norm("norm_self_att", width, STREAM_EPS)
        source = weights.scope("self_attn.")
        content_bias = source.take("pos_bias_u", heads, head_width)
        position_bias = source.take("pos_bias_v", heads, head_width)

        parts = [source.linear(f"linear_{part}", width, width, sizes.bias) for part in "qkv"]
        weight = torch.cat([part.weight for part in parts])
        bias = torch.cat([part.bias if sizes.bias else torch.zeros(width) for part in parts])
        # The product gives q + u, since its bias holds u; q + v then takes one addition of v - u.
        bias[:width] += content_bias.flatten()
        self.query_key_value = Linear(weight, bias)
        self.position_bias = constant(position_bias - content_bias)
        self.out = scaled(source.linear("linear_out", width, width, sizes.bias), STREAM_SCALE)

        # (H, 2 max_frames + some, d): r for every distance, divided by sqrt(d) as attention divides
        # the product of q and k.
        table = positions @ source.take("linear_pos.weight", width, width).T
        table = table.view(-1, heads, head_width).transpose(0, 1) / math.sqrt(head_width)
        n_rows = self.max_frames + round_up(self.max_frames)
        table = nn.functional.pad(table, [0, 0, 0, n_rows - table.size(1)])
        self.positions = constant(table.contiguous())

    def forward(self, x: Tensor, n_keys: int, key_mask: Tensor | None) -> Tensor:
        """Adds to `x` (N, T', D), in place.

        Queries attend to the first `n_keys` keys. `key_mask` (N, 1, 1, some) covers the last of
        these keys: 0 keeps a key, -inf hides it.
        """
        n, t, width = x.shape
        h, d = self.n_heads, self.head_width
        qkv = self.query_key_value(self.norm(x)).view(n * t, 3, h, d)
        query_v = (qkv[:, 0] + self.position_bias).transpose(0, 1)

        # One product per head scores all utterances: (H, N T', d) x (H, d, 2 T' - 1). Distance
        # T' - 1 comes first, so a shorter input takes the middle of the table. The product's rows
        # are rounded up to a multiple of 8, which matrix units need.
        row = round_up(2 * t - 1)
        distances = self.positions[:, self.max_frames - t : self.max_frames - t + row]
        if x.dtype != torch.float32 and not x.is_cuda:
            # oneDNN would copy a strided operand transposed, which takes longer than this copy.
            distances = distances.contiguous()
        by_distance = torch.bmm(query_v, distances.transpose(1, 2))
        # Query i needs the distances i - j, which begin T' - 1 - i columns into row i. Strides of
        # `row - 1` express that shift, so the scores by key are a view and not a copy.
        by_key = by_distance.as_strided(
            [n, h, t, n_keys], [t * row, n * t * row, row - 1, 1], t - 1
        )
        if key_mask is not None:
            # No two elements of the view share memory, so adding in place is safe.
            by_key[:, :, :, n_keys - key_mask.size(3) :].add_(key_mask)

        query, key, value = qkv.view(n, t, 3, h, d).permute(2, 0, 3, 1, 4).unbind(0)
        attended = torch.nn.functional.scaled_dot_product_attention(
            query, key[:, :, :n_keys], value[:, :, :n_keys], attn_mask=by_key
        )
        return self.out.add_to(x, attended.transpose(1, 2).reshape(n, t, width))


class Convolution(nn.Module):
    """Layer norm, pointwise, GLU, depthwise over time, a norm, SiLU, pointwise.

    A batch norm between the depthwise convolution and SiLU is folded into the convolution.
    """

    def __init__(self, sizes: Encoder, weights: Weights) -> None:
        super().__init__()
        width, kernel, bias = sizes.width, sizes.conv_kernel, sizes.bias
        self.norm = weights.layer_norm("norm_conv", width, STREAM_EPS)
        source = weights.scope("conv.")
        self.expand = source.conv1x1("pointwise_conv1", width, 2 * width, bias)
        contract = source.conv1x1("pointwise_conv2", width, width, bias)
        self.contract = scaled(contract, STREAM_SCALE)

        weight = source.take("depthwise_conv.weight", width, 1, kernel)
        offset = source.take("depthwise_conv.bias", width) if bias else torch.zeros(width)
        # NeMo names the norm batch_norm, whether it is a batch norm or a layer norm.
        if sizes.conv_norm == "batch_norm":
            deviation = (source.take("batch_norm.running_var", width) + 1e-5).sqrt()
            gain = source.take("batch_norm.weight", width) / deviation
            offset = (offset - source.take("batch_norm.running_mean", width)) * gain
            offset += source.take("batch_norm.bias", width)
            weight = weight * gain[:, None, None]
            self.norm_between = nn.Identity()
        else:
            self.norm_between = source.layer_norm("batch_norm", width, LAYER_NORM_EPS)
        # A convolution of two dimensions, the first of size 1: PyTorch has a channels-last layout
        # for two dimensions and none for one.
        self.depthwise = nn.Conv2d(width, width, (1, kernel), groups=width, device="meta")
        self.depthwise.weight = constant(weight.unsqueeze(2))
        self.depthwise.bias = constant(offset)
        self.halo = kernel // 2

    def forward(self, x: Tensor, rows_past_end: Tensor, signal: Tensor) -> Tensor:
        """Adds to `x` (N, T', D), in place.

        The N T' rows of all utterances lie one after the other. The rows `rows_past_end` are set to
        zero, so that the depthwise kernel never mixes two utterances. `signal` is a buffer that
        holds kernel / 2 rows of zeros, the N T' rows, and at least kernel / 2 rows of zeros; see
        `slabs`.
        """
        n, t, width = x.shape
        rows = signal[self.halo : self.halo + n * t]
        expanded = self.expand(self.norm(x)).view(n * t, 2 * width)
        torch.ops.aten.glu(expanded, 1, out=rows)
        rows.index_fill_(0, rows_past_end, 0.0)
        out = torch.empty_like(rows)
        start = 0
        while start < n * t:
            length = slab(n * t - start, x)
            piece = signal[start : start + length + 2 * self.halo].view(1, 1, -1, width)
            piece = self.depthwise(piece.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            end = min(start + length, n * t)
            piece = self.norm_between(piece.view(length, width)[: end - start])
            torch.ops.aten.silu(piece, out=out[start:end])
            start = end
        return self.contract.add_to(x, out.view(n, t, width))


def round_up(n: int) -> int:
    """Returns the smallest multiple of 8 that is not below `n`."""
    return (n + 7) // 8 * 8


def scaled(layer: Linear, scale: float) -> Linear:
    """Returns the layer with its output scaled."""
    return Linear(layer.weight * scale, None if layer.bias is None else layer.bias * scale)


def scale_norm(norm: nn.LayerNorm, scale: float) -> None:
    """Scales the norm's output in place."""
    norm.weight *= scale
    norm.bias *= scale


def sinusoids(width: int, max_frames: int) -> Tensor:
    """Returns position embeddings (2 max_frames - 1, width), distance max_frames - 1 first."""
    distances = torch.arange(max_frames - 1, -max_frames, -1, dtype=torch.float32).unsqueeze(1)
    steps = torch.arange(0, width, 2, dtype=torch.float32)
    rates = torch.exp(steps * -(math.log(10000.0) / width))
    table = torch.empty(2 * max_frames - 1, width)
    table[:, 0::2] = torch.sin(distances * rates)
    table[:, 1::2] = torch.cos(distances * rates)
    return table
