"""Tests of linear layers that a CPU packs: an archive gives the numbers of the plain product."""

import io
import unittest

import torch

from exporter.linear import Linear
from tests.exporter.miniature import seeded


class PackedLinear(unittest.TestCase):
    """Layers that were saved and loaded."""

    def check(
        self, kind: torch.dtype, has_bias: bool, tolerance: float, packs: bool = True
    ) -> None:
        """Compares the first two calls of an archive with the plain product."""
        chance = seeded(1)
        weight = torch.randn(40, 48, generator=chance).to(kind)
        bias = torch.randn(40, generator=chance).to(kind) if has_bias else None
        x = torch.randn(3, 5, 48, generator=chance).to(kind)
        archive = io.BytesIO()
        scripted = torch.jit.script(Linear(weight, bias).eval())
        torch.jit.save(torch.jit.freeze(scripted), archive)
        archive.seek(0)
        layer = torch.jit.load(archive)
        expected = torch.nn.functional.linear(
            x.double(), weight.double(), None if bias is None else bias.double()
        )
        for _ in range(2):
            error = (layer(x).double() - expected).abs().max().item()
            self.assertLess(error, tolerance)
            self.assertEqual(layer(x[:, :1]).shape, (3, 1, 40))
        self.assertEqual(layer.is_packed, torch.backends.mkldnn.is_available() and packs)

    def test_float32(self) -> None:
        """With a bias and without."""
        self.check(torch.float32, True, 1e-4)
        self.check(torch.float32, False, 1e-4)

    def test_bfloat16(self) -> None:
        """Products are summed in float32 and rounded once: below 64 by at most 1/8."""
        packs = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.check(torch.bfloat16, True, 0.125, packs)

    def test_a_type_without_kernels_stays_as_it_is(self) -> None:
        """A CPU has no kernels for float16, and multiplies it unpacked."""
        self.check(torch.float16, True, 0.05, packs=False)

    def test_a_scripted_layer_packs_and_a_plain_one_does_not(self) -> None:
        """A packed weight can be neither cast nor saved."""
        layer = Linear(torch.randn(8, 8), None)
        scripted = torch.jit.script(layer.eval())
        scripted(torch.randn(1, 8))
        layer(torch.randn(1, 8))
        self.assertEqual(scripted.is_packed, torch.backends.mkldnn.is_available())
        self.assertFalse(layer.is_packed)


if __name__ == "__main__":
    unittest.main()
