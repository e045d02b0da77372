"""Tests of 8-bit linear layers: near the float32 layers, and every row independent."""

import io
import unittest

import torch
from torch import Tensor, nn

from exporter.int8 import Int8Linear, adds_in_pairs
from tests.exporter.miniature import seeded

# Both factors are rounded to 1 in 254 of their largest value. Weights are rounded again to 1 in 128
# on a CPU that sums pairs of products in 16 bits.
LIMIT = 0.02 if adds_in_pairs(torch.empty(0)) else 0.015


class Rows(unittest.TestCase):
    def setUp(self) -> None:
        self.x = torch.randn(2, 7, 48, generator=seeded(1))
        self.linear = nn.Linear(48, 40)
        self.expected = self.linear(self.x).detach()
        file = io.BytesIO()
        torch.jit.save(torch.jit.freeze(torch.jit.script(Int8Linear(self.linear).eval())), file)
        file.seek(0)
        self.layer = torch.jit.load(file)

    def relative_error(self, actual: Tensor) -> float:
        return ((actual - self.expected).std() / self.expected.std()).item()

    def test_a_loaded_layer_is_near_the_one_of_floats_at_every_call(self) -> None:
        for _ in range(2):
            self.assertLess(self.relative_error(self.layer(self.x)), LIMIT)

    def test_sums_of_the_largest_numbers_are_whole(self) -> None:
        for weight in (0.5, -0.5):
            self.linear.weight.data.fill_(weight)
            layer = Int8Linear(self.linear)
            for x in (1.0, -1.0):
                actual = layer(torch.full((1, 1, 48), x)) - self.linear.bias
                self.assertLess((actual - 48 * weight * x).abs().max().item(), 1e-4)

    def test_a_frozen_layer_asks_the_cpu_that_it_runs_on(self) -> None:
        # One call packs the weights of the probe, the other the layer's own.
        self.assertEqual(str(self.layer.graph).count("onednn::qlinear_prepack"), 2)

    def test_without_a_bias_nothing_is_added(self) -> None:
        self.linear.bias = None
        layer = Int8Linear(self.linear)
        self.assertEqual(layer(torch.zeros(1, 1, 48)).abs().max().item(), 0.0)

    def test_a_row_of_zeros_gives_the_bias(self) -> None:
        actual = self.layer(torch.zeros(1, 3, 48))
        self.assertTrue(torch.equal(actual, self.linear.bias.expand(1, 3, 40)))

    def test_a_row_gives_the_same_bits_alone_and_beside_a_loud_one(self) -> None:
        together = self.layer(self.x)
        for i in range(7):
            self.assertTrue(torch.equal(self.layer(self.x[1:, i : i + 1])[0, 0], together[1, i]))
        loud = self.x.clone()
        loud[0] *= 1e6
        self.assertTrue(torch.equal(self.layer(loud)[1], together[1]))

    def test_a_quiet_row_is_as_exact_as_a_loud_one(self) -> None:
        quiet = self.layer(self.x * 1e-6) - self.linear.bias
        self.expected = (self.expected - self.linear.bias.detach()) * 1e-6
        self.assertLess(self.relative_error(quiet), LIMIT)

    def test_a_number_that_is_not_finite_does_not_vanish(self) -> None:
        for broken in (float("nan"), float("inf")):
            x = self.x.clone()
            x[0, 3, 5] = broken
            finite = self.layer(x).isfinite().all(dim=2)
            self.assertFalse(finite[0, 3])
            self.assertEqual(int(finite.sum()), 13)

    def test_the_answer_has_the_type_of_the_input(self) -> None:
        self.assertEqual(self.layer(self.x.bfloat16()).dtype, torch.bfloat16)


if __name__ == "__main__":
    unittest.main()
