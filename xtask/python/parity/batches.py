"""Compares the program with itself: recordings transcribed alone and in batches."""

import json
import random
from pathlib import Path

import torch

from parity.report import Report
from parity.worker import Transcript, Worker

N_BATCHES = 20
# Percentage points of word error rate between alone and batched.
MAX_WORD_ERRORS = 0.1
# Types in which batching changes no token. In the other types it may change a few words.
EXACT = ("float32", "int8", "int8_float32")


def compare_alone_with_batches(
    worker: Worker, bundle: Path, files: list[Path], model: str, report: Report
) -> None:
    """Compares tokens, frames and durations in float32, alone and in 20 random batches."""
    alone = dict(zip(files, worker.transcribe(bundle, files)))
    chance = random.Random(1)
    row = report.row(model, f"{N_BATCHES} random batches", "recordings", 0)
    for _ in range(N_BATCHES):
        batch = chance.sample(files, chance.randint(2, 8))
        for file, ours in zip(batch, worker.transcribe(bundle, batch, batch_size=len(batch))):
            row.add(ours.emissions.steps != alone[file].emissions.steps, file.name)


def compare_types(worker: Worker, bundle: Path, files: list[Path], report: Report) -> None:
    """Compares every compute type of the tiny model, alone and in batches of 32 recordings."""
    spoken = read_truth(files[0].parent)
    for compute_type in json.loads((bundle / "manifest.json").read_text())["archives"]:
        if compute_type == "int8" and not torch.cpu._is_vnni_supported():
            print("NOT COMPARED HERE: int8, which is refused on a CPU without VNNI", flush=True)
            continue
        alone = dict(zip(files, worker.transcribe(bundle, files, compute_type)))
        shuffled = random.Random(1).sample(files, len(files))
        batched = dict(zip(shuffled, worker.transcribe(bundle, shuffled, compute_type, 32)))
        if compute_type in EXACT:
            row = report.row("tiny", f"{compute_type}, batches of 32", "recordings", 0)
            for file in files:
                same = alone[file].emissions.steps == batched[file].emissions.steps
                row.add(not same, file.name)
        rates = [word_error_rate(transcripts, spoken) for transcripts in (alone, batched)]
        row = report.row(
            "tiny", f"{compute_type}, WER alone - batched", "recordings", MAX_WORD_ERRORS
        )
        row.record_maximum(
            100 * abs(rates[0] - rates[1]), f"{rates[0]:.4f} and {rates[1]:.4f}", len(files)
        )


def read_truth(folder: Path) -> dict[str, list[str]]:
    """Returns the words spoken in each recording of the test set."""
    lines = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["id"]: [word["word"] for word in row["words"]] for row in rows}


def word_error_rate(recognised: dict[Path, Transcript], spoken: dict[str, list[str]]) -> float:
    """Returns word errors per spoken word."""
    n_errors = sum(
        edit_distance(it.text.split(), spoken[file.stem]) for file, it in recognised.items()
    )
    return n_errors / sum(len(spoken[file.stem]) for file in recognised)


def edit_distance(recognised: list[str], spoken: list[str]) -> int:
    """Returns the Levenshtein distance between two lists of words."""
    costs = list(range(len(spoken) + 1))
    for i, word in enumerate(recognised, 1):
        diagonal, costs[0] = costs[0], i
        for j, other in enumerate(spoken, 1):
            best = min(costs[j] + 1, costs[j - 1] + 1, diagonal + (word != other))
            diagonal, costs[j] = costs[j], best
    return costs[-1]
