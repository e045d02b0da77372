"""Checks the claimed word times against the energy of the audio and prints one line per voice.

    python verify_times.py --data DIR --split train --n-per-voice 50

Three measures are measured minus claimed times, so positive values mean that the sound comes after
the claim. Each is in milliseconds, median [10th, 90th percentile] with the number of places:
- onset: start of energy against the claimed start, after silence (start of file or a long pause);
- offset: end of energy against the claimed end, before silence;
- sibilant: inside running speech, the place where energy above 4 kHz rises into a word that begins
  with "s" and follows a voiced sound, against the claimed start. This measure needs no silence, so
  it detects times that drift.
A stop consonant begins with a silent closure that belongs to the word. So onsets and offsets are
measured at words that begin or end with a continuous sound. The last column is the loudest 5 ms
frame in the middle half of the claimed long pauses, relative to the loud frames of the utterance.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

RATE_HZ = 16_000
HOP = RATE_HZ // 200
MS_PER_FRAME = 1000 * HOP / RATE_HZ
# 30 dB below the loud frames: above the synthesisers' breath noise, below their weakest vowel.
THRESHOLD_DB = -30.0
MIN_SILENCE_S = 0.25
# Frames on either side of the claim in which an edge is searched.
N_SEARCH_FRAMES = 40
STARTS_SOFTLY = tuple("aeioulmnrwvy")
ENDS_SOFTLY = tuple("aiounlmry")
VOICED_END = tuple("aeiounlmry")


def measure_levels(samples: np.ndarray) -> np.ndarray:
    """Returns the level of every 5 ms frame in dB, 0 being the loud frames (95th percentile)."""
    frames = samples[: len(samples) // HOP * HOP].reshape(-1, HOP).astype(np.float64)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-3)
    return level - np.percentile(level, 95)


def measure_hiss(samples: np.ndarray) -> np.ndarray:
    """Returns for every 5 ms frame the share of energy above 4 kHz, in a 10 ms window around it."""
    window = 2 * HOP
    padded = np.pad(samples.astype(np.float64), (HOP // 2, window))
    n_frames = len(samples) // HOP
    starts = np.arange(n_frames) * HOP
    frames = padded[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames)) ** 2 + 1e-3
    return power[:, power.shape[1] // 2 :].sum(axis=1) / power.sum(axis=1)


def find_rise(values: np.ndarray, near: float, threshold: float) -> float | None:
    """Returns the frame nearest to `near` at which values cross the threshold upwards."""
    first, last = max(1, int(near) - N_SEARCH_FRAMES), int(near) + N_SEARCH_FRAMES
    above = values > threshold
    rises = [i for i in range(first, min(last, len(values))) if above[i] and not above[i - 1]]
    return min(rises, key=lambda i: abs(i - near), default=None)


def check_utterance(line: dict, samples: np.ndarray, found: dict[str, list[float]]) -> None:
    """Measures one utterance, and appends the differences to the lists of `found`."""
    level, hiss, words = measure_levels(samples), measure_hiss(samples), line["words"]
    frames_per_s = RATE_HZ / HOP
    edges = [(0.0, words[0]["start"])]
    edges += [(a["end"], b["start"]) for a, b in zip(words, words[1:], strict=False)]
    edges.append((words[-1]["end"], line["n_samples"] / RATE_HZ))
    for i, (silence_start, silence_end) in enumerate(edges):
        if silence_end - silence_start < MIN_SILENCE_S:
            continue
        if i < len(words) and words[i]["word"].startswith(STARTS_SOFTLY):
            near = silence_end * frames_per_s
            measured = find_rise(level, near, THRESHOLD_DB)
            if measured is not None:
                found["onset"].append((measured - near) * MS_PER_FRAME)
        if i > 0 and words[i - 1]["word"].endswith(ENDS_SOFTLY):
            near = silence_start * frames_per_s
            measured = find_rise(level[::-1], len(level) - near, THRESHOLD_DB)
            if measured is not None:
                found["offset"].append((len(level) - measured - near) * MS_PER_FRAME)
        quarter = (silence_end - silence_start) / 4
        if 0 < i < len(words):
            first = int((silence_start + quarter) * frames_per_s)
            last = int((silence_end - quarter) * frames_per_s)
            found["pause"].append(float(level[first:last].max()))
    for before, word in zip(words, words[1:], strict=False):
        touches = word["start"] - before["end"] < 0.001
        if touches and word["word"].startswith("s") and before["word"].endswith(VOICED_END):
            near = word["start"] * frames_per_s
            measured = find_rise(hiss, near, 0.4)
            if measured is not None:
                found["sibilant"].append((measured - near) * MS_PER_FRAME)


def describe(values: list[float]) -> str:
    """Formats the median, the 10th and 90th percentile and the number of values."""
    if not values:
        return "none"
    low, median, high = np.percentile(values, [10, 50, 90])
    return f"{median:+5.0f} [{low:+5.0f}, {high:+5.0f}] n={len(values):<4d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--n-per-voice", type=int, default=50)
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    n_checked: dict[str, int] = defaultdict(int)
    for text in (arguments.data / f"{arguments.split}.jsonl").read_text().splitlines():
        line = json.loads(text)
        if n_checked[line["voice"]] == arguments.n_per_voice:
            continue
        n_checked[line["voice"]] += 1
        shard = np.memmap(arguments.data / line["audio"], dtype="<i2", mode="r")
        first = line["offset_samples"]
        check_utterance(line, shard[first : first + line["n_samples"]], found[line["voice"]])
    for voice, measures in found.items():
        columns = [f"{name} {describe(measures[name])}" for name in ("onset", "offset", "sibilant")]
        pauses = measures["pause"]
        columns.append(f"pause {max(pauses, default=float('nan')):+.0f} dB n={len(pauses)}")
        print(f"{voice:13s} {'  '.join(columns)}")


if __name__ == "__main__":
    main()
