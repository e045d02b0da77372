"""Writes NeMo's transcripts as goldens, for tests that run without NeMo, and compares them."""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from exporter.manifest import sha256, write_json
from parity.emissions import Emissions
from parity.report import Report
from parity.timed_words import ReferenceTranscript

if TYPE_CHECKING:
    from parity.oracle import Oracle
    from parity.recordings import Recordings

ACTIVATIONS = "activations.npz"
# Activations are stored for the first N_ACTIVATIONS recordings of at most MAX_SAMPLES.
N_ACTIVATIONS = 6
MAX_SAMPLES = 8 * 16000
# Decimals of a time or a confidence: the rounding is far below the limit of any comparison.
N_DIGITS = 7


def write_tiny_goldens(
    folder: Path,
    checkpoint: Path,
    oracle: "Oracle",
    recordings: "Recordings",
    transcripts: list[ReferenceTranscript],
) -> None:
    """Writes the goldens of the tiny model: transcripts of all recordings, activations of a few."""
    arrays: dict[str, numpy.ndarray] = {}
    # Sorted by name, real recordings come before synthetic ones.
    for (name,), audio, n_samples in sorted(recordings.batches(1), key=lambda batch: batch[0]):
        if int(n_samples) > MAX_SAMPLES or len(arrays) == 2 * N_ACTIVATIONS:
            continue
        features, n_features = oracle.features(audio, n_samples)
        encoded, _ = oracle.encode(features, n_features)
        arrays[f"{name}.features"] = features[0, :, : int(n_features)].numpy()
        arrays[f"{name}.encoded"] = encoded[0].numpy()
    numpy.savez(folder / ACTIVATIONS, **arrays)
    write_goldens(folder, "tiny", checkpoint, transcripts)


def write_goldens(
    folder: Path, name: str, checkpoint: Path, transcripts: list[ReferenceTranscript]
) -> None:
    """Writes NeMo's transcript of every recording, and the provenance of the goldens."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(format_row(it)) for it in transcripts]
    tokens_file(folder, name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    provenance = {
        "generator": "cargo xtask parity --write-goldens",
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": sha256(checkpoint),
        "nemo": version("nemo_toolkit"),
        "torch": version("torch"),
        "decoding": "greedy_batch, max_symbols 10, float32, CPU, one recording at a time",
        "words": "ends cut to the next start and to the end of the audio; CTC: first to last frame",
    }
    write_json(provenance_file(folder, name), provenance)


def format_row(transcripts: ReferenceTranscript) -> dict:
    """Returns the line of one recording; floats are rounded to `N_DIGITS`."""
    whole = asdict(transcripts)
    text = json.dumps(whole.pop("emissions") | whole)
    return json.loads(text, parse_float=lambda digits: round(float(digits), N_DIGITS))


def compare_goldens(
    folder: Path,
    name: str,
    checkpoint: Path,
    transcripts: list[ReferenceTranscript],
    report: Report,
) -> None:
    """Compares the goldens with NeMo's transcripts of this run."""
    provenance = json.loads(provenance_file(folder, name).read_text(encoding="utf-8"))
    if provenance["checkpoint_sha256"] != sha256(checkpoint):
        report.fail(f"the goldens of {name} are of another checkpoint: run with --write-goldens")
        return
    lines = tokens_file(folder, name).read_text(encoding="utf-8").splitlines()
    goldens = [json.loads(line) for line in lines]
    if [golden["file"] for golden in goldens] != [it.emissions.file for it in transcripts]:
        report.fail(f"the goldens of {name} are of other recordings: run with --write-goldens")
        return
    if any("durations" not in golden for golden in goldens):
        report.fail(f"the goldens of {name} have tokens and frames alone: run with --write-goldens")
        return
    for golden, now in zip(goldens, transcripts):
        report.compare_emissions(name, "goldens", now.emissions, Emissions.from_json(golden))


def tokens_file(folder: Path, name: str) -> Path:
    """Returns the path of the transcripts."""
    return folder / ("tokens.jsonl" if name == "tiny" else f"{name}.jsonl")


def provenance_file(folder: Path, name: str) -> Path:
    """Returns the path of the provenance."""
    return folder / ("provenance.json" if name == "tiny" else f"{name}.provenance.json")
