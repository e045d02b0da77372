"""Holds a bundle's archives on a GPU to its float32 archive on the CPU, stage by stage.

Usage: gpu_numbers.py BUNDLE [--device cuda]
Exit code 1 if an error, as a share of the expected output's norm, is over the limit of its type.
"""

import argparse
import json
import pathlib
import sys

import torch
from torch import Tensor

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "xtask/python"))

from exporter import gemm_ops  # noqa: E402, F401  (archives name these operators)

SAMPLES = (300_000, 170_000)
# Float32 differs by the order of sums, the other types by one rounding per layer of 2^-9 and 2^-12.
LIMITS = {"float32": 1e-4, "bfloat16": 0.05, "float16": 0.01}


def main() -> int:
    """Prints a line per archive. Exit code: 0, or 1 if an error passes its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    archives = json.loads((arguments.bundle / "manifest.json").read_text())["archives"]
    audio = 0.1 * torch.randn(2, max(SAMPLES), generator=torch.Generator().manual_seed(1))
    equal, mixed = torch.full([2], max(SAMPLES)), torch.tensor(SAMPLES)

    def load(name: str, device: str) -> torch.jit.ScriptModule:
        return torch.jit.load(str(arguments.bundle / archives[name]["file"]), map_location=device)

    reference = load("float32", "cpu")
    within = True
    with torch.inference_mode():
        expected = {
            "equal lengths": (equal, reference.encoder_output(audio, equal)[0]),
            "mixed lengths": (mixed, reference.encoder_output(audio, mixed)[0]),
        }
        features, n_features = reference.features(audio, mixed)
        for name in archives:
            archive = load(name, arguments.device)
            on_device = audio.to(arguments.device)
            errors = {"features": share(archive.features(on_device, mixed)[0], features, n_features)}
            for which, (n_samples, encoded) in expected.items():
                actual, n_frames = archive.encoder_output(on_device, n_samples)
                errors[which] = share(actual, encoded.mT, n_frames, transposed=True)
            alone, n_frames = archive.encoder_output(on_device[1:, : SAMPLES[1]], mixed[1:])
            batched, _ = archive.encoder_output(on_device, mixed)
            errors["alone against batched"] = share(
                alone, batched[1:, : alone.size(1)].mT, n_frames, transposed=True
            )
            bad = max(errors.values()) > LIMITS[name]
            within &= not bad
            shown = ", ".join(f"{which} {error:.1e}" for which, error in errors.items())
            print(f"{name:9} {shown} (limit {LIMITS[name]:.0e}){'  FAILED' if bad else ''}")
    return int(not within)


def share(actual: Tensor, expected: Tensor, n_valid: Tensor, transposed: bool = False) -> float:
    """Returns the norm of the difference on valid columns (N, D, T), relative to `expected`."""
    actual = (actual.mT if transposed else actual).float().cpu()
    expected = expected.float().cpu()
    valid = (torch.arange(expected.size(2)) < n_valid.unsqueeze(1)).unsqueeze(1)
    difference = ((actual - expected) * valid).norm() / (expected * valid).norm()
    return difference.nan_to_num(nan=float("inf")).item()


if __name__ == "__main__":
    sys.exit(main())
