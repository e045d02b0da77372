"""What is read from a checkpoint's config, and which keys and values end an export."""

import unittest
from typing import Any

import miniature
import nemo_file

from errors import ExportError
from model_config import read_architecture

# A value that NeMo knows and that changes the result, and the name that the error must say.
REFUSED: list[tuple[str, Any]] = [
    ("target", "nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE"),
    ("adapters", {"speaker": {"enabled": True}}),
    ("loss.loss_name", "tdt"),
    ("decoding.greedy.max_symbols", 5),
    ("preprocessor._target_", "nemo.collections.asr.modules.AudioToMFCCPreprocessor"),
    ("preprocessor.sample_rate", 8000),
    ("preprocessor.normalize", "all_features"),
    ("preprocessor.log", False),
    ("preprocessor.log_zero_guard_type", "clamp"),
    ("preprocessor.log_zero_guard_value", "eps"),
    ("preprocessor.frame_splicing", 3),
    ("preprocessor.exact_pad", True),
    ("preprocessor.mag_power", 1.0),
    ("preprocessor.preemph", None),
    ("preprocessor.features", "${features}"),
    ("encoder._target_", "nemo.collections.asr.modules.SqueezeformerEncoder"),
    ("encoder.feat_in", 81),
    ("encoder.feat_out", 512),
    ("encoder.subsampling", "striding"),
    ("encoder.subsampling_factor", 3),
    ("encoder.causal_downsampling", True),
    ("encoder.reduction", "pooling"),
    ("encoder.reduction_factor", 2),
    ("encoder.self_attention_model", "rel_pos_local_attn"),
    ("encoder.self_attention_model", "abs_pos"),
    ("encoder.att_context_size", [128, 128]),
    ("encoder.att_context_size", [[-1, -1], [70, 1]]),
    ("encoder.att_context_style", "chunked_limited"),
    ("encoder.untie_biases", False),
    ("encoder.conv_norm_type", "layer_norm"),
    ("encoder.conv_context_size", "causal"),
    ("encoder.conv_context_size", [8, 0]),
    ("encoder.conv_kernel_size", 8),
    ("encoder.n_heads", 5),
    ("encoder.n_layers", 2.5),
    ("encoder.xscaling", 1),
    ("decoder._target_", "nemo.collections.asr.modules.StatelessTransducerDecoder"),
    ("decoder.normalization_mode", "layer"),
    ("decoder.blank_as_pad", False),
    ("decoder.prednet.rnn_hidden_size", 40),
    ("joint._target_", "nemo.collections.asr.modules.SampledRNNTJoint"),
    ("joint.num_classes", 17),
    ("joint.num_extra_outputs", 5),
    ("joint.jointnet.activation", "tanh"),
    ("joint.jointnet.encoder_hidden", 33),
]
UNKNOWN = [
    "preprocessor.new_key",
    "encoder.new_key",
    "decoder.new_key",
    "decoder.prednet.new_key",
    "joint.new_key",
    "joint.jointnet.new_key",
]
MISSING = ["target", "encoder", "encoder.n_layers", "decoder.vocab_size", "joint"]
# Written by other versions of NeMo, or by other hands, and the same network.
SAME: list[tuple[str, Any]] = [
    ("encoder.att_context_size", None),
    ("encoder.att_context_size", [[-1, -1]]),
    ("encoder.conv_context_size", [4, 4]),
    ("encoder.feat_out", 32),
    ("encoder.dropout_att", 0.3),
    ("encoder.stochastic_depth_drop_prob", 0.1),
    ("preprocessor.pad_to", 16),
    ("preprocessor.mag_power", 2),
    ("preprocessor.use_torchaudio", True),
    ("decoder.random_state_sampling", True),
    ("joint.fuse_loss_wer", True),
    ("decoding", None),
    ("loss", None),
    ("train_ds", {"manifest_filepath": "x.json"}),
]


def put(settings: dict, path: str, value: Any) -> dict:
    """The settings with one value set, mappings made on the way."""
    *parents, key = path.split(".")
    section = settings
    for parent in parents:
        section = section.setdefault(parent, {})
    section[key] = value
    return settings


class Reading(unittest.TestCase):
    def check_refused(self, settings: dict, name: str) -> None:
        with self.assertRaises(ExportError) as raised:
            read_architecture(settings, "a.nemo")
        message = str(raised.exception)
        self.assertIn(f"a.nemo: {name} ", message)
        self.assertNotIn("\n", message)

    def test_all_sizes_come_from_the_config(self) -> None:
        self.assertEqual(read_architecture(nemo_file.config(), "a.nemo"), miniature.SIZES)

    def test_a_value_that_is_not_implemented_is_refused_by_name(self) -> None:
        for name, value in REFUSED:
            with self.subTest(name=name, value=value):
                self.check_refused(put(nemo_file.config(), name, value), name)

    def test_an_unknown_key_is_refused_by_name(self) -> None:
        for name in UNKNOWN:
            for value in (1, None, {"inner": 1}):
                with self.subTest(name=name, value=value):
                    self.check_refused(put(nemo_file.config(), name, value), name)

    def test_a_missing_key_is_named(self) -> None:
        for name in MISSING:
            with self.subTest(name=name):
                settings = nemo_file.config()
                *parents, key = name.split(".")
                section = settings
                for parent in parents:
                    section = section[parent]
                del section[key]
                self.check_refused(settings, name)

    def test_an_absent_key_has_nemos_default_and_not_ours(self) -> None:
        # NeMo's own defaults are another subsampling and a kernel of 31.
        settings = nemo_file.config()
        del settings["encoder"]["subsampling"]
        self.check_refused(settings, "encoder.subsampling")
        settings = nemo_file.config()
        del settings["encoder"]["conv_kernel_size"]
        self.assertEqual(read_architecture(settings, "a.nemo").encoder.conv_kernel, 31)

    def test_keys_that_change_no_result_change_no_size(self) -> None:
        for name, value in SAME:
            with self.subTest(name=name, value=value):
                settings = put(nemo_file.config(), name, value)
                self.assertEqual(read_architecture(settings, "a.nemo"), miniature.SIZES)

    def test_lengths_may_be_given_in_samples(self) -> None:
        settings = nemo_file.config()
        settings["preprocessor"] |= {"window_size": None, "n_window_size": 320}
        self.assertEqual(read_architecture(settings, "a.nemo").front_end.window_samples, 320)


if __name__ == "__main__":
    unittest.main()
