"""Cuts long recordings into pieces for the peers, which encode each input in one pass."""

from collections.abc import Iterator

import soundfile
from numpy import ndarray

SAMPLE_RATE_HZ = 16_000
# The length of our longest chunk.
PIECE_S = 30
# Eight pieces take 26.8 s in a batch and 30.4 s one by one in NeMo's float32; onnx-asr has the same
# times for both.
BATCH = 8


def pieces(files: list[str]) -> list[ndarray]:
    """Reads 16 kHz recordings; returns their samples in pieces of at most 30 s."""
    size = PIECE_S * SAMPLE_RATE_HZ
    recordings = [soundfile.read(it, dtype="float32")[0] for it in files]
    return [it[at : at + size] for it in recordings for at in range(0, len(it), size)]


def batches(recordings: list[ndarray]) -> Iterator[list[ndarray]]:
    """Yields `BATCH` pieces at a time."""
    for at in range(0, len(recordings), BATCH):
        yield recordings[at : at + BATCH]
