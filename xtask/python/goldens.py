"""NeMo's answers as files, for tests that run where NeMo is not."""

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from emissions import Emissions
from manifest import sha256, write_json
from parity_report import Report

if TYPE_CHECKING:
    from oracle import Oracle
    from parity import Recordings

TOKENS = "tokens.jsonl"
ACTIVATIONS = "activations.npz"
PROVENANCE = "provenance.json"
# Activations are kept of the first recordings that are no longer than this.
N_ACTIVATIONS = 6
MAX_SAMPLES = 8 * 16000


def write_goldens(
    arguments: argparse.Namespace,
    oracle: "Oracle",
    recordings: "Recordings",
    references: dict[str, Emissions],
) -> None:
    """Writes tokens of all recordings, activations of a few, and where they come from."""
    folder: Path = arguments.goldens
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(reference.to_json()) for reference in references.values()]
    (folder / TOKENS).write_text("\n".join(lines) + "\n", encoding="utf-8")

    arrays: dict[str, numpy.ndarray] = {}
    # By name, so that real recordings come before synthetic ones.
    for (name,), audio, n_samples in sorted(recordings.batches(1), key=lambda batch: batch[0]):
        if int(n_samples) > MAX_SAMPLES or len(arrays) == 2 * N_ACTIVATIONS:
            continue
        features, n_features = oracle.features(audio, n_samples)
        encoded, _ = oracle.encode(features, n_features)
        arrays[f"{name}.features"] = features[0, :, : int(n_features)].numpy()
        arrays[f"{name}.encoded"] = encoded[0].numpy()
    numpy.savez(folder / ACTIVATIONS, **arrays)

    provenance = {
        "generator": "xtask/python/parity.py --write-goldens",
        "checkpoint": arguments.checkpoint.name,
        "checkpoint_sha256": sha256(arguments.checkpoint),
        "nemo": version("nemo_toolkit"),
        "torch": version("torch"),
        "decoding": "greedy_batch, max_symbols 10, float32, CPU, one recording at a time",
    }
    write_json(folder / PROVENANCE, provenance)


def compare_goldens(
    folder: Path, checkpoint: Path, references: dict[str, Emissions], report: Report
) -> None:
    """Compares the goldens with what NeMo says now."""
    provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    if provenance["checkpoint_sha256"] != sha256(checkpoint):
        report.fail(f"the goldens in {folder} are of another checkpoint: run with --write-goldens")
        return
    lines = (folder / TOKENS).read_text(encoding="utf-8").splitlines()
    goldens = [Emissions.from_json(json.loads(line)) for line in lines]
    if sorted(golden.file for golden in goldens) != sorted(references):
        report.fail(f"the goldens in {folder} are of other recordings: run with --write-goldens")
        return
    for golden in goldens:
        report.emissions("goldens", references[golden.file], golden)
