"""Writes a model bundle: a TorchScript archive per compute type, a manifest and a vocabulary."""

import argparse
import copy
import os
import sys
import tempfile
from pathlib import Path

import torch

from exporter import random_init
from exporter.checkpoint import read_checkpoint
from exporter.errors import ExportError
from exporter.known_models import languages
from exporter.manifest import describe_file, manifest, sha256, write_json
from exporter.parakeet import COMPUTE_TYPES, build, freeze
from exporter.weights import RandomWeights

# 60 s: twice the longest chunk that the worker makes with its default settings.
DEFAULT_MAX_SECONDS = 60
EXAMPLES = """
examples:
  export.py parakeet.nemo --out models/parakeet
      for a CPU: float32 alone
  export.py parakeet-rnnt-0.6b.nemo --model-id nvidia/parakeet-rnnt-0.6b \\
      --out models/nvidia--parakeet-rnnt-0.6b --dtype float32,bfloat16,float16
      for CPUs and GPUs; the folder is where the worker looks for this model's id
  export.py parakeet.nemo --out models/parakeet --dtype float32,bfloat16,int8
      int8 is for CPUs with AVX-512 VNNI, and for no GPU
  export.py parakeet.nemo --out models/parakeet --dtype float32,int8_float32
      int8_float32 is for CPUs without bfloat16, any with AVX2
  export.py --random-init rnnt-0.6b --out /tmp/rnnt-0.6b --dtype bfloat16
      true size, random weights: for timing on a machine that reaches no model hub

The bundle is described in docs/model-export.md. Needs torch, PyYAML and sentencepiece.
"""


def main() -> int:
    """Runs the command line. Exit code: 0, or 1 after one sentence on stderr."""
    arguments = parse_arguments()
    try:
        export(arguments)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or arguments.out}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses `arguments`, by default the command line; exits with code 2 on wrong usage."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("checkpoint", nargs="?", type=Path, metavar="FILE.nemo", help="the model")
    source.add_argument(
        "--random-init",
        metavar="NAME",
        help=f"no checkpoint: random weights of a true size ({', '.join(random_init.SIZES)})",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="where the bundle goes; files of an earlier bundle there are replaced, others stay",
    )
    parser.add_argument(
        "--dtype",
        metavar="LIST",
        type=compute_types,
        default=["float32"],
        help=f"compute types with commas between: {', '.join(COMPUTE_TYPES)} (default: float32)",
    )
    parser.add_argument(
        "--model-id", metavar="ID", help="the name in the manifest (default: the file's name)"
    )
    parser.add_argument(
        "--head",
        choices=["rnnt", "tdt", "ctc"],
        help="which head of a hybrid checkpoint (default: its transducer)",
    )
    parser.add_argument(
        "--language",
        metavar="LIST",
        type=language_codes,
        help="the languages it hears, codes of two letters with commas between (default: those "
        "known of the model's id, else en)",
    )
    parser.add_argument(
        "--max-seconds",
        metavar="S",
        type=int,
        default=DEFAULT_MAX_SECONDS,
        help="longest input; the archive grows by 25 numbers per second, layer and unit of "
        f"width (default: {DEFAULT_MAX_SECONDS})",
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=1, help="of the random weights (default: 1)"
    )
    return parser.parse_args(arguments)


def compute_types(text: str) -> list[str]:
    """Parses a list with commas; each name must be known, and repeated names count once."""
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in COMPUTE_TYPES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(COMPUTE_TYPES)}")
    return names


def language_codes(text: str) -> list[str]:
    """Parses a list with commas; repeated codes count once."""
    codes = list(dict.fromkeys(text.split(",")))
    for code in codes:
        if not (len(code) == 2 and code.isascii() and code.islower()):
            raise argparse.ArgumentTypeError(f"{code!r} is not a code of two letters, as en is")
    return codes


def export(arguments: argparse.Namespace) -> None:
    """Writes the bundle into a temporary folder, then moves its files to `--out`.

    The temporary folder lies in the parent of `--out`, so that each move is a rename on one file
    system. An export that fails leaves an earlier bundle as it was.
    """
    out: Path = arguments.out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        scratch, bundle = Path(folder), Path(folder, "bundle")
        bundle.mkdir()
        write_bundle(arguments, scratch, bundle)
        publish(bundle, out)
    print_progress(f"{out} is ready")


def write_bundle(arguments: argparse.Namespace, scratch: Path, bundle: Path) -> None:
    """Writes archives, vocabulary and manifest into the folder `bundle`."""
    if arguments.random_init is not None:
        name = arguments.random_init
        sizes = random_init.architecture(name, arguments.head)
        weights = RandomWeights(torch.Generator().manual_seed(arguments.seed))
        pieces = random_init.pieces(sizes.vocabulary_size)
        source = {"kind": "random", "sha256": None}
        model_id = arguments.model_id or f"random-{name}"
        print_progress(f"making random weights of {name}")
    else:
        path: Path = arguments.checkpoint
        print_progress(f"reading {path}")
        checkpoint = read_checkpoint(path, scratch, arguments.head)
        sizes, weights, pieces = checkpoint.sizes, checkpoint.weights, checkpoint.pieces
        source = {"kind": "nemo", "sha256": sha256(path)}
        model_id = arguments.model_id or path.name.removesuffix(".nemo")

    stride = sizes.front_end.hop_samples * sizes.encoder.subsampling
    max_frames = arguments.max_seconds * sizes.front_end.sample_rate_hz // stride
    if max_frames < 1:
        raise ExportError(f"--max-seconds is {arguments.max_seconds}, expected 1 or more")
    model = build(sizes, max_frames, weights)
    weights.refuse_unused()
    if arguments.random_init is not None:
        random_init.calibrate(model, sizes.head, arguments.seed)

    archives = {}
    for name in arguments.dtype:
        path = bundle / f"model.{name}.pt"
        # Casts work in place: without a copy, the next type would be a cast of a cast. The last
        # type needs no copy, which keeps the peak of memory at two models.
        typed = model if name == arguments.dtype[-1] else copy.deepcopy(model)
        torch.jit.save(freeze(typed.cast(*COMPUTE_TYPES[name])), path)
        archives[name] = describe_file(path)
        print_progress(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB")
    write_json(bundle / "vocabulary.json", pieces)
    content = manifest(
        sizes,
        max_frames,
        model_id=model_id,
        languages=arguments.language or languages(model_id),
        punctuation=any(piece.endswith((".", "?", "!")) for piece in pieces),
        source=source,
        archives=archives,
        vocabulary=describe_file(bundle / "vocabulary.json"),
    )
    write_json(bundle / "manifest.json", content)


def publish(bundle: Path, out: Path) -> None:
    """Moves the files into `out`, the manifest last.

    A folder without a manifest is no bundle: an interrupted move leaves nothing that loads.
    """
    out.mkdir(exist_ok=True)
    (out / "manifest.json").unlink(missing_ok=True)
    for stale in out.glob("model.*.pt"):
        stale.unlink()
    for path in sorted(bundle.iterdir(), key=lambda path: path.name == "manifest.json"):
        os.replace(path, out / path.name)


def print_progress(message: str) -> None:
    """Prints progress on stderr."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
