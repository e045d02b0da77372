"""Joins utterances into long recordings: with pauses, noisy pauses, no pauses, or steps of level.

A network that was trained on single sentences sometimes recognises a word differently when other
sentences stand next to it. Its result must not depend on the rest of a chunk.
"""

import dataclasses

import numpy as np

SAMPLE_RATE_HZ = 16_000
# Share of each kind of join.
KINDS = {"pauses": 0.3, "no pauses": 0.25, "noise": 0.3, "steps": 0.15}
PAUSE_S = (0.05, 2.0)
LONG_PAUSE_S = (2.0, 8.0)
LONG_PAUSE_SHARE = 0.05
# Root mean square of every part relative to full scale, and the range of its variation in dB.
LOUDNESS = 0.05
LOUDNESS_SPREAD_DB = 6.0
STEP_DB = (15.0, 35.0)
# Level of noise in the pauses, in dB below LOUDNESS.
NOISE_DB = (3.0, 25.0)
# Share of joins that are cut at both ends, and the most that is cut off in seconds. A chunk's
# context is cut like that, possibly inside a word.
CUT_SHARE = 0.5
CUT_S = 2.5
# Least level of speech above added noise, in dB. The noise must not hide quiet parts, nor the step
# from a noisy pause to silence.
LEAST_SNR_DB = {"pauses": 5.0, "no pauses": 5.0, "noise": 15.0, "steps": 45.0}


@dataclasses.dataclass
class Utterance:
    """One stretch of synthetic speech: `samples` int16 (S), words with times in seconds.

    least_snr_db: the augmenter keeps added noise this far below the speech
    """

    samples: np.ndarray
    words: list[tuple[str, float, float]]
    voice: str
    least_snr_db: float = 5.0

    @property
    def text(self) -> str:
        """The words, separated by spaces."""
        return " ".join(word for word, _, _ in self.words)


def join(parts: list[Utterance], rng: np.random.Generator) -> Utterance:
    """Joins utterances into one; kind, pauses and levels are random."""
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    samples, words, n_samples, is_low = [], [], 0, False
    step = 10.0 ** (-rng.uniform(*STEP_DB) / 20.0)
    noise = LOUDNESS * 10.0 ** (-rng.uniform(*NOISE_DB) / 20.0) if kind == "noise" else 0.0
    for part in parts:
        part = trim(part) if kind == "no pauses" else part
        is_low ^= kind == "steps" and rng.random() < 0.5
        level = 10.0 ** (rng.uniform(-0.5, 0.5) * LOUDNESS_SPREAD_DB / 20.0)
        speech = part.samples.astype(np.float32)
        loudness = max(float(np.sqrt(np.mean(speech**2))), 1.0)
        speech *= LOUDNESS * level * (step if is_low else 1.0) / loudness
        at = n_samples / SAMPLE_RATE_HZ
        words += [(word, at + start, at + end) for word, start, end in part.words]
        pause = np.zeros(0) if kind == "no pauses" else noise * make_pause(rng)
        samples += [speech, pause]
        n_samples += len(speech) + len(pause)
    whole = np.clip(np.concatenate(samples) * 32768.0, -32768, 32767).astype(np.int16)
    joined = Utterance(whole, words, "joined", LEAST_SNR_DB[kind])
    return cut(joined, rng) if rng.random() < CUT_SHARE else joined


def make_pause(rng: np.random.Generator) -> np.ndarray:
    """Returns noise of unit power and random colour, of the length of a pause."""
    limits = LONG_PAUSE_S if rng.random() < LONG_PAUSE_SHARE else PAUSE_S
    n_samples = int(rng.uniform(*limits) * SAMPLE_RATE_HZ)
    noise = rng.standard_normal(n_samples)
    if rng.random() < 0.5:
        noise = np.convolve(noise, rng.standard_normal(8), mode="same")
    return noise / np.sqrt(np.mean(noise**2))


def trim(utterance: Utterance) -> Utterance:
    """Returns the utterance from the start of its first word to the end of its last word."""
    if not utterance.words:
        return utterance
    return clip(utterance, utterance.words[0][1], utterance.words[-1][2])


def cut(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """Cuts up to `CUT_S` seconds off either end, possibly inside a word."""
    end = len(utterance.samples) / SAMPLE_RATE_HZ
    most = min(CUT_S, end / 4.0)
    return clip(utterance, rng.uniform(0.0, most), end - rng.uniform(0.0, most))


def clip(utterance: Utterance, start: float, end: float) -> Utterance:
    """Returns the samples between two times in seconds, and the words wholly between them."""
    first, last = round(start * SAMPLE_RATE_HZ), round(end * SAMPLE_RATE_HZ)
    words = [
        (word, from_ - start, to - start)
        for word, from_, to in utterance.words
        if from_ >= start - 1e-6 and to <= end + 1e-6
    ]
    return dataclasses.replace(utterance, samples=utterance.samples[first:last], words=words)
