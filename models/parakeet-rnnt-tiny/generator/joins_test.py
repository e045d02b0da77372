"""Tests that word times of a join match the sound. Run: python -m unittest joins_test"""

import unittest

import numpy as np

from joins import SAMPLE_RATE_HZ, Utterance, join


def spoken(word: str, n_words: int) -> Utterance:
    """Returns an utterance with 0.3 s of sound in every half second, and silence elsewhere."""
    words = [(word, 0.2 + 0.5 * i, 0.5 + 0.5 * i) for i in range(n_words)]
    samples = np.zeros(int((0.5 * n_words + 0.3) * SAMPLE_RATE_HZ), np.int16)
    for _, start, end in words:
        samples[round(start * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)] = 3000
    return Utterance(samples, words, "test")


class JoinTest(unittest.TestCase):
    def test_words_stand_where_their_sound_is(self) -> None:
        parts = [spoken("one", 1), spoken("four", 4), spoken("two", 2)]
        counts = set()
        for seed in range(200):
            joined = join(parts, np.random.default_rng(seed))
            counts.add(len(joined.words))
            for word, start, end in joined.words:
                first, last = round(start * SAMPLE_RATE_HZ), round(end * SAMPLE_RATE_HZ)
                self.assertGreaterEqual(first, 0, f"{word}, seed {seed}")
                self.assertLessEqual(last, len(joined.samples), f"{word}, seed {seed}")
                # Only speech has a constant level from a word's start to its end here.
                sound = joined.samples[first + 1 : last - 1].astype(int)
                self.assertLess(np.ptp(sound), 2, f"{word} at {start}, seed {seed}")
                self.assertGreater(sound.min(), 0, f"{word} at {start}, seed {seed}")
        # Some joins are whole, and some have lost words at their ends.
        self.assertIn(7, counts)
        self.assertGreater(len(counts), 2)

    def test_without_pauses_a_word_begins_where_another_ends(self) -> None:
        parts = [spoken("one", 1), spoken("one", 1)]
        gaps = set()
        for seed in range(50):
            words = join(parts, np.random.default_rng(seed)).words
            gaps |= {round(b[1] - a[2], 6) for a, b in zip(words, words[1:], strict=False)}
        self.assertIn(0.0, gaps)
        self.assertGreater(max(gaps), 0.3)


if __name__ == "__main__":
    unittest.main()
