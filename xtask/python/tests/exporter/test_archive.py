"""Tests of the relations that a frozen archive promises to the search, for any weights."""

import unittest

import torch
from torch import Tensor

from exporter.parakeet import COMPUTE_TYPES
from tests.exporter import miniature
from tests.exporter.miniature import CTC, MAX_FRAMES, MAX_SAMPLES, SIZES, TDT, noise

# Difference of float32 sums taken in another order; activations are about 1.
TOLERANCE = 2e-5


class Encoding(unittest.TestCase):
    sizes = SIZES

    def setUp(self) -> None:
        self.archive = miniature.archive(sizes=self.sizes)

    def encode(self, audio: Tensor, *n_samples: int) -> tuple[Tensor, list[int]]:
        encoded, n_frames = self.archive.encode(audio, torch.tensor(n_samples))
        return encoded, n_frames.tolist()

    def test_an_utterance_encodes_alone_as_in_a_batch(self) -> None:
        lengths = [64000, 16000, 47999, 1280, 160]
        audio = noise(len(lengths), max(lengths))
        together, n_frames = self.encode(audio, *lengths)
        for row, length in enumerate(lengths):
            alone, (n,) = self.encode(audio[row : row + 1, :length], length)
            self.assertEqual(n, n_frames[row])
            self.assertEqual(n, alone.size(1))
            difference = (alone[0] - together[row, :n]).abs().max().item()
            self.assertLess(difference, TOLERANCE, f"{length} samples")

    def test_audio_past_the_end_changes_nothing(self) -> None:
        audio = noise(1, 32000)
        loud = audio.clone()
        loud[:, 20000:] = 100.0
        expected, n_frames = self.encode(audio, 20000)
        actual, _ = self.encode(loud, 20000)
        n = n_frames[0]
        self.assertTrue(torch.equal(actual[:, :n], expected[:, :n]))

    def test_the_last_sample_of_a_whole_frame_is_heard(self) -> None:
        audio = noise(1, 16000)
        changed = audio.clone()
        changed[0, -1] += 0.5
        self.assertFalse(torch.equal(self.encode(audio, 16000)[0], self.encode(changed, 16000)[0]))

    def test_valid_frames_are_an_eighth_of_the_whole_hops_rounded_up(self) -> None:
        lengths = [0, 159, 160, 1279, 1280, 1439, 1440, 16000, 16159]
        _, n_frames = self.encode(noise(len(lengths), max(lengths)), *lengths)
        self.assertEqual(n_frames, [-(-(length // 160) // 8) for length in lengths])

    def test_an_empty_row_gives_no_frames_and_harms_no_neighbour(self) -> None:
        audio = noise(2, 16000)
        together, n_frames = self.encode(audio, 0, 16000)
        alone, _ = self.encode(audio[1:], 16000)
        self.assertEqual(n_frames, [0, 13])
        self.assertTrue(together.isfinite().all())
        self.assertLess((together[1] - alone[0]).abs().max().item(), TOLERANCE)

    def test_the_longest_input_is_max_samples_and_no_more(self) -> None:
        encoded, n_frames = self.encode(noise(1, MAX_SAMPLES + 159), MAX_SAMPLES + 159)
        self.assertEqual(n_frames, [MAX_FRAMES])
        self.assertTrue(encoded.isfinite().all())
        with self.assertRaisesRegex(Exception, "max_samples"):
            self.encode(noise(1, MAX_SAMPLES + 160), MAX_SAMPLES + 160)

    def test_silence_is_finite(self) -> None:
        self.assertTrue(self.encode(torch.zeros(1, 16000), 16000)[0].isfinite().all())


class TdtEncoding(Encoding):
    """The same relations in a model without biases and with a layer norm in the convolution."""

    sizes = TDT


class Scoring(unittest.TestCase):
    sizes = SIZES

    def setUp(self) -> None:
        self.archive = miniature.archive(sizes=self.sizes)
        self.encoded, _ = self.archive.encode(noise(3, 48000), torch.tensor([48000] * 3))
        self.state = self.archive.initial_state(3)

    def score(self, lanes: list[list[int]], window: int) -> Tensor:
        return self.archive.score(self.encoded, self.state[0], torch.tensor(lanes), window)

    def test_a_window_gives_what_its_frames_give_one_by_one(self) -> None:
        n_frames = self.encoded.size(1)
        window = self.score([[1, 0]], n_frames)[0]
        single = torch.stack([self.score([[1, t]], 1)[0, 0] for t in range(n_frames)])
        self.assertTrue(torch.equal(window[:, :2], single[:, :2]))
        self.assertLess((window[:, 2] - single[:, 2]).abs().max().item(), TOLERANCE)
        self.assertGreater(len(window[:, 0].unique()), 1, "the scores of the test do not vary")

    def test_each_lane_is_answered_for_its_own_utterance_and_frame(self) -> None:
        self.state = self.archive.advance(*self.state, torch.tensor([[0, 3], [2, 5]]))
        together = self.score([[2, 7], [0, 1], [1, 30]], 4)
        for lane, answer in zip([[2, 7], [0, 1], [1, 30]], together):
            alone = self.score([lane], 4)[0]
            self.assertTrue(torch.equal(alone[:, 0], answer[:, 0]))
            self.assertLess((alone[:, 2] - answer[:, 2]).abs().max().item(), TOLERANCE)

    def test_a_window_may_reach_past_the_last_frame(self) -> None:
        last = self.encoded.size(1) - 1
        for utterance in range(3):
            expected = self.score([[utterance, last]], 1)[0]
            actual = self.score([[utterance, last]], 8)[0]
            self.assertLess((actual[0] - expected[0]).abs().max().item(), TOLERANCE)
            self.assertTrue(actual.isfinite().all())

    def test_durations_are_those_of_the_head(self) -> None:
        answer = self.score([[0, 0], [1, 0], [2, 0]], self.encoded.size(1)).flatten(0, 1)
        blank = answer[:, 0] == SIZES.vocabulary_size
        # A token lasts 0 frames and blank lasts 1.
        self.assertTrue(torch.equal(answer[:, 1], blank.float()))

    def test_log_probabilities_are_normalised_over_tokens_and_blank(self) -> None:
        head = miniature.model(self.sizes).head
        hidden = self.activate(self.encoded[1, 5] + self.state[0][1])
        # The softmax covers tokens and blank alone, and not the durations of a TDT head.
        expected = head.classes(hidden)[: SIZES.vocabulary_size + 1].log_softmax(0).max()
        self.assertAlmostEqual(self.score([[1, 5]], 1)[0, 0, 2].item(), expected.item(), places=5)

    def activate(self, hidden: Tensor) -> Tensor:
        """Applies the joint's activation."""
        return torch.relu(hidden)

    def test_the_first_of_equals_wins(self) -> None:
        head = miniature.model(self.sizes).head
        head.classes.weight.zero_()
        head.classes.bias.zero_()
        head.classes.bias[[4, 9, 16]] = 2.0
        answer = head.score(self.encoded, self.state[0], torch.tensor([[0, 0], [2, 3]]), 2)
        self.assertEqual(answer[..., 0].unique().tolist(), [4.0])


class TdtScoring(Scoring):
    sizes = TDT

    def activate(self, hidden: Tensor) -> Tensor:
        return torch.tanh(hidden)

    def test_durations_are_those_of_the_head(self) -> None:
        head = miniature.model(TDT).head
        answer = self.score([[2, 0]], self.encoded.size(1))[0]
        logits = head.classes(torch.tanh(self.encoded[2] + self.state[0][2]))
        chosen = logits[:, SIZES.vocabulary_size + 1 :].argmax(1).tolist()
        self.assertEqual(answer[:, 1].tolist(), [TDT.durations[i] for i in chosen])
        self.assertGreater(len(set(chosen)), 1, "the durations of the test do not vary")

    def test_a_duration_is_no_symbol(self) -> None:
        head = miniature.model(TDT).head
        with torch.no_grad():
            head.classes.bias[-2] += 1000.0
        answer = head.score(self.encoded, self.state[0], torch.tensor([[0, 0]]), 4)
        self.assertEqual(answer[0, :, 1].tolist(), [TDT.durations[-2]] * 4)
        self.assertTrue(torch.equal(answer[0, :, 0], self.score([[0, 0]], 4)[0, :, 0]))
        self.assertGreater(answer[0, :, 2].min().item(), -10.0)


class CtcEmissions(unittest.TestCase):
    def setUp(self) -> None:
        self.archive = miniature.archive(sizes=CTC)
        self.lengths = torch.tensor([48000, 20000])
        self.audio = noise(2, 48000)

    def test_a_frame_says_its_best_symbol_that_lasts_one_frame(self) -> None:
        answer, n_frames = self.archive.encode(self.audio, self.lengths)
        encoded, expected_frames = self.archive.encoder_output(self.audio, self.lengths)
        weight, bias = (
            miniature.state_dict(CTC)[f"decoder.decoder_layers.0.{part}"]
            for part in ("weight", "bias")
        )
        log_probs = (encoded @ weight[:, :, 0].T + bias).log_softmax(2)
        self.assertTrue(torch.equal(n_frames, expected_frames))
        self.assertTrue(torch.equal(answer[..., 0], log_probs.argmax(2).float()))
        self.assertTrue(torch.equal(answer[..., 1], torch.ones(answer.shape[:2])))
        self.assertLess((answer[..., 2] - log_probs.amax(2)).abs().max().item(), TOLERANCE)
        self.assertGreater(len(answer[..., 0].unique()), 2, "the test's scores do not vary")

    def test_an_utterance_emits_alone_as_in_a_batch(self) -> None:
        together, n_frames = self.archive.encode(self.audio, self.lengths)
        alone, _ = self.archive.encode(self.audio[1:, :20000], self.lengths[1:])
        n = n_frames[1]
        self.assertTrue(torch.equal(together[1, :n, 0], alone[0, :n, 0]))
        self.assertLess((together[1, :n, 2] - alone[0, :n, 2]).abs().max().item(), TOLERANCE)

    def test_the_first_of_equals_wins(self) -> None:
        head = miniature.model(CTC).head
        head.classes.weight.zero_()
        head.classes.bias.zero_()
        head.classes.bias[[4, 9, 16]] = 2.0
        answer = head.project(torch.zeros(1, 3, SIZES.encoder.width))
        self.assertEqual(answer[..., 0].unique().tolist(), [4.0])

    def test_there_is_no_state(self) -> None:
        for method in ("initial_state", "score", "advance", "host_weights"):
            self.assertFalse(hasattr(self.archive, method), method)

    def test_emissions_are_float32_in_every_compute_type(self) -> None:
        for compute_type in ("bfloat16", "float16"):
            answer, _ = miniature.archive(compute_type, CTC).encode(self.audio, self.lengths)
            self.assertEqual(answer.dtype, torch.float32)


class HostWeights(unittest.TestCase):
    """The sizes that crates/parakeet-model/src/transducer/archive_weights.rs expects."""

    def test_they_come_in_the_order_of_their_description(self) -> None:
        for sizes, n_layers in ((SIZES, 2), (TDT, 1)):
            tables, by_state, layers, activation = miniature.archive(sizes=sizes).host_weights()
            h, j, v = sizes.predictor.width, sizes.joint_width, sizes.vocabulary_size
            shapes = [[list(it.shape) for it in group] for group in (tables, by_state, layers)]
            gates, d = 4 * h, len(sizes.durations)
            self.assertEqual(shapes[0], [[v + 1, gates], [d]])
            self.assertEqual(shapes[1], [[gates, h]] * n_layers)
            later = [[gates, h], [gates]] * (n_layers - 1)
            self.assertEqual(shapes[2], [*later, [j, h], [j], [v + 1 + d, j], [v + 1 + d]])
            self.assertEqual(tables[1].tolist(), list(sizes.durations))
            self.assertEqual(activation, sizes.joint_activation)


class Advancing(unittest.TestCase):
    def setUp(self) -> None:
        self.archive = miniature.archive()

    def test_utterances_not_named_keep_their_state(self) -> None:
        before = self.archive.initial_state(4)
        after = self.archive.advance(*(t.clone() for t in before), torch.tensor([[2, 1], [0, 3]]))
        for old, new, axis in zip(before, after, (0, 1, 1)):
            kept, named = torch.tensor([1, 3]), torch.tensor([0, 2])
            self.assertTrue(torch.equal(old.index_select(axis, kept), new.index_select(axis, kept)))
            self.assertFalse(
                torch.isclose(old.index_select(axis, named), new.index_select(axis, named)).all()
            )

    def test_the_state_is_changed_in_place(self) -> None:
        state = self.archive.initial_state(2)
        after = self.archive.advance(*state, torch.tensor([[1, 1]]))
        self.assertEqual([t.data_ptr() for t in after], [t.data_ptr() for t in state])

    def test_each_row_advances_by_its_own_token(self) -> None:
        together = self.archive.advance(
            *self.archive.initial_state(3), torch.tensor([[2, 7], [0, 4]])
        )
        for row, token in ((2, 7), (0, 4)):
            alone = self.archive.advance(*self.archive.initial_state(1), torch.tensor([[0, token]]))
            self.assertLess((together[0][row] - alone[0][0]).abs().max().item(), TOLERANCE)


class ComputeTypes(unittest.TestCase):
    def test_features_are_float32_in_every_type(self) -> None:
        audio, n_samples = noise(1, 16000), torch.tensor([16000])
        expected, _ = miniature.archive().features(audio, n_samples)
        for compute_type in COMPUTE_TYPES:
            actual, _ = miniature.archive(compute_type).features(audio, n_samples)
            self.assertTrue(torch.equal(actual, expected), compute_type)

    def test_every_type_is_near_float32(self) -> None:
        audio, lengths = noise(2, 32000), torch.tensor([32000, 20000])
        for sizes in (SIZES, TDT):
            expected, n_frames = miniature.archive(sizes=sizes).encoder_output(audio, lengths)
            valid = torch.arange(expected.size(1)) < n_frames.unsqueeze(1)
            for compute_type, limit in (
                ("bfloat16", 0.03),
                ("float16", 0.005),
                ("int8", 0.06),
                ("int8_float32", 0.06),
            ):
                archive = miniature.archive(compute_type, sizes)
                # The first call of int8 packs the weights; the second uses the packed weights.
                for _ in range(2):
                    actual, _ = archive.encoder_output(audio, lengths)
                    difference = (actual.float() - expected)[valid]
                    share = (difference.std() / expected[valid].std()).item()
                    self.assertLess(share, limit, (sizes.head, compute_type))

    def test_sound_that_is_loud_clipped_shifted_or_absent_is_finite_in_every_type(self) -> None:
        loud = 100.0 * noise(1, 16000)
        click = torch.zeros(1, 16000)
        click[0, 8000] = 1.0
        sounds = [loud, loud.clamp(-1.0, 1.0), noise(1, 16000) + 0.9, torch.zeros(1, 16000), click]
        audio, lengths = torch.cat(sounds), torch.full([5], 16000)
        for compute_type in COMPUTE_TYPES:
            encoded, _ = miniature.archive(compute_type).encode(audio, lengths)
            self.assertTrue(encoded.isfinite().all(), compute_type)

    def test_what_is_around_the_bytes_has_the_type_that_the_name_says(self) -> None:
        for name, expected in (("int8", torch.bfloat16), ("int8_float32", torch.float32)):
            encoded, _ = miniature.archive(name).encode(noise(1, 16000), torch.tensor([16000]))
            self.assertEqual(encoded.dtype, expected)

    def test_a_cast_model_encodes_in_its_type_and_scores_in_float32(self) -> None:
        for name in ("bfloat16", "float16"):
            compute_type, _ = COMPUTE_TYPES[name]
            archive = miniature.archive(name)
            encoded, _ = archive.encode(noise(1, 16000), torch.tensor([16000]))
            predicted, hidden, cell = archive.initial_state(1)
            answer = archive.score(encoded, predicted, torch.tensor([[0, 0]]), 2)
            logits = (
                miniature.model()
                .cast(compute_type)
                .head.classes(torch.relu(encoded[0, :2] + predicted[0]))
            )
            expected = logits.float().log_softmax(1).amax(1)
            self.assertLess((answer[0, :, 2] - expected).abs().max().item(), TOLERANCE)
            self.assertEqual(encoded.dtype, compute_type)
            self.assertEqual(predicted.dtype, compute_type)
            self.assertEqual(answer.dtype, torch.float32)
            archive.advance(predicted, hidden, cell, torch.tensor([[0, 1]]))


if __name__ == "__main__":
    unittest.main()
