"""Makes the model and the recordings of `cargo xtask bench`.

The model is a random rnnt-0.6b of true size that emits tokens at the rate of speech. It is written as
a NeMo checkpoint, as NeMo's ONNX export and as our bundle. The recordings are real and synthetic
speech. Runs in the NeMo environment; needs 12 GB of memory, 11 GB of disk and two minutes.
"""

import argparse
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import soundfile
import torch

SOURCES = Path(__file__).parents[2] / "xtask/python"
sys.path.insert(0, str(SOURCES))

from nemo.collections.asr.models import EncDecRNNTBPEModel  # noqa: E402
from nemo.utils import logging  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from parity.audio import SAMPLE_RATE_HZ, speech  # noqa: E402
from parity.full_size import FULL_SHAPES  # noqa: E402
from parity.nemo_config import config  # noqa: E402
from parity.random_nemo import add_noise, train_tokenizer  # noqa: E402
from alternating_nemo import make_alternate  # noqa: E402

MODEL = "rnnt-0.6b"
TYPES = "float32,bfloat16,int8,int8_float32"


def main() -> None:
    """Writes everything that does not exist yet, and the bundle if the exporter is newer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, nargs="+", required=True)
    arguments = parser.parse_args()
    logging.setLevel(logging.ERROR)
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    for seconds in arguments.seconds:
        make(folder / f"{seconds}.wav", functools.partial(write_recording, seconds))
    checkpoint = folder / f"{MODEL}.nemo"
    make(checkpoint, write_checkpoint)
    make(folder / "onnx", lambda path: export_onnx(checkpoint, path))
    bundle = folder / "bundle"
    exporter = max(path.stat().st_mtime for path in (SOURCES / "exporter").glob("*.py"))
    if bundle.exists() and bundle.stat().st_mtime < exporter:
        shutil.rmtree(bundle)
    make(bundle, lambda path: export_bundle(checkpoint, path))


def make(path: Path, write_to: Any) -> None:
    """Writes `path` unless it exists; the file gets its name only when it is whole."""
    if path.exists():
        return
    unfinished = path.with_name(f"unfinished-{path.name}")
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    print(f"making {path.name}", file=sys.stderr, flush=True)
    write_to(unfinished)
    unfinished.rename(path)


def write_recording(seconds: int, path: Path) -> None:
    """Speech as 16-bit WAV."""
    soundfile.write(path, speech(seconds).numpy(), SAMPLE_RATE_HZ, subtype="PCM_16")


def write_checkpoint(path: Path) -> None:
    """Writes NeMo's own model with random weights that emit tokens at the rate of speech."""
    torch.manual_seed(1)
    shape = FULL_SHAPES[MODEL]
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer(shape, Path(folder), seed=1)
        content = OmegaConf.create(config(shape, Path(folder)))
        model: Any = EncDecRNNTBPEModel(cfg=content).eval()
        add_noise(model)
        make_alternate(model, shape, speech(30))
        model.save_to(str(path))


def export_onnx(checkpoint: Path, folder: Path) -> None:
    """Writes NeMo's own ONNX export, with the other files that onnx-asr reads."""
    folder.mkdir()
    model: Any = EncDecRNNTBPEModel.restore_from(str(checkpoint), map_location="cpu")
    model.eval().float().export(str(folder / "model.onnx"))
    pieces = [*model.tokenizer.vocab, "<blk>"]
    lines = [f"{piece} {index}\n" for index, piece in enumerate(pieces)]
    (folder / "vocab.txt").write_text("".join(lines), encoding="utf-8")
    settings = {"model_type": "nemo-conformer-rnnt", "features_size": 80, "subsampling_factor": 8}
    (folder / "config.json").write_text(json.dumps(settings))


def export_bundle(checkpoint: Path, folder: Path) -> None:
    """Writes our bundle."""
    command = [sys.executable, "-m", "exporter.export", str(checkpoint)]
    command += ["--out", str(folder), "--dtype", TYPES]
    folders = [str(SOURCES), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, folders))}
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
