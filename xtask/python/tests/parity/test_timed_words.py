"""Tests of the cut that is applied to NeMo's words before they are compared."""

import unittest
from types import SimpleNamespace

from parity.timed_words import cut_words, segments


def hypothesis(*words: tuple[str, int, int], ends: tuple[str, ...] = (".",)) -> SimpleNamespace:
    """Returns NeMo's hypothesis of words at encoder frames; a segment ends at `ends`."""
    runs: list[list[str]] = [[]]
    for word, _, _ in words:
        runs[-1].append(word)
        if word.endswith(ends):
            runs.append([])
    spoken = [word for word in words if word[0]]
    return SimpleNamespace(
        timestamp={
            "word": [{"word": w, "start_offset": s, "end_offset": e} for w, s, e in words],
            "segment": [{"segment": " ".join(run)} for run in runs if run],
        },
        word_confidence=[0.5] * len(spoken),
    )


def times(*words: tuple[str, int, int], n_samples: int = 160000) -> list[tuple[float, float]]:
    """Returns start and end of each cut word, in seconds."""
    cut = cut_words(hypothesis(*words), n_samples)
    return [(round(word.start, 3), round(word.end, 3)) for word in cut]


class Cut(unittest.TestCase):
    def test_a_word_alone_keeps_its_times(self) -> None:
        self.assertEqual(times(("a", 2, 5)), [(0.16, 0.4)])

    def test_a_word_ends_where_the_next_one_starts(self) -> None:
        self.assertEqual(times(("a", 2, 5), ("b", 4, 6)), [(0.16, 0.32), (0.32, 0.48)])

    def test_a_word_does_not_end_before_its_start(self) -> None:
        self.assertEqual(times(("a", 2, 3), ("b", 2, 3)), [(0.16, 0.16), (0.16, 0.24)])

    def test_nothing_lies_beyond_the_audio(self) -> None:
        self.assertEqual(times(("a", 2, 9), n_samples=8000), [(0.16, 0.5)])

    def test_a_word_without_text_is_none_and_cuts_none(self) -> None:
        self.assertEqual(times(("a", 2, 5), ("", 3, 4), ("b", 5, 6)), [(0.16, 0.4), (0.4, 0.48)])

    def test_a_segment_has_the_times_of_its_cut_words(self) -> None:
        nemo = hypothesis(("a", 0, 3), ("b.", 2, 5), ("c", 4, 9))
        found = segments(nemo, cut_words(nemo, 160000))
        self.assertEqual([it.text for it in found], ["a b.", "c"])
        self.assertEqual((found[0].start, found[0].end), (0.0, 0.32))

    def test_a_mark_inside_a_closing_quote_ends_a_segment(self) -> None:
        nemo = hypothesis(("a", 0, 1), ("b.'", 2, 3), ("c", 4, 5))
        found = segments(nemo, cut_words(nemo, 160000))
        self.assertEqual([it.text for it in found], ["a b.'", "c"])


if __name__ == "__main__":
    unittest.main()
