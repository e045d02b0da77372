"""Writes a model bundle: one TorchScript archive per compute type, manifest and vocabulary."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import torch

import random_init
from errors import ExportError
from manifest import describe_file, manifest, sha256, write_json
from parakeet import Parakeet, freeze
from weights import RandomWeights

# 60 s: the table of position projections grows with it, 2 x 750 x width numbers in every layer.
DEFAULT_MAX_SECONDS = 60
COMPUTE_TYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def main() -> int:
    """Runs the command line; exit code 0, or 1 with one sentence on stderr."""
    arguments = parse()
    try:
        export(arguments)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random-init", metavar="NAME", required=True, choices=random_init.SIZES)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--max-seconds", type=int, default=DEFAULT_MAX_SECONDS)
    return parser.parse_args()


def export(arguments: argparse.Namespace) -> None:
    """Writes the bundle beside its place and moves it there when it is whole."""
    out: Path = arguments.out
    sizes = random_init.architecture(arguments.random_init)
    weights = RandomWeights(random_init.SEED)
    stride = sizes.front_end.hop_samples * sizes.encoder.subsampling
    max_frames = arguments.max_seconds * sizes.front_end.sample_rate_hz // stride
    vocabulary = random_init.vocabulary(sizes.vocabulary_size)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        bundle = Path(temporary) / "bundle"
        bundle.mkdir()
        model = Parakeet(sizes, max_frames, weights)
        archives = {}
        for name in arguments.dtype.split(","):
            path = bundle / f"model.{name}.pt"
            torch.jit.save(freeze(model.cast(COMPUTE_TYPES[name])), path)
            archives[name] = describe_file(path)
            print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB", file=sys.stderr)
        write_json(bundle / "vocabulary.json", vocabulary)
        content = manifest(
            sizes,
            max_frames,
            model_id=f"random/{arguments.random_init}",
            language="en",
            source={"kind": "random", "sha256": None},
            archives=archives,
            vocabulary=describe_file(bundle / "vocabulary.json"),
        )
        write_json(bundle / "manifest.json", content)
        if out.exists():
            shutil.rmtree(out)
        bundle.rename(out)


if __name__ == "__main__":
    sys.exit(main())
