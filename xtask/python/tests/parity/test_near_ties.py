"""Tests of scoring the reference's path again: its steps, and which of them are near ties."""

import unittest

import torch
from torch import Tensor

from parity.emissions import Emissions
from parity.near_ties import ctc_steps, joint_steps, near_ties

BLANK = 2


def scripted(choices: dict[tuple[int, int], list[float]], durations: int = 0):
    """Returns a joint whose outputs are `choices` by (frame, n_tokens), and blank elsewhere."""
    quiet = [0.0, 0.0, 5.0] + [0.0, 5.0][:durations]

    def score(frame: Tensor, n_tokens: Tensor) -> Tensor:
        places = zip(frame.tolist(), n_tokens.tolist())
        return torch.tensor([choices.get(place, quiet) for place in places])

    return score


class JointSteps(unittest.TestCase):
    def test_an_rnnt_has_a_step_per_token_and_a_blank_per_frame(self) -> None:
        choices = {(1, 0): [5.0, 0.0, 0.0], (1, 1): [0.0, 5.0, 0.0]}
        emissions = Emissions("a", 3, [0, 1], [1, 1], [1, 1])
        steps = joint_steps(scripted(choices), emissions, BLANK, [])
        self.assertEqual(
            [(step.frame, step.n_tokens, step.token) for step in steps],
            [(0, 0, BLANK), (1, 0, 0), (1, 1, 1), (1, 2, BLANK), (2, 2, BLANK)],
        )
        self.assertEqual(near_ties(steps), [])

    def test_a_frame_with_as_many_tokens_as_are_allowed_has_no_blank(self) -> None:
        choices = {(0, n): [5.0, 0.0, 0.0] for n in range(10)}
        emissions = Emissions("a", 2, [0] * 10, [0] * 10, [1] * 10)
        steps = joint_steps(scripted(choices), emissions, BLANK, [])
        self.assertEqual([step.frame for step in steps], [0] * 10 + [1])

    def test_a_tdt_moves_by_its_durations(self) -> None:
        choices = {(1, 0): [5.0, 0.0, 0.0, 5.0, 0.0], (1, 1): [0.0, 0.0, 5.0, 5.0, 0.0]}
        # Blank lasts 3 frames, the token 0, and the blank after the token 0, which counts as 1.
        score = scripted(choices, durations=2)
        emissions = Emissions("a", 6, [0], [1], [0])
        with self.assertRaisesRegex(AssertionError, "cannot be followed"):
            joint_steps(score, emissions, BLANK, [0, 3])
        emissions = Emissions("a", 6, [0], [1], [0])
        steps = joint_steps(score, emissions, BLANK, [0, 1])
        self.assertEqual(
            [(step.frame, step.token, step.duration) for step in steps],
            [(0, 2, 1), (1, 0, 0), (1, 2, 0), (2, 2, 1), (3, 2, 1), (4, 2, 1), (5, 2, 1)],
        )

    def test_a_close_second_is_a_near_tie_whichever_was_chosen(self) -> None:
        for chosen, close in ((0, [5.0, 4.9995, 0.0]), (1, [5.0, 4.9995, 0.0])):
            emissions = Emissions("a", 1, [chosen], [0], [1])
            (tie,) = near_ties(joint_steps(scripted({(0, 0): close}), emissions, BLANK, []))
            self.assertEqual((tie.frame, tie.n_tokens), (0, 0))
            self.assertEqual(tie.tokens, [chosen, 1 - chosen])
            self.assertEqual(tie.durations, [])

    def test_a_close_second_duration_is_a_near_tie(self) -> None:
        emissions = Emissions("a", 1, [0], [0], [3])
        choices = {(0, 0): [5.0, 0.0, 0.0, 4.9995, 5.0]}
        (tie,) = near_ties(joint_steps(scripted(choices, 2), emissions, BLANK, [1, 3]))
        self.assertEqual((tie.tokens, tie.durations), ([0], [3, 1]))

    def test_a_path_that_is_not_greedy_is_refused(self) -> None:
        emissions = Emissions("a", 1, [1], [0], [1])
        steps = joint_steps(scripted({(0, 0): [5.0, 4.9, 0.0]}), emissions, BLANK, [])
        with self.assertRaisesRegex(AssertionError, "not greedy on frame 0"):
            near_ties(steps)

    def test_an_utterance_without_frames_has_no_steps(self) -> None:
        self.assertEqual(joint_steps(scripted({}), Emissions("a", 0, [], [], []), BLANK, []), [])


class CtcSteps(unittest.TestCase):
    def test_a_run_is_done_on_the_frame_after_its_end(self) -> None:
        best = [0, 0, 1, 2, 1]
        scores = torch.nn.functional.one_hot(torch.tensor(best), 3).float()
        steps = ctc_steps(scores, BLANK)
        self.assertEqual([step.n_tokens for step in steps], [0, 0, 0, 1, 2])
        self.assertEqual([step.token for step in steps], best)


if __name__ == "__main__":
    unittest.main()
