"""Collects what a parity run compared, and says it: a figure, its limit, and where it was worst."""

from dataclasses import dataclass

from torch import Tensor

from emissions import MAX_DIFFERENT, Emissions, NearTie, first_difference

# Of normalised features and of encoder output, which are both about unit size.
MAX_DEVIATION = 1e-3


@dataclass
class Deviation:
    """The largest difference of one kind."""

    n_files: int = 0
    worst: float = 0.0
    where: str = "-"


@dataclass
class Agreement:
    """How far token sequences agree."""

    n_files: int = 0
    n_tokens: int = 0
    n_emissions: int = 0
    n_near_ties: int = 0


class Report:
    """Figures by what was compared, and failures in the order found."""

    def __init__(self) -> None:
        self.deviations: dict[str, Deviation] = {}
        self.agreements: dict[str, Agreement] = {}
        self.failures: list[str] = []

    def numbers(
        self,
        kind: str,
        mode: str,
        names: list[str],
        reference: tuple[Tensor, Tensor],
        other: tuple[Tensor, Tensor],
    ) -> None:
        """Compares two padded batches (N, time, width) with their valid lengths (N)."""
        deviation = self.deviations.setdefault(f"{kind}, {mode}", Deviation())
        for row, name in enumerate(names):
            n, n_other = int(reference[1][row]), int(other[1][row])
            deviation.n_files += 1
            if n != n_other:
                self.fail(f"{kind}, {mode}: {name} has {n_other} frames, expected {n}")
                continue
            difference = (reference[0][row, :n] - other[0][row, :n]).abs()
            worst = float(difference.max()) if n else 0.0
            # Written so that not a number is a failure.
            if not worst <= MAX_DEVIATION:
                place = divmod(int(difference.argmax()), difference.size(1))
                self.fail(
                    f"{kind}, {mode}: {name} is off by {worst:.2e} at frame {place[0]}, "
                    f"column {place[1]} of {list(difference.shape)}"
                )
            if not worst <= deviation.worst:
                deviation.worst, deviation.where = worst, name

    def emissions(self, kind: str, reference: Emissions, other: Emissions) -> None:
        """Compares the tokens and frames of one recording."""
        agreement = self.agreements.setdefault(kind, Agreement())
        agreement.n_files += 1
        agreement.n_tokens += len(reference.tokens)
        agreement.n_emissions += reference.n_emissions
        difference = first_difference(reference, other)
        if isinstance(difference, NearTie):
            agreement.n_near_ties += 1
            print(
                f"near tie: {kind}: {reference.file} differs at frame {difference.frame}, where "
                f"NeMo's two best are {difference.gap:.1e} apart"
            )
        elif difference is not None:
            self.fail(f"{kind}: {reference.file}: {difference}")

    def fail(self, reason: str) -> None:
        """Records a failure."""
        self.failures.append(reason)

    def finish(self) -> int:
        """Prints everything; returns the exit code."""
        for kind, deviation in self.deviations.items():
            print(
                f"{kind}: {deviation.n_files} recordings, worst difference {deviation.worst:.1e} "
                f"(limit {MAX_DEVIATION:.0e}) in {deviation.where}"
            )
        for kind, agreement in self.agreements.items():
            print(
                f"{kind}: {agreement.n_files} recordings, {agreement.n_tokens} tokens, "
                f"{agreement.n_emissions} emissions, {agreement.n_near_ties} near ties differ "
                f"(limit {MAX_DIFFERENT * agreement.n_emissions:.1f})"
            )
            if agreement.n_near_ties > MAX_DIFFERENT * agreement.n_emissions:
                self.fail(f"{kind}: {agreement.n_near_ties} near ties differ")
        for failure in self.failures:
            print(f"FAILED {failure}")
        print("parity does not hold" if self.failures else "parity holds")
        return 1 if self.failures else 0
