"""NeMo's words and segments, with the one change that our engine makes to their times.

The engine cuts the end of a word to the start of the next word, and to the end of the audio.
"""

from dataclasses import dataclass, field
from typing import Any

from parity.emissions import Emissions

SAMPLE_RATE_HZ = 16000
# Seconds from one encoder frame to the next.
STRIDE = 0.08
# Characters that may stand between a sentence's last mark and the space after it.
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
    """A run of words up to the end of a sentence, with times in seconds."""

    text: str
    start: float
    end: float


@dataclass
class ReferenceTranscript:
    """NeMo's transcript of one recording: tokens, and words and segments with times.

    The goldens store the fields under these names. A CTC's `words` have the times of our rule, and
    its `touching_words` the times of NeMo's own rule.
    """

    emissions: Emissions
    words: list[Word]
    segments: list[Segment]
    touching_words: list[Word] = field(default_factory=list)


def cut_words(hypothesis: Any, n_samples: int) -> list[Word]:
    """Returns the words of NeMo's hypothesis. A bare word mark, which has no text, is no word."""
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
    """Returns NeMo's segments, which end at punctuation alone, with the times of their cut words.

    A segment also ends at a mark inside a closing quote, as the engine's segments do.
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
