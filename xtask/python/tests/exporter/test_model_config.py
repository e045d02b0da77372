"""Tests of reading a checkpoint's config, and of the keys and values that end an export."""

import unittest
from typing import Any

from exporter.errors import ExportError
from exporter.model_config import MODULES, read_architecture
from tests.exporter import nemo_file
from tests.exporter.miniature import CTC, SIZES, TDT

# Names and values that NeMo knows and that change the result; the error must state the name.
REFUSED: list[tuple[str, Any]] = [
    ("target", "nemo.collections.asr.models.rnnt_models.EncDecRNNTModel"),
    ("adapters", {"speaker": {"enabled": True}}),
    ("loss.loss_name", "multiblank_rnnt"),
    ("loss.loss_name", "tdt_pytorch"),
    ("decoding.strategy", "beam"),
    ("decoding.greedy.max_symbols", 5),
    ("decoding.greedy.ngram_lm_model", "lm.nemo"),
    ("decoding.greedy.boosting_tree.model_path", "tree.nemo"),
    ("decoding.greedy.boosting_tree.key_phrases_list", ["parakeet"]),
    ("model_defaults.enc_hidden", 33),
    ("model_defaults.pred_hidden", 21),
    ("preprocessor._target_", MODULES + "AudioToMFCCPreprocessor"),
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
    ("encoder._target_", MODULES + "SqueezeformerEncoder"),
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
    ("encoder.conv_norm_type", "group_norm8"),
    ("encoder.conv_norm_type", "instance_norm"),
    ("encoder.conv_context_size", "causal"),
    ("encoder.conv_context_size", [8, 0]),
    ("encoder.conv_kernel_size", 8),
    ("encoder.n_heads", 5),
    ("encoder.n_layers", 2.5),
    ("encoder.xscaling", 1),
    ("decoder._target_", MODULES + "StatelessTransducerDecoder"),
    ("decoder.normalization_mode", "layer"),
    ("decoder.blank_as_pad", False),
    ("decoder.prednet.rnn_hidden_size", 40),
    ("joint._target_", MODULES + "SampledRNNTJoint"),
    ("joint.num_classes", 17),
    ("joint.num_extra_outputs", 5),
    ("joint.jointnet.activation", "swish"),
    ("joint.jointnet.encoder_hidden", 33),
]
# Numbers that no network can have.
REFUSED += [
    (name, value)
    for name in (
        "preprocessor.features",
        "preprocessor.n_fft",
        "preprocessor.n_window_size",
        "preprocessor.n_window_stride",
        "encoder.d_model",
        "encoder.n_layers",
        "encoder.n_heads",
        "encoder.ff_expansion_factor",
        "encoder.conv_kernel_size",
        "encoder.subsampling_conv_channels",
        "decoder.vocab_size",
        "decoder.prednet.pred_hidden",
        "decoder.prednet.pred_rnn_layers",
        "joint.jointnet.joint_hidden",
    )
    for value in (0, -8, True, "8")
] + [
    ("preprocessor.window_size", float("inf")),
    ("preprocessor.window_stride", 0.0),
    ("preprocessor.preemph", float("nan")),
    ("preprocessor.n_fft", 256),
    ("encoder.d_model", 33),
]
REFUSED_TDT: list[tuple[str, Any]] = [
    ("loss.tdt_kwargs", None),
    ("loss.tdt_kwargs.durations", None),
    ("loss.tdt_kwargs.durations", []),
    ("loss.tdt_kwargs.durations", [0, 1, 2, -1]),
    ("loss.tdt_kwargs.durations", [0, 1, 2, 2.5]),
    ("loss.tdt_kwargs.durations", [0, 0, 0, 0]),
    ("decoding.durations", [0, 1, 2, 3]),
    ("model_defaults.tdt_durations", [0, 1, 2, 3]),
    ("model_defaults.num_tdt_durations", 5),
    ("joint.num_extra_outputs", 5),
    ("joint.num_extra_outputs", 0),
]
REFUSED_CTC: list[tuple[str, Any]] = [
    ("decoding.strategy", "beam"),
    ("decoding.strategy", "wfst"),
    ("decoding.greedy.ngram_lm_model", "lm.nemo"),
    ("decoder._target_", MODULES + "ConvASRDecoderReconstruction"),
    ("decoder.feat_in", 33),
    ("decoder.add_blank", False),
    ("decoder.num_classes", -1.5),
    ("decoder.new_key", 1),
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
# Values of other versions of NeMo, or of hand-written configs, that give the same network.
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
    ("joint.masking_prob", 0.2),
    ("model_defaults", None),
    ("decoding.greedy.boosting_tree", {"model_path": None, "key_phrases_list": None}),
    ("aux_ctc", {"decoder": {"feat_in": 33}}),
    ("decoding", None),
    ("loss", None),
    ("train_ds", {"manifest_filepath": "x.json"}),
]


