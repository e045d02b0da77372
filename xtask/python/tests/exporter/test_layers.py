"""Tests of the layers, with all that is folded into their weights, against written-out formulas."""

import math
import unittest
from contextlib import ExitStack
from dataclasses import replace
from typing import Callable
from unittest import mock

import torch
from torch import Tensor, nn

from exporter import fastconformer, subsampling
from exporter.architecture import Architecture
from exporter.architecture import Encoder as EncoderSizes
from exporter.fastconformer import (
    STREAM_SCALE,
    Convolution,
    FastConformer,
    FeedForward,
    RelativeAttention,
    sinusoids,
)
from exporter.slabs import past_end
from exporter.subsampling import FirstConvolution, Subsampling
from exporter.weights import RandomWeights
from tests.exporter import miniature
from tests.exporter.miniature import MAX_FRAMES, SIZES, TDT, seeded

WIDTH = SIZES.encoder.width
# Difference of float32 sums taken in another order; activations are about 1.
TOLERANCE = 1e-5
# Columns in which 160 feature frames, 20 encoder frames, are computed.
N_COLUMNS = 24


class Attention(unittest.TestCase):
    def check(self, n_frames: int) -> None:
        weights = miniature.RecordedWeights()
        layer = RelativeAttention(SIZES.encoder, sinusoids(WIDTH, MAX_FRAMES), weights)
        x = torch.randn(2, n_frames, WIDTH)
        expected = attention_by_formula(weights.given, x)
        for mask in (None, torch.zeros(2, 1, 1, n_frames)):
            actual = layer(x * STREAM_SCALE, n_frames, mask) / STREAM_SCALE - x
            worst = (actual - expected).abs().max().item()
            self.assertLess(worst, TOLERANCE, f"{n_frames} frames")

    def test_scores_follow_the_distance_between_query_and_key(self) -> None:
        self.check(11)

    def test_one_frame_attends_to_itself(self) -> None:
        self.check(1)

    def test_the_longest_input_uses_the_whole_position_table(self) -> None:
        self.check(MAX_FRAMES)

    def test_masked_keys_are_not_seen(self) -> None:
        weights = RandomWeights(seeded(3))
        layer = RelativeAttention(SIZES.encoder, sinusoids(WIDTH, MAX_FRAMES), weights)
        x = torch.randn(1, 9, WIDTH)
        mask = torch.zeros(1, 1, 1, 9)
        mask[..., 6:] = -math.inf
        expected = layer(x[:, :6].clone(), 6, None)
        # The mask may cover the last keys alone.
        outputs = [layer(x.clone(), 9, mask), layer(x.clone(), 9, mask[..., 5:])]
        for actual in (*outputs, layer(x.clone(), 6, None)):
            worst = (actual[:, :6] - expected).abs().max().item()
            self.assertLess(worst, TOLERANCE * STREAM_SCALE)


