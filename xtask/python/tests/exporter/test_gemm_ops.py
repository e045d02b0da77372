"""Tests of the path of an archive through the engine's operators.

In Python `has_tiles` answers no. Here it answers yes, and stand-ins of the other operators multiply
in float32. So archives run the branch that they run on a CPU with tiles.
"""

import unittest
from unittest.mock import patch

import torch
from torch import Tensor

from tests.exporter import miniature


class OnTiles(unittest.TestCase):
    """Archives on a CPU that has tiles."""

    def setUp(self) -> None:
        miniature.archive.cache_clear()
        self.addCleanup(miniature.archive.cache_clear)
        has_tiles = patch("exporter.gemm_ops.cpu_has_tiles", return_value=True)
        has_tiles.start()
        self.addCleanup(has_tiles.stop)
        self.operators = torch.library.Library("parakeet", "IMPL")
        self.addCleanup(self.operators._destroy)
        self.operators.impl("lay_out", self.pack, "CPU")
        self.operators.impl("multiply", self.multiply, "CPU")
        self.operators.impl("add_product_", self.add_product_, "CPU")
        self.layers: list[tuple[Tensor, Tensor | None]] = []
        self.activations: list[str] = []

    def pack(self, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
        """Stores the layer; returns its number in two parts, in the type of its weight."""
        self.assertEqual(scale is not None, weight.dtype == torch.int8)
        real = weight.float()
        if scale is not None:
            real *= scale.float().unsqueeze(1)
        self.layers.append((real, None if bias is None else bias.float()))
        return torch.tensor([len(self.layers) // 100, len(self.layers) % 100], dtype=weight.dtype)

    def multiply(self, rows: Tensor, packed: Tensor, n_out: int, activation: str) -> Tensor:
        """Multiplies in float32."""
        hundreds, units = packed.tolist()
        weight, bias = self.layers[int(100 * hundreds + units) - 1]
        self.assertEqual(weight.size(0), n_out)
        self.activations.append(activation)
        out = torch.nn.functional.linear(rows.float(), weight, bias)
        functions = {"none": lambda it: it, "relu": torch.relu, "silu": torch.nn.functional.silu}
        return functions[activation](out).to(rows.dtype)

    def add_product_(self, x: Tensor, rows: Tensor, packed: Tensor) -> Tensor:
        """Adds the product in place."""
        self.assertTrue(x.is_contiguous())
        return x.add_(self.multiply(rows, packed, x.size(-1), "none"))

    def check(self, compute_type: str, tolerance: float) -> None:
        """Compares encoder frames of two calls with those of float32 without tiles."""
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
        self.assertIn("silu", self.activations)
        # Each linear layer is packed once: eight of each conformer layer, a few of the subsampling.
        n_layers = miniature.SIZES.encoder.n_layers
        self.assertGreaterEqual(len(self.layers), 8 * n_layers)
        self.assertLess(len(self.layers), 8 * n_layers + 6)

    def test_float32(self) -> None:
        """Tiles sum in another order."""
        self.check("float32", 1e-5)

    def test_bfloat16(self) -> None:
        """Activations are rounded between layers, as without tiles."""
        self.check("bfloat16", 0.03)

    def test_bytes(self) -> None:
        """These stand-ins round the weights alone, and not the activations."""
        self.check("int8", 0.05)
        self.layers.clear()
        self.check("int8_float32", 0.05)


if __name__ == "__main__":
    unittest.main()
