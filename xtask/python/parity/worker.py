"""Runs parakeet-worker and reads its output."""

import json
import math
import subprocess
from dataclasses import dataclass
from pathlib import Path

from parity.emissions import Emissions
from parity.timed_words import Segment, Word

# One pass over each recording, and segments that end at punctuation alone, as NeMo's do.
LIKE_NEMO = ["--chunk-seconds", "60", "--segment-pause", "7000", "--segment-length", "7000"]


@dataclass
class Transcript:
    """The program's transcript of one recording."""

    text: str
    emissions: Emissions
    words: list[Word]
    segments: list[Segment]


@dataclass
class Worker:
    """The program parakeet-worker and its number of threads."""

    program: Path
    threads: int

    def transcribe(
        self,
        bundle: Path,
        files: list[Path],
        compute_type: str = "float32",
        batch_size: int = 1,
    ) -> list[Transcript]:
        """Transcribes files in batches of `batch_size`."""
        options = ["--format", "json", "--tokens", "--device", "cpu", *LIKE_NEMO]
        options += ["--compute-type", compute_type, "--threads", str(self.threads)]
        options += ["--model", str(bundle), "--batch-size", str(batch_size)]
        command = [str(self.program), "transcribe", *options, *map(str, files)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        n_symbols = json.loads((bundle / "manifest.json").read_text())["blank_id"] + 1
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if [line["file"] for line in lines] != [str(file) for file in files]:
            raise SystemExit(f"error: {self.program} did not answer for every file in order")
        return [read_transcript(line, n_symbols) for line in lines]


def read_transcript(line: dict, n_symbols: int) -> Transcript:
    """Reads one line of JSON output; `n_symbols` of the model counts blank."""
    tokens = line["tokens"]
    probabilities = [math.exp(token["log_prob"]) for token in tokens]
    emissions = Emissions(
        line["file"],
        # The output does not state the number of frames.
        n_frames=-1,
        tokens=[token["id"] for token in tokens],
        frames=[token["frame"] for token in tokens],
        durations=[token["duration"] for token in tokens],
        confidences=[(it * n_symbols - 1) / (n_symbols - 1) for it in probabilities],
    )
    words = [
        Word(word["word"], word["start"], word["end"], word["confidence"])
        for segment in line["segments"]
        for word in segment["words"]
    ]
    segments = [Segment(it["text"], it["start"], it["end"]) for it in line["segments"]]
    return Transcript(line["text"], emissions, words, segments)
