"""When two token sequences count as the same."""

import unittest

import miniature  # noqa: F401

from emissions import Emissions, NearTie, first_difference


def emissions(steps: list[tuple[int, int]], n_frames: int = 9) -> Emissions:
    """Emissions of (token, frame) steps."""
    return Emissions("a.wav", n_frames, [t for t, _ in steps], [f for _, f in steps])


class FirstDifference(unittest.TestCase):
    reference = emissions([(5, 1), (6, 1), (7, 4)])
    reference.near_ties.append(NearTie(3, 2, 16, 7, 5e-4))

    def test_the_same_tokens_on_the_same_frames_do_not_differ(self) -> None:
        self.assertIsNone(first_difference(self.reference, emissions([(5, 1), (6, 1), (7, 4)])))

    def test_another_token_differs(self) -> None:
        self.assertEqual(
            first_difference(self.reference, emissions([(5, 1), (8, 1), (7, 4)])),
            "token 1 is 8 on frame 1, expected 6 on frame 1",
        )

    def test_another_frame_differs(self) -> None:
        self.assertEqual(
            first_difference(self.reference, emissions([(5, 1), (6, 1), (7, 5)])),
            "token 2 is 7 on frame 5, expected 7 on frame 4",
        )

    def test_a_missing_and_an_added_token_differ(self) -> None:
        self.assertEqual(
            first_difference(self.reference, emissions([(5, 1), (6, 1)])),
            "token 2 is absent, expected 7 on frame 4",
        )
        self.assertEqual(
            first_difference(self.reference, emissions([(5, 1), (6, 1), (7, 4), (7, 8)])),
            "token 3 is 7 on frame 8, expected absent",
        )

    def test_another_length_differs(self) -> None:
        other = emissions([(5, 1), (6, 1), (7, 4)], n_frames=10)
        self.assertEqual(first_difference(self.reference, other), "10 encoder frames, expected 9")

    def test_a_near_tie_is_recognised_where_the_two_part(self) -> None:
        other = emissions([(5, 1), (6, 1), (7, 3), (9, 3)])
        self.assertEqual(first_difference(self.reference, other), self.reference.near_ties[0])

    def test_a_near_tie_elsewhere_excuses_nothing(self) -> None:
        other = emissions([(5, 1), (6, 1), (7, 2)])
        self.assertIsInstance(first_difference(self.reference, other), str)
        other = emissions([(5, 1), (7, 3)])
        self.assertIsInstance(first_difference(self.reference, other), str)

    def test_emissions_survive_json(self) -> None:
        self.assertEqual(Emissions.from_json(self.reference.to_json()), self.reference)


if __name__ == "__main__":
    unittest.main()
