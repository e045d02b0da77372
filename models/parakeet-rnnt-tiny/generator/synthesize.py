"""Writes the training and development speech: raw int16 shards and one JSON line per utterance.

    python synthesize.py --out DIR [--seed 1] [--n-train 13200] [--n-dev 200] [--processes 2]

A line of `train.jsonl` or `dev.jsonl` has: audio (shard file), offset_samples, n_samples, voice,
kind, rate, text, words (word, start, end in seconds). Shards are little-endian int16, mono, 16 kHz,
ready for `numpy.memmap`. Everything follows from the seed.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pool
from pathlib import Path
from typing import IO

from speech import SAMPLE_RATE_HZ
from utterances import Plan, Utterance, plan_training, render_all
from voices import VOICES

# The sets that the published model was trained on. The test set has none of their texts.
SEED, N_TRAIN, N_DEV = 1, 13200, 200
# Utterances that one process renders with one voice: many enough to amortise the start of festival,
# few enough to show progress.
BATCH = 40
# One hour of audio, about 115 MB.
MAX_SHARD_SAMPLES = 3600 * SAMPLE_RATE_HZ


def render_batch(plans: Sequence[Plan]) -> list[Utterance]:
    """Renders one batch; the result can be sent between processes."""
    return list(render_all(plans))


def split_batches(plans: list[Plan]) -> list[list[Plan]]:
    """Splits plans into batches of `BATCH`."""
    return [plans[i : i + BATCH] for i in range(0, len(plans), BATCH)]


def render_parallel(plans: Sequence[Plan], n_processes: int) -> Iterator[Utterance]:
    """Renders the plans in batches of one voice; the order depends on the plans alone.

    Each batch runs in a fresh process. The engines keep state from one sentence to the next, and
    the samples must not depend on which process was free.
    """
    per_voice = [
        split_batches([plan for plan in plans if plan.voice == voice])
        for voice in range(len(VOICES))
    ]
    n_rounds = max(len(batches) for batches in per_voice)
    batches = [b[i] for i in range(n_rounds) for b in per_voice if i < len(b)]
    with Pool(n_processes, maxtasksperchild=1) as pool:
        for utterances in pool.imap(render_batch, batches):
            yield from utterances


class ShardWriter:
    """Appends utterances to shards of at most an hour, and a line per utterance to the index."""

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        self.index: IO[str] = open(folder / f"{split}.jsonl", "w", encoding="utf-8")
        self.n_shards, self.n_samples = 0, MAX_SHARD_SAMPLES
        self.shard: IO[bytes] | None = None

    def append(self, utterance: Utterance) -> None:
        """Writes one utterance; opens the next shard first if this one is full."""
        if self.n_samples + len(utterance.samples) > MAX_SHARD_SAMPLES:
            self.open_next_shard()
        line = {
            "audio": self.shard_name(),
            "offset_samples": self.n_samples,
            "n_samples": len(utterance.samples),
            "voice": VOICES[utterance.plan.voice].name,
            "kind": utterance.plan.kind,
            "rate": utterance.plan.rate,
            "text": " ".join(utterance.plan.words),
            "words": utterance.list_words(),
        }
        self.index.write(json.dumps(line) + "\n")
        self.shard.write(utterance.samples.tobytes())
        self.n_samples += len(utterance.samples)

    def open_next_shard(self) -> None:
        """Closes the current shard, if any, and opens the next."""
        if self.shard:
            self.shard.close()
        self.n_shards += 1
        self.n_samples = 0
        self.shard = open(self.folder / self.shard_name(), "wb")

    def shard_name(self) -> str:
        """Returns the file name of the current shard."""
        return f"{self.split}-{self.n_shards:02d}.i16"

    def close(self) -> None:
        """Closes the index and the current shard."""
        self.index.close()
        if self.shard:
            self.shard.close()


def write_split(folder: Path, split: str, plans: Sequence[Plan], n_processes: int) -> None:
    """Renders the plans and writes them as one split; prints progress on stderr."""
    writer = ShardWriter(folder, split)
    began, n_samples = time.monotonic(), 0
    for i, utterance in enumerate(render_parallel(plans, n_processes), start=1):
        writer.append(utterance)
        n_samples += len(utterance.samples)
        if i % 200 == 0 or i == len(plans):
            hours, wall = n_samples / SAMPLE_RATE_HZ / 3600, time.monotonic() - began
            print(f"{split}: {i}/{len(plans)}, {hours:.2f} h in {wall:.0f} s", file=sys.stderr)
    writer.close()


def plan_splits(seed: int, n_train: int, n_dev: int) -> tuple[list[Plan], list[Plan]]:
    """Plans the training and development sets; no text is in both."""
    train = plan_training(seed, seed, n_train, set())
    texts = {" ".join(plan.words) for plan in train}
    return train, plan_training(seed + 1000, seed + 1000, n_dev, texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--n-train", type=int, default=N_TRAIN)
    parser.add_argument("--n-dev", type=int, default=N_DEV)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    train, dev = plan_splits(arguments.seed, arguments.n_train, arguments.n_dev)
    write_split(arguments.out, "dev", dev, arguments.processes)
    write_split(arguments.out, "train", train, arguments.processes)


if __name__ == "__main__":
    main()
