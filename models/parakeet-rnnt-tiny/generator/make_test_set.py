"""Writes the committed test set: 300 recordings whose texts no training or development text equals.

    python make_test_set.py --out DIR

`truth.jsonl` has one line per file: id, text, voice, kind ("free" word order or "template"), rate
(mean of its sentences), n_sentences, snr_db and noise (null when clean), peak_db, n_samples, words
(word, start, end in seconds). Running it again writes the same bytes, given the same packages.
"""

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import soundfile

from augment import Augmenter, set_peak
from sentences import VOCABULARY, is_held_out, sample_sentences
from speech import SAMPLE_RATE_HZ
from synthesize import N_DEV, N_TRAIN, SEED, plan_splits, render_parallel
from utterances import Plan, Utterance, plan_manner
from voices import VOICES

# Other seeds than 1 and 1001 of training and development; one for each source of randomness.
TEXT_SEED, MANNER_SEED, LEVEL_SEED, NOISE_SEED = 9001, 9002, 9003, 9004
N_RECORDINGS, N_LONG = 300, 15
# A long recording grows sentence by sentence until it has a random length from this range.
LONG_S = (20.0, 34.0)
MAX_LONG_S = 40.0
NOISE_SHARE = 0.4
SNR_DB, PEAK_DB = (10.0, 30.0), (-30.0, -1.0)
# One-word texts are rare among new texts, because training uses all that are not reserved.
N_LONE_WORDS = 10
# More than a long recording can use.
N_SENTENCES_PER_LONG = 16


@dataclass
class Recording:
    """One or more utterances of one voice and one kind, end to end."""

    kind: str
    utterances: list[Utterance]

    def join_samples(self) -> np.ndarray:
        """Returns the samples of all utterances, one after the other."""
        return np.concatenate([utterance.samples for utterance in self.utterances])

    def mean_rate(self) -> float:
        """Returns the mean speaking rate of the utterances."""
        rates = [utterance.plan.rate for utterance in self.utterances]
        return round(sum(rates) / len(rates), 3)

    def list_words(self) -> list[dict[str, str | float]]:
        """Returns the words with their times in seconds from the start of the recording."""
        words, shift = [], 0
        for utterance in self.utterances:
            moved = [(start + shift, end + shift) for start, end in utterance.spans]
            words += replace(utterance, spans=moved).list_words()
            shift += len(utterance.samples)
        return words


def plan_test() -> tuple[list[Plan], list[list[Plan]]]:
    """Plans the single sentences and, for each long recording, sentences enough to fill it.

    The i-th recording has voice i modulo the number of voices. Kinds change once per round of
    voices, so that each voice speaks both kinds equally often.
    """
    excluded = {" ".join(p.words) for split in plan_splits(SEED, N_TRAIN, N_DEV) for p in split}
    n_pool = 2 * (N_RECORDINGS + N_LONG * N_SENTENCES_PER_LONG)
    pairs = sample_sentences(TEXT_SEED, excluded)
    pool = [pair for pair in islice(pairs, n_pool) if pair[1] not in VOCABULARY]
    lone_words = [("free", word) for word in VOCABULARY if is_held_out(word)]
    pool = random.Random(f"lone-{TEXT_SEED}").sample(lone_words, N_LONE_WORDS) + pool
    of_kind = {kind: iter([x for x in pool if x[0] == kind]) for kind in ("free", "template")}
    n_voices = len(VOICES)
    kinds = [("free", "template")[i // n_voices % 2] for i in range(N_RECORDINGS)]
    counts = [1] * (N_RECORDINGS - N_LONG) + [N_SENTENCES_PER_LONG] * N_LONG
    texts = [list(islice(of_kind[kind], n)) for kind, n in zip(kinds, counts, strict=True)]
    manners = iter(plan_manner([text for group in texts for text in group], MANNER_SEED))
    groups = [
        [replace(plan, voice=i % n_voices) for plan in islice(manners, len(group))]
        for i, group in enumerate(texts)
    ]
    assert not {" ".join(p.words) for group in groups for p in group} & excluded
    n_single = N_RECORDINGS - N_LONG
    return [group[0] for group in groups[:n_single]], groups[n_single:]


def render_recordings(n_processes: int) -> list[Recording]:
    """Renders the plan; the long recordings come last, sentences that they do not need are left."""
    singles, longs = plan_test()
    plans = singles + [plan for group in longs for plan in group]
    rendered = {u.plan.words: u for u in render_parallel(plans, n_processes)}
    recordings = [Recording(plan.kind, [rendered[plan.words]]) for plan in singles]
    rng = random.Random(f"length-{MANNER_SEED}")
    for group in longs:
        wanted_s, n_samples, chosen = rng.uniform(*LONG_S), 0, []
        for plan in group:
            if n_samples < wanted_s * SAMPLE_RATE_HZ:
                chosen.append(rendered[plan.words])
                n_samples += len(rendered[plan.words].samples)
        assert wanted_s <= n_samples / SAMPLE_RATE_HZ <= MAX_LONG_S
        recordings.append(Recording(group[0].kind, chosen))
    return recordings


def write_recordings(folder: Path, recordings: Sequence[Recording]) -> None:
    """Adds noise and level, writes the FLAC files, their truth and their checksums."""
    noises = Augmenter(NOISE_SEED, [r.utterances[0].samples for r in recordings])
    level_rng = np.random.default_rng(LEVEL_SEED)
    noise_rng = np.random.default_rng(NOISE_SEED)
    colours = cycle(noises.banks)
    lines, sums = [], []
    for number, recording in enumerate(recordings, start=1):
        samples = recording.join_samples().astype(np.float32)
        peak_db = round(float(level_rng.uniform(*PEAK_DB)), 1)
        noise, snr_db = None, None
        if noise_rng.random() < NOISE_SHARE:
            noise = next(colours)
            snr_db = round(float(noise_rng.uniform(*SNR_DB)), 1)
            samples = noises.add_noise(samples, noise, snr_db, noise_rng)
        path = folder / f"{number:04d}.flac"
        pcm = np.round(set_peak(samples, peak_db) * 32767).astype(np.int16)
        soundfile.write(path, pcm, SAMPLE_RATE_HZ, subtype="PCM_16", compression_level=1.0)
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
        plan = recording.utterances[0].plan
        words = recording.list_words()
        line = {
            "id": path.stem,
            "text": " ".join(str(word["word"]) for word in words),
            "voice": VOICES[plan.voice].name,
            "kind": recording.kind,
            "rate": recording.mean_rate(),
            "n_sentences": len(recording.utterances),
            "snr_db": snr_db,
            "noise": noise,
            "peak_db": peak_db,
            "n_samples": len(pcm),
            "words": words,
        }
        lines.append(json.dumps(line))
    truth = "\n".join(lines) + "\n"
    (folder / "truth.jsonl").write_text(truth, encoding="utf-8")
    sums.append(f"{hashlib.sha256(truth.encode()).hexdigest()}  truth.jsonl")
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    recordings = render_recordings(arguments.processes)
    write_recordings(arguments.out, recordings)
    n_samples = sum(len(u.samples) for r in recordings for u in r.utterances)
    minutes = n_samples / SAMPLE_RATE_HZ / 60
    print(f"{len(recordings)} recordings, {minutes:.1f} min", file=sys.stderr)


if __name__ == "__main__":
    main()
