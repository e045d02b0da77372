"""Compares a bundle, and the output of our binary, with NeMo on the same checkpoint.

Runs in the NeMo environment. For every recording, alone and in batches of 7 and 32: normalised
log-mel and encoder output on valid frames, every token and its encoder frame. Prints each figure
beside its limit and ends with exit code 1 where one is passed.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Iterator

import soundfile
import torch
from torch import Tensor

from archive_search import Archive
from emissions import Emissions
from goldens import compare_goldens, write_goldens
from manifest import sha256
from oracle import Oracle
from parity_report import Report

BATCHES = (1, 7, 32)


def main() -> int:
    """Runs the command line."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    recordings = Recordings(arguments.audio, arguments.root)
    oracle, archive = Oracle(arguments.checkpoint), Archive(arguments.bundle)
    if archive.manifest["source"]["sha256"] != sha256(arguments.checkpoint):
        raise SystemExit(f"error: {arguments.bundle} was exported from another checkpoint")
    report = Report()
    with torch.inference_mode():
        for n_together in BATCHES:
            mode = "alone" if n_together == 1 else f"batches of {n_together}"
            print(f"comparing {len(recordings.files)} recordings, {mode}", file=sys.stderr)
            emissions = compare(oracle, archive, recordings, n_together, mode, report)
            if n_together == 1:
                references = emissions
        if arguments.write_goldens:
            write_goldens(arguments, oracle, recordings, references)
    if arguments.goldens is not None and not arguments.write_goldens:
        compare_goldens(arguments.goldens, arguments.checkpoint, references, report)
    if arguments.transcript is not None:
        compare_transcript(arguments.transcript, recordings, references, report)
    return report.finish()


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", nargs="+", type=Path, help="16 kHz wav and flac files, or folders")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE.nemo")
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="what goldens name files from"
    )
    parser.add_argument("--goldens", type=Path, metavar="DIR", help="compared, or written")
    parser.add_argument("--write-goldens", action="store_true", help="write --goldens from NeMo")
    parser.add_argument(
        "--transcript",
        type=Path,
        metavar="FILE",
        help="what `parakeet-worker transcribe --format json --tokens` printed, to be compared too",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    if arguments.write_goldens and arguments.goldens is None:
        parser.error("--write-goldens needs --goldens DIR")
    return arguments


class Recordings:
    """The recordings by name, in the order given."""

    def __init__(self, paths: list[Path], root: Path) -> None:
        self.root = root
        self.files = {self.name(path): path for path in expand(paths)}

    def name(self, path: Path) -> str:
        """The path from the root, with forward slashes: what goldens call the recording."""
        return os.path.relpath(path, self.root).replace(os.sep, "/")

    def batches(self, n_together: int) -> Iterator[tuple[list[str], Tensor, Tensor]]:
        """Names, audio (N, S) padded with zeros, and lengths (N)."""
        names = list(self.files)
        for start in range(0, len(names), n_together):
            batch = names[start : start + n_together]
            audio = [read(self.files[name]) for name in batch]
            lengths = torch.tensor([len(samples) for samples in audio])
            yield batch, torch.nn.utils.rnn.pad_sequence(audio, batch_first=True), lengths


def expand(paths: list[Path]) -> Iterator[Path]:
    """The files, and those in the folders."""
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.suffix in (".wav", ".flac"))
        else:
            yield path


def read(path: Path) -> Tensor:
    """Mono samples in [-1, 1] at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != 16000 or samples.ndim != 1:
        raise SystemExit(f"error: {path} is not mono at 16 kHz")
    return torch.from_numpy(samples)


def compare(
    oracle: Oracle,
    archive: Archive,
    recordings: Recordings,
    n_together: int,
    mode: str,
    report: Report,
) -> dict[str, Emissions]:
    """Compares all recordings in batches of one size; returns NeMo's emissions."""
    emissions = {}
    for names, audio, n_samples in recordings.batches(n_together):
        features, n_features = oracle.features(audio, n_samples)
        encoded, n_frames = oracle.encode(features, n_features)
        references = oracle.emissions(names, encoded, n_frames)
        ours = archive.features(audio, n_samples)
        report.numbers("log-mel", mode, names, (features.mT, n_features), (ours[0].mT, ours[1]))
        ours = archive.encoder_output(audio, n_samples)
        report.numbers("encoder output", mode, names, (encoded, n_frames), ours)
        for reference, other in zip(references, archive.emissions(names, audio, n_samples)):
            report.emissions(f"archive, {mode}", reference, other)
            emissions[reference.file] = reference
    return emissions


def compare_transcript(
    transcript: Path, recordings: Recordings, references: dict[str, Emissions], report: Report
) -> None:
    """Compares what the binary printed: every recording, every token, every frame."""
    rows = {}
    for line in transcript.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows[recordings.name(Path(row["file"]))] = row["tokens"]
    for file, reference in references.items():
        if file not in rows:
            report.fail(f"{transcript} has no line for {file}")
            continue
        tokens = [token["id"] for token in rows[file]]
        frames = [token["frame"] for token in rows[file]]
        report.emissions("binary", reference, Emissions(file, reference.n_frames, tokens, frames))


if __name__ == "__main__":
    sys.exit(main())
