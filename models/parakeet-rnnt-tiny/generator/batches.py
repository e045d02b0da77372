"""Makes training batches: joins, speeds up and degrades utterances, and groups similar lengths.

The input is the output of `synthesize.py`. Every random choice depends on (seed, epoch) alone, so a
run can be repeated.
"""

import dataclasses
import functools
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import sentencepiece
import torch

from augment import Augmenter
from joins import SAMPLE_RATE_HZ, Utterance, join

# One encoder frame: 10 ms hop, subsampling 8.
FRAME_S = 0.08
# Frames by which a word's first token may miss the word's start. One frame lets the network choose
# the nearer side of an onset between two frames. More frames would show in the word times.
START_SLACK = 1
# Frames by which a later token may miss its place inside the word. The place is only an estimate
# from the spelling.
INNER_SLACK = 2
BATCH_S = 64.0
BATCH_MAX_UTTERANCES = 24
# Batches are padded to one of few lengths, each a tenth above the length before, because oneDNN
# builds new kernels for every shape that is not in its cache.
LENGTHS_S = [1.1**i for i in range(48)]
# Share and range of changes of speed. A change moves pitch and formants, so eight voices sound like
# many speakers.
SPEED_SHARE = 0.7
SPEED = (0.87, 1.15)
JOINED_MAX_S = 40.0
WORDLESS_SHARE = 0.01
# Share of a voice's utterances in an epoch, if not 1. The network learned these voices first.
EPOCH_SHARE = {"espeak-us": 0.5, "espeak-gb-f2": 0.5}


@dataclasses.dataclass
class Batch:
    """audio float32 (N, S), n_samples (N); per utterance, token ids and their allowed frames."""

    audio: torch.Tensor
    n_samples: torch.Tensor
    tokens: list[list[int]]
    ranges: list[list[tuple[int, int]]]


def load_split(data: pathlib.Path, split: str) -> list[Utterance]:
    """Maps the shards of one split into memory, and returns their utterances."""
    shards: dict[str, np.ndarray] = {}
    utterances = []
    with open(data / f"{split}.jsonl") as lines:
        for line in lines:
            item = json.loads(line)
            name = item["audio"]
            if name not in shards:
                shards[name] = np.memmap(data / name, dtype="<i2", mode="r")
            start = item["offset_samples"]
            words = [(w["word"], w["start"], w["end"]) for w in item["words"]]
            utterances.append(
                Utterance(shards[name][start : start + item["n_samples"]], words, item["voice"])
            )
    return utterances


def place_tokens(
    words: list[tuple[str, float, float]], tokenizer: sentencepiece.SentencePieceProcessor
) -> tuple[list[int], list[tuple[int, int]]]:
    """Returns the token ids of the words, and the encoder frames on which each may be emitted."""
    tokens, ranges = [], []
    for word, start, end in words:
        pieces = tokenizer.encode(word, out_type=str)
        start_frame = round(start / FRAME_S)
        end_frame = max(start_frame, round(end / FRAME_S) - 1)
        n_letters = sum(len(piece) for piece in pieces)
        seen = 0
        for position, piece in enumerate(pieces):
            if position == 0:
                low, high = start_frame - START_SLACK, start_frame + START_SLACK
            else:
                expected = round((start + (end - start) * seen / n_letters) / FRAME_S)
                low = max(start_frame, expected - INNER_SLACK)
                high = max(low, min(end_frame, expected + INNER_SLACK))
            tokens.append(tokenizer.piece_to_id(piece))
            ranges.append((low, high))
            seen += len(piece)
    return tokens, ranges


