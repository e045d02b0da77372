"""Tests of the way through the engine's operators, with stand-ins that multiply plainly.

No CPU has tiles in Python; here one says so, and archives go where they go on CPUs that do.
"""

import unittest
from unittest.mock import patch

import torch
from torch import Tensor

from tests.exporter import miniature


class OnTiles(unittest.TestCase):
    """Archives whose CPU has tiles."""

    def setUp(self) -> None:
        miniature.archive.cache_clear()
        self.addCleanup(miniature.archive.cache_clear)
        has_tiles = patch("exporter.gemm_ops.cpu_has_tiles", return_value=True)
        has_tiles.start()
        self.addCleanup(has_tiles.stop)
        self.operators = torch.library.Library("parakeet", "IMPL")
        self.addCleanup(self.operators._destroy)
        for name in ("lay_out", "multiply", "add_product_"):
            self.operators.impl(name, getattr(self, name), "CPU")
        self.layers: list[tuple[Tensor, Tensor | None]] = []
        self.then: list[str] = []

    def lay_out(self, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
        """The layer's place among those that were laid out, in the type of its weight."""
        self.assertEqual(scale is not None, weight.dtype == torch.int8)
        real = weight.float()
        if scale is not None:
            real *= scale.float().unsqueeze(1)
        self.layers.append((real, None if bias is None else bias.float()))
        return torch.tensor([len(self.layers) // 100, len(self.layers) % 100], dtype=weight.dtype)

    def multiply(self, rows: Tensor, laid_out: Tensor, n_out: int, then: str) -> Tensor:
        """The plain product, in float32."""
        hundreds, units = laid_out.tolist()
        weight, bias = self.layers[int(100 * hundreds + units) - 1]
        self.assertEqual(weight.size(0), n_out)
        self.then.append(then)
        out = torch.nn.functional.linear(rows.float(), weight, bias)
        follow = {"none": lambda it: it, "relu": torch.relu, "silu": torch.nn.functional.silu}
        return follow[then](out).to(rows.dtype)

    def add_product_(self, x: Tensor, rows: Tensor, laid_out: Tensor) -> Tensor:
        """Adds the plain product, in place."""
        self.assertTrue(x.is_contiguous())
        return x.add_(self.multiply(rows, laid_out, x.size(-1), "none"))

    def check(self, compute_type: str, tolerance: float) -> None:
        """Compares encoder frames with those of float32 without tiles, at two calls."""
        audio, n_samples = miniature.noise(2, 16_000), torch.tensor([16_000, 9_000])
        plain = miniature.model()
        expected, _ = plain.encoder_output(audio, n_samples)
        archive = miniature.archive(compute_type)
        for _ in range(2):
            encoded, n_frames = archive.encoder_output(audio, n_samples)
            for row, n in enumerate(n_frames.tolist()):
                difference = encoded[row, :n].float() - expected[row, :n]
                error = difference.norm() / expected[row, :n].norm()
                self.assertLess(error.item(), tolerance)
        self.assertIn("silu", self.then)
        # Six of each layer, and the subsampling's last: every one is laid out once.
        n_layers = miniature.SIZES.encoder.n_layers
        self.assertGreaterEqual(len(self.layers), 8 * n_layers)
        self.assertLess(len(self.layers), 8 * n_layers + 6)

    def test_float32(self) -> None:
        """The same sums in another order."""
        self.check("float32", 1e-5)

    def test_bfloat16(self) -> None:
        """Between layers numbers are rounded as without tiles."""
        self.check("bfloat16", 0.03)

    def test_bytes(self) -> None:
        """Here weights alone are rounded."""
        self.check("int8", 0.05)
        self.layers.clear()
        self.check("int8_float32", 0.05)


if __name__ == "__main__":
    unittest.main()