def attention_by_formula(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Computes Transformer-XL's attention, one query and one key at a time."""
    heads = SIZES.encoder.n_heads
    d = WIDTH // heads
    n, t, _ = x.shape
    x = nn.functional.layer_norm(
        x, [WIDTH], weights["norm_self_att.weight"], weights["norm_self_att.bias"]
    )

    def project(name: str) -> Tensor:
        weight, bias = (weights[f"self_attn.linear_{name}.{part}"] for part in ("weight", "bias"))
        return (x @ weight.T + bias).view(n, t, heads, d)

    q, k, v = project("q"), project("k"), project("v")
    u_bias, v_bias = weights["self_attn.pos_bias_u"], weights["self_attn.pos_bias_v"]
    scores = torch.empty(n, heads, t, t)
    for i in range(t):
        for j in range(t):
            r = embed(i - j) @ weights["self_attn.linear_pos.weight"].T
            content = ((q[:, i] + u_bias) * k[:, j]).sum(-1)
            position = ((q[:, i] + v_bias) * r.view(heads, d)).sum(-1)
            scores[:, :, i, j] = (content + position) / math.sqrt(d)
    context = torch.einsum("nhij,njhd->nihd", scores.softmax(-1), v).reshape(n, t, WIDTH)
    return context @ weights["self_attn.linear_out.weight"].T + weights["self_attn.linear_out.bias"]


def embed(distance: int) -> Tensor:
    """Returns the sinusoids of one distance, sine and cosine in turn."""
    rates = [10000.0 ** (-i / WIDTH) for i in range(0, WIDTH, 2)]
    pairs = [(math.sin(distance * rate), math.cos(distance * rate)) for rate in rates]
    return torch.tensor(pairs).flatten()


class ConvolutionNorms(unittest.TestCase):
    def check(
        self, sizes: EncoderSizes, norm: Callable[[Tensor, dict[str, Tensor]], Tensor]
    ) -> None:
        """Compares with `norm`, which takes (N, D, T') and the norm's tensors."""
        weights = miniature.RecordedWeights()
        layer = Convolution(sizes, weights)
        given = {name.removeprefix("conv."): tensor for name, tensor in weights.given.items()}
        n_frames, n_columns, halo = 12, 16, sizes.conv_kernel // 2
        x = torch.randn(2, n_columns, WIDTH)
        rows_past_end = past_end(torch.full([2], n_frames), n_columns, x)
        signal = torch.zeros(2 * n_columns + 2 * halo, WIDTH)
        actual = layer(x * STREAM_SCALE, rows_past_end, signal)[:, :n_frames] / STREAM_SCALE

        x = x[:, :n_frames]
        actual -= x
        y = nn.functional.layer_norm(x, [WIDTH], given["norm_conv.weight"], given["norm_conv.bias"])
        y = nn.functional.conv1d(
            y.mT, given["pointwise_conv1.weight"], given.get("pointwise_conv1.bias")
        )
        y = nn.functional.conv1d(
            nn.functional.glu(y, dim=1),
            given["depthwise_conv.weight"],
            given.get("depthwise_conv.bias"),
            padding=sizes.conv_kernel // 2,
            groups=WIDTH,
        )
        y = nn.functional.silu(norm(y, given))
        y = nn.functional.conv1d(
            y, given["pointwise_conv2.weight"], given.get("pointwise_conv2.bias")
        )
        self.assertLess((actual - y.mT).abs().max().item(), TOLERANCE)

    def test_a_batch_norm_is_folded_and_is_the_batch_norm(self) -> None:
        parts = ("running_mean", "running_var", "weight", "bias")
        self.check(
            SIZES.encoder,
            lambda y, given: nn.functional.batch_norm(
                y, *(given[f"batch_norm.{part}"] for part in parts)
            ),
        )

    def test_a_layer_norm_is_taken_over_the_width(self) -> None:
        self.check(
            TDT.encoder,
            lambda y, given: (
                nn.functional.layer_norm(
                    y.mT, [WIDTH], given["batch_norm.weight"], given["batch_norm.bias"]
                ).mT
            ),
        )


class FoldedFeedForward(unittest.TestCase):
    def test_the_second_linear_gives_half(self) -> None:
        weights = miniature.RecordedWeights()
        layer = FeedForward(SIZES.encoder, weights, "1")
        given = weights.given
        x = torch.randn(2, 5, WIDTH)
        y = nn.functional.layer_norm(
            x,
            [WIDTH],
            given["norm_feed_forward1.weight"],
            given["norm_feed_forward1.bias"],
        )
        for name in ("linear1", "linear2"):
            weight, bias = (given[f"feed_forward1.{name}.{part}"] for part in ("weight", "bias"))
            y = y @ weight.T + bias
            y = nn.functional.silu(y) if name == "linear1" else y
        actual = layer(x * STREAM_SCALE) / STREAM_SCALE - x
        self.assertLess((actual - 0.5 * y).abs().max().item(), TOLERANCE)


class PredictorSteps(unittest.TestCase):
    def test_the_cells_are_torchs_lstm(self) -> None:
        for sizes in (SIZES, TDT):
            with self.subTest(n_layers=sizes.predictor.n_layers):
                self.check(sizes)

    def check(self, sizes: Architecture) -> None:
        given, width = miniature.state_dict(sizes), sizes.predictor.width
        lstm = nn.LSTM(width, width, num_layers=sizes.predictor.n_layers)
        prefix = "decoder.prediction.dec_rnn.lstm."
        lstm.load_state_dict(
            {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
        )
        tokens = torch.tensor([3, 0, 11])
        embedded = given["decoder.prediction.embed.weight"][tokens]
        with torch.no_grad():
            # The start of sequence is a zero vector.
            steps = torch.cat([torch.zeros(1, width), embedded]).unsqueeze(1)
            outputs, (hidden, cell) = lstm(steps)
            expected = nn.functional.linear(
                outputs[-1], given["joint.pred.weight"], given["joint.pred.bias"]
            )
        archive = miniature.archive(sizes=sizes)
        state = archive.initial_state(1)
        for token in tokens.tolist():
            state = archive.advance(*state, torch.tensor([[0, token]]))
        for actual, wanted in zip(state, (expected, hidden, cell)):
            self.assertLess((actual - wanted).abs().max().item(), TOLERANCE)


class Stream(unittest.TestCase):
    """The residual stream, which is scaled down inside the encoder and nowhere else."""

    def setUp(self) -> None:
        self.features, self.n_features = torch.randn(1, 24, 160), torch.tensor([160])

    def encoder(self, sizes: EncoderSizes) -> FastConformer:
        return FastConformer(sizes, 24, MAX_FRAMES, miniature.RecordedWeights())

    def test_float32_gives_the_same_bits_without_the_scale(self) -> None:
        expected, _ = self.encoder(SIZES.encoder)(self.features, self.n_features)
        unscaled = {"STREAM_SCALE": 1.0, "STREAM_EPS": 1e-5}
        with mock.patch.multiple(fastconformer, **unscaled):
            actual, _ = self.encoder(SIZES.encoder)(self.features, self.n_features)
        self.assertTrue(torch.equal(actual, expected))

    def test_the_input_is_scaled_by_the_root_of_the_width_if_the_config_says_so(self) -> None:
        plain = self.encoder(replace(SIZES.encoder, scale_input=False)).subsampling
        scaled = self.encoder(SIZES.encoder).subsampling
        expected = (
            plain(self.features, self.n_features, N_COLUMNS)[0] / STREAM_SCALE * math.sqrt(WIDTH)
        )
        actual = scaled(self.features, self.n_features, N_COLUMNS)[0] / STREAM_SCALE
        self.assertLess((actual - expected).abs().max().item(), TOLERANCE * math.sqrt(WIDTH))

    def test_float16_bears_inputs_beyond_its_range(self) -> None:
        """Frames of 200 thousand, where float16 ends at 65504."""
        encoder = self.encoder(SIZES.encoder)
        out = encoder.subsampling.out
        subsampled, _ = encoder.subsampling(self.features, self.n_features, N_COLUMNS)
        gain = 2e5 * STREAM_SCALE / subsampled.std()
        out.weight *= gain
        out.bias *= gain
        expected, _ = encoder(self.features, self.n_features)
        actual, _ = encoder.half()(self.features.half(), self.n_features)
        self.assertTrue(actual.isfinite().all())
        self.assertLess((actual.float() - expected).abs().max().item(), 0.1)


class Slabs(unittest.TestCase):
    """Convolutions that process a batch in slabs of fixed lengths, as on a GPU."""

    def check(self, long: int, short: int) -> None:
        encoder = FastConformer(
            SIZES.encoder, SIZES.front_end.n_mels, MAX_FRAMES, RandomWeights(seeded(5))
        )
        lengths = torch.tensor([160, 0, 71])
        features = torch.randn(3, SIZES.front_end.n_mels, 160)
        features *= torch.arange(160) < lengths[:, None, None]
        expected, n_frames = encoder(features, lengths)

        def slab(n_rows: int, _: Tensor) -> int:
            return long if n_rows >= long else short

        def in_slabs(n_rows: int, _: Tensor) -> int:
            return -(-n_rows // short) * short

        with ExitStack() as patches:
            for module in (fastconformer, subsampling):
                patches.enter_context(mock.patch.object(module, "slab", slab))
                patches.enter_context(mock.patch.object(module, "in_slabs", in_slabs))
            actual, _ = encoder(features, lengths)
        for row, n in enumerate(n_frames.tolist()):
            difference = (actual[row, :n] - expected[row, :n]).abs()
            self.assertLess(difference.max().item() if n else 0.0, TOLERANCE, (long, short))

    def test_their_length_changes_nothing(self) -> None:
        # The batch has 72 rows: one slab and a rest, many, and one that reaches far past it.
        for long, short in ((64, 16), (8, 8), (512, 512)):
            self.check(long, short)


class FoldedSubsampling(unittest.TestCase):
    def setUp(self) -> None:
        weights = miniature.RecordedWeights()
        self.layer = Subsampling(SIZES.encoder, SIZES.front_end.n_mels, 3.0, weights)
        self.given = weights.given
        self.features = torch.randn(1, SIZES.front_end.n_mels, 160)
        self.n_features = torch.tensor([160])

    def test_the_output_is_scaled(self) -> None:
        x = self.features.mT.unsqueeze(1)
        channels = SIZES.encoder.subsampling_channels
        for place, stride, groups in (
            (0, 2, 1),
            (2, 2, channels),
            (3, 1, 1),
            (5, 2, channels),
            (6, 1, 1),
        ):
            weight, bias = (self.given[f"conv.{place}.{part}"] for part in ("weight", "bias"))
            padding = weight.size(2) // 2
            x = nn.functional.conv2d(x, weight, bias, stride, padding, groups=groups)
            # No activation lies between a depthwise convolution and its pointwise one.
            x = x if place in (2, 5) else x.relu()
        x = x.transpose(1, 2).flatten(2)
        expected = (x @ self.given["out.weight"].T + self.given["out.bias"]) * 3.0
        actual, n_frames = self.layer(self.features, self.n_features, N_COLUMNS)
        self.assertEqual(n_frames.tolist(), [20])
        worst = (actual[:, :20] - expected).abs().max().item()
        self.assertLess(worst, TOLERANCE * 3.0)

    def test_the_first_convolution_is_the_same_in_parts_and_in_whole(self) -> None:
        # An odd number of bands, so that the last part has fewer.
        layer = FirstConvolution(22, 8, miniature.RecordedWeights())
        rows = torch.randn(5, 3 * 22)
        in_parts, in_whole = torch.full((2, 5, 11 * 8), torch.nan)
        layer(rows, in_parts)
        layer.whole(rows, in_whole)
        self.assertLess((in_parts - in_whole).abs().max().item(), TOLERANCE)

    def test_a_feature_frame_reaches_only_the_encoder_frames_near_it(self) -> None:
        changed = self.features.clone()
        changed[:, :, 80] += 1.0
        before, _ = self.layer(self.features, self.n_features, N_COLUMNS)
        after, _ = self.layer(changed, self.n_features, N_COLUMNS)
        frames = (before != after).any(2).flatten().nonzero().flatten().tolist()
        # Three halvings with kernel 3 see 7 feature frames to either side.
        self.assertEqual(frames, [10])


if __name__ == "__main__":
    unittest.main()
