"""Plans utterances from seeds and renders them to samples with true word times.

A plan holds every random choice, so a plan renders to the same samples in every process.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from sentences import is_held_out, sample_sentences
from speech import SAMPLE_RATE_HZ, Request, Speech
from voices import VOICES, speak

# A cut in the middle of a pause is faded over 5 ms, because a step in the signal would click.
N_FADE_SAMPLES = SAMPLE_RATE_HZ // 200


@dataclass(frozen=True)
class Plan:
    """The description of one utterance before it is rendered.

    `pauses` are pairs of a word's index and the seconds of silence after that word. `rate` and
    `pitch` are factors. `lead` and `tail` are seconds of silence before and after the words.
    `peak_db` is relative to full scale.
    """

    kind: str
    words: tuple[str, ...]
    voice: int
    rate: float
    pitch: float
    pauses: tuple[tuple[int, float], ...]
    lead: float
    tail: float
    peak_db: float


@dataclass
class Utterance:
    """A rendered plan: int16 samples and (start, end) in samples for each word."""

    plan: Plan
    samples: np.ndarray
    spans: list[tuple[int, int]]

    def list_words(self) -> list[dict[str, str | float]]:
        """Returns the words with their times in seconds."""
        return [
            {
                "word": word,
                "start": round(start / SAMPLE_RATE_HZ, 4),
                "end": round(end / SAMPLE_RATE_HZ, 4),
            }
            for word, (start, end) in zip(self.plan.words, self.spans, strict=True)
        ]


def plan_training(text_seed: int, manner_seed: int, n: int, excluded: set[str]) -> list[Plan]:
    """Plans utterances whose texts are neither in `excluded` nor reserved for the test set."""
    pairs = sample_sentences(text_seed, excluded)
    allowed = ((kind, text) for kind, text in pairs if not is_held_out(text))
    return plan_manner(list(islice(allowed, n)), manner_seed)


def plan_manner(texts: Sequence[tuple[str, str]], manner_seed: int) -> list[Plan]:
    """Plans a voice, in turn, and a random manner of speaking for each (kind, text).

    Kinds alternate, so the voice changes after every second sentence: each voice speaks both kinds.
    """
    rng = random.Random(f"manner-{manner_seed}")
    plans = []
    for i, (kind, text) in enumerate(texts):
        words = tuple(text.split())
        plan = Plan(
            kind=kind,
            words=words,
            voice=(i // 2) % len(VOICES),
            rate=round(rng.uniform(0.85, 1.2), 3),
            pitch=round(rng.uniform(0.9, 1.12), 3),
            pauses=plan_pauses(rng, len(words)),
            lead=rng.uniform(0.05, 0.6),
            tail=rng.uniform(0.05, 0.6),
            peak_db=rng.uniform(-14.0, -1.0),
        )
        plans.append(plan)
    return plans


def plan_pauses(rng: random.Random, n_words: int) -> tuple[tuple[int, float], ...]:
    """Puts up to three pauses of 0.1 to 1.5 s into about a third of the longer sentences."""
    if n_words < 3 or rng.random() > 0.35:
        return ()
    n_pauses = min(rng.randint(1, 3), n_words // 3)
    places = sorted(rng.sample(range(n_words - 1), n_pauses))
    # Uniform in the logarithm, because most pauses of speech are short.
    return tuple((place, math.exp(rng.uniform(math.log(0.1), math.log(1.5)))) for place in places)


def render_all(plans: Sequence[Plan]) -> Iterator[Utterance]:
    """Renders plans, all of one voice, in order."""
    requests = [
        Request(plan.words, frozenset(i for i, _ in plan.pauses), plan.rate, plan.pitch)
        for plan in plans
    ]
    for plan, speech in zip(plans, speak(VOICES[plans[0].voice], requests), strict=True):
        for word, pause in reversed(plan.pauses):
            speech = lengthen_pause(speech, word, round(pause * SAMPLE_RATE_HZ))
        speech = trim(speech, round(plan.lead * SAMPLE_RATE_HZ), round(plan.tail * SAMPLE_RATE_HZ))
        scale = 32767 * 10 ** (plan.peak_db / 20) / max(1e-6, float(np.abs(speech.samples).max()))
        samples = np.round(speech.samples * scale).astype("<i2")
        yield Utterance(plan, samples, speech.spans)


def lengthen_pause(speech: Speech, word: int, n_wanted: int) -> Speech:
    """Inserts zeros in the middle of the pause after `word` until it lasts `n_wanted` samples.

    A pause that already lasts `n_wanted` samples stays as the voice made it.
    """
    gap_start, gap_end = speech.spans[word][1], speech.spans[word + 1][0]
    n_extra = n_wanted - (gap_end - gap_start)
    if n_extra <= 0:
        return speech
    cut = (gap_start + gap_end) // 2
    before = fade_edge(speech.samples[:cut], at_end=True)
    after = fade_edge(speech.samples[cut:], at_end=False)
    samples = np.concatenate([before, np.zeros(n_extra, np.float32), after])
    shifted = [(start + n_extra, end + n_extra) for start, end in speech.spans[word + 1 :]]
    return Speech(samples, speech.spans[: word + 1] + shifted)


def trim(speech: Speech, n_lead: int, n_tail: int) -> Speech:
    """Leaves `n_lead` samples before the first word and `n_tail` after the last.

    The voice's own samples are kept as far as they reach; zeros fill the rest.
    """
    start, end = speech.spans[0][0], speech.spans[-1][1]
    first, last = max(0, start - n_lead), min(len(speech.samples), end + n_tail)
    kept = fade_edge(fade_edge(speech.samples[first:last], at_end=False), at_end=True)
    n_before, n_after = n_lead - (start - first), n_tail - (last - end)
    samples = np.pad(kept, (n_before, max(0, n_after)))
    shift = n_lead - start
    return Speech(samples, [(a + shift, b + shift) for a, b in speech.spans])


def fade_edge(samples: np.ndarray, *, at_end: bool) -> np.ndarray:
    """Returns a copy whose first or last 5 ms rise from, or fall to, zero."""
    n = min(N_FADE_SAMPLES, len(samples))
    ramp = np.linspace(0.0, 1.0, n, endpoint=False, dtype=np.float32)
    faded = samples.astype(np.float32, copy=True)
    if at_end:
        faded[len(faded) - n :] *= ramp[::-1]
    else:
        faded[:n] *= ramp
    return faded
