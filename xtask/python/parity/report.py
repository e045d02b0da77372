"""Collects the figures of a parity run, and prints them with their limits as one table.

The rows of a model are printed when its comparison ends. A run takes long, and a run that is
stopped has then printed the figures of the models before.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from parity.emissions import MAX_DIFFERENT, Emissions, NearTie, first_difference
from parity.timed_words import ReferenceTranscript, Segment, Word
from parity.worker import Transcript

# Limit for normalised features and encoder output, both of about unit size.
MAX_DEVIATION = 1e-3
# Limit for confidences; the program prints four digits of a word's confidence.
MAX_CONFIDENCE = 1e-4
# Half of the last place of a printed confidence.
ROUNDING = 0.5e-4
# Limit for times in seconds; the program prints milliseconds.
MAX_TIME = 1e-3
# Limits for the share of frames that emit. Below them little is compared; above them the emissions
# are unlike speech.
EMITTING = (0.2, 0.4)


@dataclass
class Row:
    """One kind of figure of one model: how many were compared, the worst or the sum, and where."""

    unit: str
    limit: float
    n: int = 0
    figure: float = 0.0
    where: str = ""

    def record_maximum(self, figure: float, where: str, n: int = 1) -> None:
        """Keeps the largest figure; NaN counts as infinite."""
        self.n += n
        if not figure <= self.figure:
            self.figure, self.where = math.inf if math.isnan(figure) else figure, where

    def add(self, figure: float, where: str, n: int = 1) -> None:
        """Adds a figure to the sum."""
        self.n += n
        self.figure += figure
        if figure:
            self.where = where

    @property
    def holds(self) -> bool:
        """Whether the figure is within its limit; a row without comparisons does not hold."""
        return self.n > 0 and self.figure <= self.limit


class Report:
    """Rows by model and stage, and failures in the order in which they were found."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.failures: list[str] = []
        self.closed: set[str] = set()

    def row(self, model: str, stage: str, unit: str, limit: float) -> Row:
        """Returns the row of this model and stage; the first call creates it."""
        return self.rows.setdefault((model, stage), Row(unit, limit))

    def compare_tensors(
        self,
        model: str,
        stage: str,
        names: list[str],
        reference: tuple[Tensor, Tensor],
        other: tuple[Tensor, Tensor],
    ) -> None:
        """Compares two padded batches (N, time, width) with their valid lengths (N)."""
        row = self.row(model, stage, "recordings", MAX_DEVIATION)
        for i, name in enumerate(names):
            n, n_other = int(reference[1][i]), int(other[1][i])
            if n != n_other:
                self.fail(f"{model}, {stage}: {name} has {n_other} frames, expected {n}")
                continue
            difference = (reference[0][i, :n] - other[0][i, :n]).abs()
            row.record_maximum(float(difference.max()) if n else 0.0, name)

    def compare_emissions(
        self, model: str, decoder: str, reference: Emissions, other: Emissions, n_turned: int = 0
    ) -> None:
        """Compares tokens, frames, durations and confidences of one recording.

        At `n_turned` near ties the search replaced its choice by that of the reference.
        """
        steps = self.row(model, f"tokens, {decoder}", "tokens", 0)
        ties = self.row(model, f"near ties, {decoder}", "emissions", MAX_DIFFERENT)
        difference = first_difference(reference, other)
        if isinstance(difference, NearTie):
            n_turned, difference = n_turned + 1, None
        if difference is not None:
            self.fail(f"{model}, {decoder}: {reference.file}: {difference}")
        steps.add(difference is not None, reference.file, len(reference.tokens))
        ties.add(n_turned, reference.file, reference.n_emissions)
        same = len(reference.tokens) if reference.steps == other.steps else 0
        confidence = self.row(model, f"confidence, {decoder}", "tokens", MAX_CONFIDENCE)
        for expected, actual in zip(reference.confidences[:same], other.confidences):
            confidence.record_maximum(abs(expected - actual), reference.file)

    def count_emitting_frames(self, model: str, reference: Emissions) -> None:
        """Counts the frames that emit, so that a model without emissions cannot pass."""
        speaking = self.row(model, "frames that emit", "frames", EMITTING[1])
        speaking.add(len(set(reference.frames)), "", reference.n_frames)
        crowd = [reference.frames.count(frame) for frame in set(reference.frames)]
        several = self.row(model, "frames with several tokens", "frames", math.inf)
        several.add(sum(n > 1 for n in crowd), "", reference.n_frames)
        full = self.row(model, "frames with 10 tokens", "frames", math.inf)
        full.add(sum(n == 10 for n in crowd), "", reference.n_frames)

    def compare_transcript(
        self, model: str, reference: ReferenceTranscript, ours: Transcript
    ) -> None:
        """Compares the words and segments that the program printed."""
        file = reference.emissions.file
        if reference.emissions.steps != ours.emissions.steps:
            # The comparison of tokens has reported this difference.
            return
        self.compare_spans(model, "word", file, reference.words, ours.words)
        self.compare_spans(model, "segment", file, reference.segments, ours.segments)
        confidence = self.row(model, "confidence, words", "words", MAX_CONFIDENCE)
        for expected, actual in zip(reference.words, ours.words):
            # The rounding of the output to four decimals is no difference.
            error = abs(expected.confidence - actual.confidence) - ROUNDING
            confidence.record_maximum(max(error, 0.0), file)

    def compare_spans(
        self,
        model: str,
        kind: str,
        file: str,
        reference: list[Word] | list[Segment],
        ours: list[Word] | list[Segment],
    ) -> None:
        """Compares texts and times of words or segments."""
        texts = self.row(model, f"{kind}s", f"{kind}s", 0)
        times = self.row(model, f"{kind} times", f"{kind}s", MAX_TIME)
        pair = [it.text for it in reference], [it.text for it in ours]
        texts.add(pair[0] != pair[1], file, len(reference))
        if pair[0] != pair[1]:
            self.fail(f"{model}, {kind}s: {file}: {describe_first_difference(*pair)}")
            return
        for i, (expected, actual) in enumerate(zip(reference, ours)):
            error = max(abs(expected.start - actual.start), abs(expected.end - actual.end))
            times.record_maximum(error, file)
            if error > MAX_TIME:
                self.fail(
                    f"{model}, {kind} times: {file}: {kind} {i}, {actual.text[:40]!r}, is at "
                    f"{actual.start:.3f}-{actual.end:.3f} s, expected "
                    f"{expected.start:.3f}-{expected.end:.3f} s"
                )

    def fail(self, reason: str) -> None:
        """Records a failure."""
        self.failures.append(reason)

    def close(self, model: str) -> None:
        """Prints the rows of a model whose comparison is over."""
        if not self.closed:
            print_line("model", "stage", "compared", "figure", "limit", "")
        for (owner, stage), row in self.rows.items():
            if owner == model:
                self.close_row(model, stage, row)
        self.closed.add(model)

    def close_row(self, model: str, stage: str, row: Row) -> None:
        """Prints one row; counts whose limits are shares are divided first."""
        if stage.startswith(("near ties", "frames")):
            row.figure /= max(row.n, 1)
        if stage == "frames that emit" and row.figure < EMITTING[0]:
            self.fail(f"{model}: {row.figure:.3f} of the frames emit, expected {EMITTING[0]}")
        limit = "" if row.limit == math.inf else f"{row.limit:g}"
        verdict = "" if row.holds else f"FAILED {row.where}"
        print_line(model, stage, f"{row.n} {row.unit}", f"{row.figure:.3g}", limit, verdict)

    def finish(self) -> int:
        """Prints the failures and the verdict; returns the exit code."""
        left_open = {model for model, _ in self.rows} - self.closed
        assert not left_open, f"rows of {left_open} were not printed"
        for failure in self.failures:
            print(f"FAILED {failure}")
        holds = bool(self.rows) and not self.failures
        holds = holds and all(row.holds for row in self.rows.values())
        print("parity holds" if holds else "parity does not hold")
        return 0 if holds else 1


def print_line(*cells: str) -> None:
    """Prints one line of the table, and flushes it."""
    widths = (19, 29, 20, 10, 7, 0)
    line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths))
    print(line.rstrip(), flush=True)


def describe_first_difference(expected: list[str], actual: list[str]) -> str:
    """Describes the first difference of two lists of texts."""
    for i, (one, other) in enumerate(zip(expected, actual)):
        if one != other:
            return f"number {i} is {other[:60]!r}, expected {one[:60]!r}"
    return f"there are {len(actual)}, expected {len(expected)}"