def put(settings: dict, path: str, value: Any) -> dict:
    """Sets one value, and creates the mappings on its path; returns the settings."""
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
        for sizes in (SIZES, TDT, CTC):
            with self.subTest(sizes.head):
                self.assertEqual(read_architecture(nemo_file.config(sizes), "a.nemo"), sizes)

    def test_a_hybrid_gives_its_transducer_unless_asked_for_its_ctc_head(self) -> None:
        for transducer in (SIZES, TDT):
            settings = nemo_file.hybrid(transducer)
            for head in (None, transducer.head):
                self.assertEqual(read_architecture(settings, "a.nemo", head), transducer)
            sizes = read_architecture(settings, "a.nemo", "ctc")
            self.assertEqual((sizes.head, sizes.predictor, sizes.durations), ("ctc", None, ()))
            self.assertEqual(sizes.encoder, transducer.encoder)

    def test_a_head_that_is_not_there_is_refused(self) -> None:
        for settings, head, there in (
            (nemo_file.config(TDT), "ctc", "tdt"),
            (nemo_file.config(CTC), "rnnt", "ctc"),
            (nemo_file.hybrid(TDT), "rnnt", "tdt or ctc"),
        ):
            message = f"a.nemo has no {head} head: --head can be {there}$"
            with self.assertRaisesRegex(ExportError, message):
                read_architecture(settings, "a.nemo", head)

    def test_a_value_that_is_not_implemented_is_refused_by_name(self) -> None:
        cases = [(SIZES, *case) for case in REFUSED]
        cases += [(TDT, *case) for case in REFUSED_TDT]
        cases += [(CTC, *case) for case in REFUSED_CTC]
        for sizes, name, value in cases:
            with self.subTest(head=sizes.head, name=name, value=value):
                self.check_refused(put(nemo_file.config(sizes), name, value), name)

    def test_the_ctc_head_of_a_hybrid_is_checked_under_its_own_name(self) -> None:
        settings = put(nemo_file.hybrid(TDT), "aux_ctc.decoder.feat_in", 33)
        with self.assertRaisesRegex(ExportError, "a.nemo: aux_ctc.decoder.feat_in is 33 "):
            read_architecture(settings, "a.nemo", "ctc")
        # The CTC head is no part of the transducer.
        self.assertEqual(read_architecture(settings, "a.nemo"), TDT)

    def test_a_ctc_head_without_classes_is_refused(self) -> None:
        settings = put(nemo_file.config(CTC), "decoder.vocabulary", [])
        for n_classes in (0, -1):
            self.check_refused(
                put(settings, "decoder.num_classes", n_classes), "decoder.num_classes"
            )

    def test_a_ctc_vocabulary_may_be_counted_by_its_list(self) -> None:
        settings = put(nemo_file.config(CTC), "decoder.num_classes", -1)
        self.assertEqual(read_architecture(settings, "a.nemo"), CTC)

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
        # NeMo's defaults are the subsampling `striding`, which is refused, and a kernel of 31.
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
                self.assertEqual(read_architecture(settings, "a.nemo"), SIZES)

    def test_lengths_may_be_given_in_samples(self) -> None:
        settings = nemo_file.config()
        settings["preprocessor"] |= {"window_size": None, "n_window_size": 320}
        self.assertEqual(read_architecture(settings, "a.nemo").front_end.window_samples, 320)


if __name__ == "__main__":
    unittest.main()