def change_speed(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """Plays most utterances at another speed; word times follow."""
    if rng.random() >= SPEED_SHARE:
        return utterance
    speed = rng.uniform(*SPEED)
    places = np.arange(0.0, len(utterance.samples) - 1, speed)
    samples = np.interp(places, np.arange(len(utterance.samples)), utterance.samples)
    words = [(word, start / speed, end / speed) for word, start, end in utterance.words]
    return dataclasses.replace(utterance, samples=samples.astype(np.int16), words=words)


def plan_epoch(
    utterances: list[Utterance], joined_share: float, rng: np.random.Generator
) -> list[list[Utterance]]:
    """Shuffles, joins some utterances, and groups the result into batches of like length.

    `joined_share` of the items of an epoch are joins of up to a dozen utterances.
    """
    order = [
        i
        for i in rng.permutation(len(utterances))
        if rng.random() < EPOCH_SHARE.get(utterances[i].voice, 1.0)
    ]
    items: list[Utterance] = []
    while order:
        parts = [utterances[order.pop()]]
        if rng.random() < joined_share:
            limit = rng.uniform(8.0, JOINED_MAX_S)
            while order and sum(len(p.samples) for p in parts) < (limit - 6.0) * SAMPLE_RATE_HZ:
                parts.append(utterances[order.pop()])
        items.append(join(parts, rng) if len(parts) > 1 else parts[0])
    for _ in range(int(len(items) * WORDLESS_SHARE)):
        n_samples = int(rng.uniform(1.0, 6.0) * SAMPLE_RATE_HZ)
        hiss = (rng.standard_normal(n_samples) * rng.uniform(1.0, 1000.0)).astype(np.int16)
        items.append(Utterance(hiss, [], "none"))
    # Random factors, so that an item has other neighbours in every epoch.
    items.sort(key=lambda item: len(item.samples) * rng.uniform(0.93, 1.07))
    batches: list[list[Utterance]] = [[]]
    for item in items:
        longest = padded_length(max(len(i.samples) for i in [*batches[-1], item]))
        n_items = len(batches[-1]) + 1
        full = longest * n_items > BATCH_S * SAMPLE_RATE_HZ or n_items > BATCH_MAX_UTTERANCES
        if full and batches[-1]:
            batches.append([])
        batches[-1].append(item)
    rng.shuffle(batches)
    return batches


def padded_length(n_samples: int) -> int:
    """Returns the next of the lengths to which batches are padded."""
    return next(n for s in LENGTHS_S if (n := int(s * SAMPLE_RATE_HZ)) >= n_samples)


def collate(
    items: list[Utterance],
    tokenizer: sentencepiece.SentencePieceProcessor,
    degrade: Callable[[np.ndarray, float], np.ndarray] | None = None,
) -> Batch:
    """Pads a batch, after applying `degrade` to every utterance if it is given."""
    placed = [place_tokens(item.words, tokenizer) for item in items]
    waves = [np.asarray(item.samples, np.float32) / 32768.0 for item in items]
    if degrade is not None:
        waves = [
            degrade(wave, item.least_snr_db) for wave, item in zip(waves, items, strict=True)
        ]
    audio = np.zeros((len(waves), padded_length(max(map(len, waves)))), np.float32)
    for row, wave in enumerate(waves):
        audio[row, : len(wave)] = wave
    return Batch(
        torch.from_numpy(audio),
        torch.tensor([len(wave) for wave in waves]),
        [tokens for tokens, _ in placed],
        [ranges for _, ranges in placed],
    )


class TrainingBatches(torch.utils.data.IterableDataset):
    """Endless training batches from epoch 0 on; a loader makes them in its own process."""

    def __init__(
        self,
        utterances: list[Utterance],
        tokenizer: sentencepiece.SentencePieceProcessor,
        joined_share: float,
        seed: int,
    ) -> None:
        self.utterances, self.tokenizer = utterances, tokenizer
        self.joined_share, self.seed = joined_share, seed

    def __iter__(self) -> Iterator[Batch]:
        babble = [utterance.samples for utterance in self.utterances[:200]]
        augmenter = Augmenter(self.seed, babble)
        for epoch in itertools.count():
            rng = np.random.default_rng([self.seed, epoch])
            degrade = functools.partial(augmenter.augment, rng=rng)
            for items in plan_epoch(self.utterances, self.joined_share, rng):
                items = [change_speed(item, rng) for item in items]
                yield collate(items, self.tokenizer, degrade)
