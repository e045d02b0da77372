"""How the peers get long recordings, since they make one pass over what they are given."""

from collections.abc import Iterator

import soundfile
from numpy import ndarray

SAMPLE_RATE_HZ = 16_000
# As long as our longest chunk.
PIECE_S = 30
# Eight take 26.8 s together in NeMo's float32 and 30.4 one by one, in onnx-asr the same.
BATCH = 8


def pieces(files: list[str]) -> list[ndarray]:
    """The samples of 16 kHz recordings, one after the other, in pieces of at most 30 s."""
    size = PIECE_S * SAMPLE_RATE_HZ
    recordings = [soundfile.read(it, dtype="float32")[0] for it in files]
    return [it[at : at + size] for it in recordings for at in range(0, len(it), size)]


def batches(recordings: list[ndarray]) -> Iterator[list[ndarray]]:
    """Eight at a time."""
    for at in range(0, len(recordings), BATCH):
        yield recordings[at : at + BATCH]
