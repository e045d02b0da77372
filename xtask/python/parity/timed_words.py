"""NeMo's words and segments, with the one change that we make to their times: the cut.

A word ends where the next one starts at the latest, and everything ends with the audio.
"""

from dataclasses import dataclass, field
from typing import Any

from parity.emissions import Emissions

SAMPLE_RATE_HZ = 16000
# Seconds from one encoder frame to the next.
STRIDE = 0.08
# What may stand between the end of a sentence and the space after it.
CLOSING = "\"')]}\xbb\u201d\u2019"


@dataclass
class Word:
    """A word with its times in seconds and its confidence."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass
class Segment:
    """What lies between two ends of sentences."""

    text: str
    start: float
    end: float


@dataclass
class Heard:
    """What NeMo heard in one recording: tokens, and words and segments with times.

    A CTC's `words` have the times of our rule; `touching_words` those of NeMo's own.
    """

    emissions: Emissions
    words: list[Word]
    segments: list[Segment]
    touching_words: list[Word] = field(default_factory=list)


def cut_words(hypothesis: Any, n_samples: int) -> list[Word]:
    """The words of NeMo's hypothesis. One without text, a bare word mark, is none."""
    timed = [word for word in hypothesis.timestamp["word"] if word["word"].strip()]
    confidences = hypothesis.word_confidence
    if len(timed) != len(confidences):
        raise AssertionError(f"NeMo has {len(timed)} words and {len(confidences)} confidences")
    words = []
    limit = n_samples / SAMPLE_RATE_HZ
    for word, confidence in zip(reversed(timed), reversed(confidences)):
        start = min(STRIDE * float(word["start_offset"]), limit)
        end = min(max(STRIDE * float(word["end_offset"]), start), limit)
        words.append(Word(word["word"].strip(), start, end, float(confidence)))
        limit = start
    return words[::-1]


def segments(hypothesis: Any, words: list[Word]) -> list[Segment]:
    """NeMo's segments, which end at punctuation alone, with the times of their cut words.

    As ours do, they end at a mark inside a closing quote too.
    """
    answer, first = [], 0
    for segment in hypothesis.timestamp["segment"]:
        text = segment["segment"].split()
        own = words[first : first + len(text)]
        first += len(text)
        if [word.text for word in own] != text:
            raise AssertionError(f"NeMo's segment {text} is not made of its words")
        run: list[Word] = []
        for word in own:
            run.append(word)
            if word is own[-1] or word.text.rstrip(CLOSING).endswith((".", "?", "!")):
                answer.append(Segment(" ".join(it.text for it in run), run[0].start, run[-1].end))
                run = []
    return answer
