"""The request to a synthesiser and its answer, which all backends of `voices.py` share."""

from dataclasses import dataclass, field

import numpy as np

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True)
class Request:
    """A sentence to speak.

    `commas` are the indices of the words that a comma follows. `rate` and `pitch` are factors: a
    `rate` of 1.2 is 20 % faster.
    """

    words: tuple[str, ...]
    commas: frozenset[int]
    rate: float
    pitch: float


@dataclass
class Speech:
    """Samples, mono at SAMPLE_RATE_HZ in [-1, 1], and (start, end) in samples for each word."""

    samples: np.ndarray
    spans: list[tuple[int, int]] = field(default_factory=list)


class SpeechError(Exception):
    """The synthesiser did not speak the words one by one, so their times are not known."""


def write_text(request: Request) -> str:
    """Returns the sentence with its commas and a full stop, one token per word."""
    last = len(request.words) - 1
    return " ".join(
        word + ("." if i == last else "," if i in request.commas else "")
        for i, word in enumerate(request.words)
    )
