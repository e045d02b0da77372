"""Tests of the rule by which two sequences of emissions count as the same."""

import unittest

from parity.emissions import Emissions, NearTie, first_difference


def emissions(steps: list[tuple[int, int, int]], n_frames: int = 9) -> Emissions:
    """Returns the emissions of (token, frame, duration) steps."""
    tokens, frames, durations = (list(column) for column in zip(*steps))
    return Emissions("a.wav", n_frames, tokens, frames, durations)


class FirstDifference(unittest.TestCase):
    steps = ((5, 1, 1), (6, 1, 1), (7, 4, 1))
    reference = emissions(list(steps))
    reference.near_ties.append(NearTie(3, 2, [16, 9], [], 5e-4))

    def differ(self, *steps: tuple[int, int, int], n_frames: int = 9) -> NearTie | str | None:
        return first_difference(self.reference, emissions(list(steps), n_frames))

    def test_the_same_steps_do_not_differ(self) -> None:
        self.assertIsNone(self.differ(*self.steps))

    def test_another_token_differs(self) -> None:
        self.assertEqual(
            self.differ((5, 1, 1), (8, 1, 1), (7, 4, 1)),
            "token 1 is 8 on frame 1 for 1, expected 6 on frame 1 for 1",
        )

    def test_another_frame_differs(self) -> None:
        reference = emissions([(5, 1, 1), (7, 4, 1)])
        self.assertEqual(
            first_difference(reference, emissions([(5, 1, 1), (7, 5, 1)])),
            "token 1 is 7 on frame 5 for 1, expected 7 on frame 4 for 1",
        )

    def test_another_duration_differs(self) -> None:
        self.assertEqual(
            self.differ((5, 1, 1), (6, 1, 2), (7, 4, 1)),
            "token 1 is 6 on frame 1 for 2, expected 6 on frame 1 for 1",
        )

    def test_a_missing_and_an_added_token_differ(self) -> None:
        reference = emissions(list(self.steps))
        self.assertEqual(
            first_difference(reference, emissions([(5, 1, 1), (6, 1, 1)])),
            "token 2 is absent, expected 7 on frame 4 for 1",
        )
        self.assertEqual(
            first_difference(reference, emissions([*self.steps, (7, 8, 1)])),
            "token 3 is 7 on frame 8 for 1, expected absent",
        )

    def test_another_length_differs(self) -> None:
        self.assertEqual(self.differ(*self.steps, n_frames=10), "10 encoder frames, expected 9")

    def test_a_near_tie_is_recognised_where_the_two_part(self) -> None:
        tie = self.reference.near_ties[0]
        self.assertEqual(self.differ((5, 1, 1), (6, 1, 1), (9, 3, 1)), tie)

    def test_a_near_tie_elsewhere_excuses_nothing(self) -> None:
        self.assertIsInstance(self.differ((5, 1, 1), (6, 1, 1), (7, 2, 1)), str)
        self.assertIsInstance(self.differ((5, 1, 1), (7, 3, 1)), str)

    def test_a_run_may_be_longer_by_a_near_tie_in_it_and_not_by_a_later_one(self) -> None:
        reference = emissions([(5, 1, 3), (6, 6, 2)])
        longer = emissions([(5, 1, 4), (6, 6, 2)])
        reference.near_ties.append(NearTie(4, 0, [16, 5], [], 5e-4))
        self.assertIsInstance(first_difference(reference, longer), NearTie)
        reference.near_ties[0] = NearTie(5, 0, [16, 5], [], 5e-4)
        self.assertIsInstance(first_difference(reference, longer), str)

    def test_emissions_survive_json(self) -> None:
        self.assertEqual(Emissions.from_json(self.reference.to_json()), self.reference)


class Excuse(unittest.TestCase):
    def test_only_the_two_best_are_excused(self) -> None:
        tie = NearTie(0, 0, [3, 4], [2], 1e-4)
        self.assertTrue(tie.excuses(4, 2))
        self.assertFalse(tie.excuses(5, 2))
        self.assertFalse(tie.excuses(4, 1))
        self.assertTrue(NearTie(0, 0, [3, 4], [], 1e-4).excuses(4, 1))


if __name__ == "__main__":
    unittest.main()
