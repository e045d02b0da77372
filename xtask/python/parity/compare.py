"""Compares bundles, and the output of our program, with NeMo on the same checkpoints.

Runs in the NeMo environment. For the tiny model on shipped recordings, and for random models of
every head and variant on 0.1 to 60 s of audio: log-mel and encoder output on valid frames, every
token with its frame, duration and confidence, and the times of words and segments. Prints one
table, model by model, each figure beside its limit, and ends with exit code 1 where one is passed.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import torch

from exporter.export import export
from exporter.export import parse_arguments as parse_export_arguments
from exporter.manifest import sha256
from exporter.parakeet import COMPUTE_TYPES
from parity.archive_search import Archive
from parity.audio import write_recordings
from parity.batches import compare_alone_with_batches, compare_types
from parity.full_size import FULL_SHAPES, FULL_SIZE_AUDIO
from parity.goldens import compare_goldens, write_goldens, write_tiny_goldens
from parity.nemo_config import SHAPES, Shape
from parity.oracle import Oracle
from parity.random_nemo import write
from parity.recordings import Recordings, read
from parity.report import Report
from parity.timed_words import ReferenceTranscript
from parity.worker import Worker

ROOT = Path(__file__).parents[3]
TINY = ROOT / "models/parakeet-rnnt-tiny"
GOLDENS = ROOT / "tests/data/goldens"
# A quick run takes every seventh sentence. The step is coprime to the 8 voices, so a run has all.
SENTENCE_STEP = 7
# A random model is made again when one of these files is newer than its checkpoint.
GENERATOR = ("nemo_config.py", "random_nemo.py", "audio.py", "emission_rate.py")


def main() -> int:
    """Runs the command line. Exit code: 0, or 1 if a figure passes its limit."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    run = Run(arguments)
    if arguments.models is None:
        run.tiny()
    shapes = SHAPES | FULL_SHAPES if arguments.full else SHAPES
    for name in arguments.models or shapes:
        for head in (SHAPES | FULL_SHAPES)[name].heads:
            run.random(name, (SHAPES | FULL_SHAPES)[name], head)
    return run.report.finish()


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="parity.py", description=__doc__)
    parser.add_argument("--worker", type=Path, required=True, metavar="PROGRAM")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="for what is made")
    parser.add_argument("--full", action="store_true", help="all sentences, and true sizes too")
    parser.add_argument("--write-goldens", action="store_true", help="write NeMo's answers")
    parser.add_argument(
        "--models",
        type=lambda text: text.split(","),
        metavar="NAME,...",
        help=f"these random models alone: {', '.join(SHAPES | FULL_SHAPES)}",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    return parser.parse_args()


class Run:
    """One run of the comparison: its report, its folders and the program."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.work: Path = arguments.work.absolute()
        self.worker = Worker(arguments.worker.absolute(), arguments.threads)
        self.report = Report()
        self.audio = write_recordings(self.work / "audio")
        self.started = time.monotonic()

    def tiny(self) -> None:
        """Compares the trained model on the sentences of its test set and on real speech."""
        sentences = sorted((ROOT / "tests/data/tiny-300").glob("*.flac"))
        everything = self.arguments.full or self.arguments.write_goldens
        files = sentences if everything else sentences[::SENTENCE_STEP]
        recordings = Recordings(files + sorted((ROOT / "tests/data/speech").glob("*.wav")), ROOT)
        checkpoint = TINY / "parakeet-rnnt-tiny.nemo"
        with torch.inference_mode():
            transcripts, oracle = self.compare(
                "tiny", checkpoint, TINY, "rnnt", recordings, (1, 7, 32)
            )
            if self.arguments.write_goldens:
                write_tiny_goldens(GOLDENS, checkpoint, oracle, recordings, transcripts)
        if everything and not self.arguments.write_goldens:
            compare_goldens(GOLDENS, "tiny", checkpoint, transcripts, self.report)
        if self.arguments.full:
            self.print_progress("exporting tiny in every compute type")
            bundle = self.export(checkpoint, "rnnt", ",".join(COMPUTE_TYPES))
            compare_types(self.worker, bundle, sentences, self.report)
        self.report.close("tiny")

    def random(self, name: str, shape: Shape, head: str) -> None:
        """Compares a random model with one of its heads."""
        golden = name.startswith("golden-")
        folder = GOLDENS / "random" if golden else self.work
        checkpoint = folder / f"{name}.nemo"
        full_size = name in FULL_SHAPES
        files = [path for path in self.audio if path.stem in FULL_SIZE_AUDIO or not full_size]
        sources = [Path(__file__).parent / source for source in GENERATOR]
        stale = not checkpoint.exists() or (
            not golden
            and checkpoint.stat().st_mtime < max(source.stat().st_mtime for source in sources)
        )
        if stale:
            self.print_progress(f"making {name}")
            write(shape, checkpoint, [read(file) for file in files], half=golden)
        label = name if len(shape.heads) == 1 else f"{name} {head}"
        self.print_progress(f"exporting {label}")
        bundle = self.export(checkpoint, head)
        with torch.inference_mode():
            transcripts, _ = self.compare(
                label, checkpoint, bundle, head, Recordings(files, self.work), (1,)
            )
        for it in transcripts:
            self.report.count_emitting_frames(label, it.emissions)
        if golden:
            self.goldens(name, checkpoint, bundle, head)
        if full_size:
            shutil.rmtree(bundle)
            checkpoint.unlink()
        else:
            compare_alone_with_batches(self.worker, bundle, self.audio, label, self.report)
        self.report.close(label)

    def goldens(self, name: str, checkpoint: Path, bundle: Path, head: str) -> None:
        """Writes or compares the goldens, which tests without NeMo read."""
        label = f"{name} goldens"
        files = sorted((ROOT / "tests/data/speech").glob("*.wav"))
        files += sorted((ROOT / "tests/data/tiny-300").glob("*.flac"))[:40:8]
        with torch.inference_mode():
            transcripts, _ = self.compare(
                label, checkpoint, bundle, head, Recordings(files, ROOT), (1,)
            )
        self.report.close(label)
        if self.arguments.write_goldens:
            write_goldens(GOLDENS / "random", name, checkpoint, transcripts)
        else:
            compare_goldens(GOLDENS / "random", name, checkpoint, transcripts, self.report)

    def compare(
        self,
        label: str,
        checkpoint: Path,
        bundle: Path,
        head: str,
        recordings: Recordings,
        batches: tuple[int, ...],
    ) -> tuple[list[ReferenceTranscript], Oracle]:
        """Compares all stages; returns NeMo's transcripts of the recordings, each alone."""
        self.print_progress(f"comparing {label}")
        oracle, archive = Oracle(checkpoint, head), Archive(bundle)
        if archive.manifest["source"]["sha256"] != sha256(checkpoint):
            raise SystemExit(f"error: {bundle} was exported from another checkpoint")
        for n_together in batches:
            transcripts = self.compare_archive(label, oracle, archive, recordings, n_together)
            if n_together == 1:
                alone = transcripts
        # A model of true size does not fit into memory twice: once here and once in the program.
        del archive
        outputs = self.worker.transcribe(bundle, list(recordings.files.values()))
        for reference, ours in zip(alone, outputs):
            # The program's output does not state the number of frames.
            ours.emissions.n_frames = reference.emissions.n_frames
            self.report.compare_emissions(label, "program", reference.emissions, ours.emissions)
            self.report.compare_transcript(label, reference, ours)
        return alone, oracle

    def compare_archive(
        self,
        label: str,
        oracle: Oracle,
        archive: Archive,
        recordings: Recordings,
        n_together: int,
    ) -> list[ReferenceTranscript]:
        """Compares the archive in batches of `n_together`; returns NeMo's transcripts."""
        mode = "alone" if n_together == 1 else f"batches of {n_together}"
        answer = []
        for names, audio, n_samples in recordings.batches(n_together):
            features, n_features = oracle.features(audio, n_samples)
            encoded, n_frames = oracle.encode(features, n_features)
            transcripts = oracle.transcribe(names, encoded, n_frames, n_samples)
            ours = archive.features(audio, n_samples)
            pair = (features.mT, n_features), (ours[0].mT, ours[1])
            self.report.compare_tensors(label, f"log-mel, {mode}", names, *pair)
            ours = archive.encoder_output(audio, n_samples)
            self.report.compare_tensors(label, f"encoder, {mode}", names, (encoded, n_frames), ours)
            references = [it.emissions for it in transcripts]
            found = archive.emissions(references, audio, n_samples)
            for reference, (other, n_turned) in zip(references, found):
                self.report.compare_emissions(label, f"archive {mode}", reference, other, n_turned)
            answer += transcripts
        return answer

    def export(self, checkpoint: Path, head: str, types: str = "float32") -> Path:
        """Exports a checkpoint with one of its heads into the work folder; returns the bundle."""
        bundle = self.work / f"{checkpoint.stem}-{head}"
        options = ["--out", str(bundle), "--head", head, "--dtype", types]
        export(parse_export_arguments([str(checkpoint), *options]))
        return bundle

    def print_progress(self, step: str) -> None:
        """Prints progress on stderr, with the seconds since the start."""
        seconds = time.monotonic() - self.started
        print(f"[{seconds:4.0f} s] {step}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
