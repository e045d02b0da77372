"""Tests of the log-mel front end: its tables, its normalisation, an utterance's end."""

import math
import unittest

import torch

from exporter.architecture import FrontEnd
from exporter.frontend import LogMel, mel_filters
from exporter.weights import RandomWeights
from tests.exporter.miniature import SIZES, noise, seeded


class Features(unittest.TestCase):
    def setUp(self) -> None:
        self.log_mel = LogMel(SIZES.front_end, RandomWeights(seeded(0)))

    def test_every_band_has_mean_0_and_deviation_1_over_the_valid_frames(self) -> None:
        features, n_frames = self.log_mel(noise(2, 16000), torch.tensor([16000, 8000]))
        for row, n in enumerate(n_frames.tolist()):
            valid = features[row, :, :n]
            self.assertLess(valid.mean(1).abs().max().item(), 1e-5)
            self.assertLess((valid.std(1) - 1.0).abs().max().item(), 1e-3)

    def test_frames_past_the_end_are_zero(self) -> None:
        features, n_frames = self.log_mel(noise(1, 16000), torch.tensor([8000]))
        self.assertEqual(n_frames.tolist(), [50])
        self.assertFalse(features[:, :, 50:].any())

    def test_a_single_frame_is_all_zeros_and_not_a_division_by_zero(self) -> None:
        features, n_frames = self.log_mel(noise(1, 200), torch.tensor([200]))
        self.assertEqual(n_frames.tolist(), [1])
        self.assertFalse(features.any())

    def test_louder_audio_gives_the_same_features(self) -> None:
        audio, n_samples = noise(1, 16000), torch.tensor([16000])
        quiet, _ = self.log_mel(audio, n_samples)
        loud, _ = self.log_mel(4.0 * audio, n_samples)
        # The guard inside the logarithm makes a small difference.
        self.assertLess((quiet - loud).abs().max().item(), 1e-2)

    def test_a_click_is_strongest_in_the_frame_it_is_centred_on(self) -> None:
        audio = noise(1, 16000, seed=1) * 1e-3
        audio[0, 40 * 160] = 1.0
        features, _ = self.log_mel(audio, torch.tensor([16000]))
        self.assertEqual(features[0, -1].argmax().item(), 40)


class MelFilters(unittest.TestCase):
    def test_the_filters_are_slaneys(self) -> None:
        # From librosa 0.11.0: filters.mel(sr=16000, n_fft=512, n_mels=80), float64.
        filters = mel_filters(FrontEnd())
        self.assertEqual(list(filters.shape), [80, 257])
        for (row, column), expected in LIBROSA.items():
            actual = filters[row, column].item()
            self.assertTrue(math.isclose(actual, expected, rel_tol=1e-5), (row, column, actual))

    def test_narrow_filters_are_not_empty(self) -> None:
        for n_mels in (80, 128):
            self.assertTrue(mel_filters(FrontEnd(n_mels=n_mels)).any(1).all(), n_mels)


LIBROSA = {
    (0, 1): 0.022534560750290804,
    (0, 2): 0.00863771024396671,
    (1, 2): 0.018215705628307446,
    (24, 30): 0.022151990170404052,
    (24, 31): 0.0,
    (25, 31): 0.0264065916319165,
    (25, 32): 0.0040404255283634635,
    (40, 55): 0.014444176346352967,
    (79, 246): 0.0032521483035324464,
    (79, 247): 0.003155336912735672,
}


if __name__ == "__main__":
    unittest.main()
