"""Tests of the plain search, with a scripted archive."""

import math
import unittest

import torch
from torch import Tensor

from parity.archive_search import Archive
from parity.emissions import Emissions, NearTie

BLANK = 3


class Script:
    """Maps (frame, number of tokens) to (token, duration); blank of duration 1 elsewhere."""

    def __init__(self, choices: dict[tuple[int, int], tuple[int, int]]) -> None:
        self.choices = choices
        self.n_tokens = 0

    def initial_state(self, n: int) -> tuple[Tensor]:
        self.n_tokens = 0
        return (torch.zeros(n),)

    def score(self, encoded: Tensor, predicted: Tensor, lanes: Tensor, window: int) -> Tensor:
        place = int(lanes[0, 1]), self.n_tokens
        token, duration = self.choices.get(place, (BLANK, 1))
        return torch.tensor([[[token, duration, math.log(0.7)]]])

    def advance(self, predicted: Tensor, emitted: Tensor) -> tuple[Tensor]:
        self.n_tokens += 1
        return (predicted,)


def archive(head: str, choices: dict[tuple[int, int], tuple[int, int]] | None = None) -> Archive:
    """Returns an archive with scripted scores."""
    made = Archive.__new__(Archive)
    made.module, made.blank, made.head = Script(choices or {}), BLANK, head
    return made


def reference(n_frames: int, *ties: NearTie) -> Emissions:
    """Returns a reference without tokens, with these near ties."""
    return Emissions("a", n_frames, [], [], [], near_ties=list(ties))


class Transducer(unittest.TestCase):
    def steps(self, head: str, n_frames: int, choices: dict, *ties: NearTie) -> tuple[list, int]:
        found, n_turned = archive(head, choices).search_transducer(
            torch.zeros(1), n_frames, reference(n_frames, *ties)
        )
        return found.steps, n_turned

    def test_an_rnnt_stays_on_a_frame_until_blank(self) -> None:
        choices = {(1, 0): (0, 0), (1, 1): (1, 0)}
        self.assertEqual(self.steps("rnnt", 3, choices), ([(0, 1, 1), (1, 1, 1)], 0))

    def test_ten_tokens_are_the_most_on_one_frame(self) -> None:
        choices = {(frame, n): (0, 0) for frame in range(2) for n in range(25)}
        found, _ = self.steps("rnnt", 2, choices)
        self.assertEqual([step[1] for step in found], [0] * 10 + [1] * 10)

    def test_a_tdt_moves_by_its_durations_and_blank_by_one_at_least(self) -> None:
        choices = {(0, 0): (BLANK, 0), (1, 0): (0, 2), (3, 1): (BLANK, 2), (5, 1): (1, 4)}
        self.assertEqual(self.steps("tdt", 6, choices)[0], [(0, 1, 2), (1, 5, 4)])

    def test_confidence_is_0_for_a_guess_among_all_symbols(self) -> None:
        made = archive("rnnt")
        self.assertAlmostEqual(made.confidence(math.log(0.25)), 0.0)
        self.assertAlmostEqual(made.confidence(0.0), 1.0)

    def test_at_a_near_tie_the_choice_of_the_reference_is_taken_and_counted(self) -> None:
        choices = {(0, 0): (0, 0), (1, 0): (2, 0)}
        tie = NearTie(0, 0, [BLANK, 0], [], 1e-4)
        self.assertEqual(self.steps("rnnt", 2, choices, tie), ([(2, 1, 1)], 1))
        tie = NearTie(0, 0, [0, BLANK], [], 1e-4)
        self.assertEqual(self.steps("rnnt", 2, choices, tie), ([(0, 0, 1)], 0))

    def test_a_near_tie_excuses_no_third_choice(self) -> None:
        tie = NearTie(0, 0, [BLANK, 1], [], 1e-4)
        self.assertEqual(self.steps("rnnt", 1, {(0, 0): (0, 0)}, tie), ([(0, 0, 1)], 0))

    def test_a_near_tie_of_durations_is_one(self) -> None:
        tie = NearTie(0, 0, [0], [1, 2], 1e-4)
        self.assertEqual(self.steps("tdt", 3, {(0, 0): (0, 2)}, tie), ([(0, 0, 1)], 1))


class Ctc(unittest.TestCase):
    def runs(self, labels: list[int], *ties: NearTie) -> tuple[list, int, list[float]]:
        rows = [[label, 1.0, math.log(0.5 + 0.1 * frame)] for frame, label in enumerate(labels)]
        found, n_turned = archive("ctc").search_ctc(
            torch.tensor([rows]), len(labels), reference(len(labels), *ties)
        )
        return found.steps, n_turned, found.confidences

    def test_repeats_merge_and_a_blank_parts_equal_tokens(self) -> None:
        steps, _, _ = self.runs([0, 0, BLANK, 0, 1])
        self.assertEqual(steps, [(0, 0, 2), (0, 3, 1), (1, 4, 1)])

    def test_the_confidence_of_a_run_is_its_least(self) -> None:
        _, _, (confidence,) = self.runs([0, 0, 0])
        self.assertAlmostEqual(confidence, (0.5 * 4 - 1) / 3, places=6)

    def test_a_near_tie_may_end_a_run(self) -> None:
        steps, n_turned, _ = self.runs([0, 0], NearTie(1, 0, [BLANK, 0], [], 1e-4))
        self.assertEqual((steps, n_turned), ([(0, 0, 1)], 1))


if __name__ == "__main__":
    unittest.main()
