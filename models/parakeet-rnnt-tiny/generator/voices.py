"""The synthetic voices, and one call that speaks a sentence and says when each word sounds.

Every backend reports the times that its own synthesiser used to make the sound, so they are true
by construction and not an alignment: `voice_festival`, `voice_flite`, `voice_espeak`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True)
class Voice:
    """One voice: `engine` picks the backend, `handle` is the voice's name inside the engine."""

    name: str
    engine: str
    handle: str
    package: str
    licence: str


@dataclass(frozen=True)
class Request:
    """What to say. `commas` are the words after which a comma goes; `rate` 1.2 is 20 % faster."""

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


# From /usr/share/doc/<package>/copyright of Debian 12. All allow use and redistribution of what is
# made with them; the GPL covers espeak-ng itself and not the sound that it makes.
EDINBURGH = "Edinburgh/CMU permissive (MIT-like)"
EDINBURGH_AND_BSD = "CMU permissive (EST-2000, EST-2003) and BSD-3-Clause"
CMU = "CMU permissive (MIT-like)"
GPL = "GPL-3.0-or-later (the program)"

VOICES: tuple[Voice, ...] = (
    Voice("festival-kal", "festival", "kal_diphone", "festvox-kallpc16k", EDINBURGH),
    Voice("festival-ked", "festival", "ked_diphone", "festvox-kdlpc16k", EDINBURGH),
    Voice(
        "festival-slt", "festival", "cmu_us_slt_arctic_hts", "festvox-us-slt-hts", EDINBURGH_AND_BSD
    ),
    Voice("flite-awb", "flite", "awb", "libflite1", CMU),
    Voice("flite-rms", "flite", "rms", "libflite1", CMU),
    Voice("flite-slt", "flite", "slt", "libflite1", CMU),
    Voice("espeak-us", "espeak", "en-us", "libespeak-ng1", GPL),
    Voice("espeak-gb-f2", "espeak", "en-gb+f2", "libespeak-ng1", GPL),
)


def speak(voice: Voice, requests: Sequence[Request]) -> Iterator[Speech]:
    """Speaks the requests in order with one voice.

    Engines are imported here and not at the top because each loads its own shared library, and a
    process needs one.

    Raises SpeechError when a sentence was not spoken word by word.
    """
    if voice.engine == "festival":
        from voice_festival import speak_all
    elif voice.engine == "flite":
        from voice_flite import speak_all
    else:
        from voice_espeak import speak_all
    return speak_all(voice.handle, requests)


def write_text(request: Request) -> str:
    """Returns the sentence with its commas and a full stop, one token per word."""
    last = len(request.words) - 1
    return " ".join(
        word + ("." if i == last else "," if i in request.commas else "")
        for i, word in enumerate(request.words)
    )
