"""Reads a checkpoint's model_config.yaml; what would change the result and is not known is refused.

Every key of the sections that shape the network is read, required to have a value that the modules
here implement, or named as one that inference does not depend on. A key that is none of these ends
the export with its name: an ignored key would give words that look right and are not.
"""

import json
from typing import Any

from architecture import Architecture, Encoder, FrontEnd, Predictor
from errors import ExportError

MODULES = "nemo.collections.asr.modules."
TRANSDUCER_CLASS = "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel"
# Losses of a plain transducer: the same network, other code to train it.
TRANSDUCER_LOSSES = ("default", "warprnnt", "warprnnt_numba", "pytorch", "graph_rnnt")


def read_architecture(config: dict, source: str) -> Architecture:
    """Returns the sizes that the config states; `source` names the checkpoint in errors."""
    root = Section(config, source)
    root.require("target", TRANSDUCER_CLASS)
    root.require("adapters", None, {})
    root.section("loss", {}).require("loss_name", *TRANSDUCER_LOSSES, default="default")
    # The search allows 10 tokens on a frame, as NeMo does unless it is told otherwise.
    greedy = root.section("decoding", {}).section("greedy", {})
    greedy.require("max_symbols", 10, None)
    greedy.require("max_symbols_per_step", 10, None)

    front_end = read_front_end(root.section("preprocessor"))
    encoder = read_encoder(root.section("encoder"), front_end.n_mels)
    vocabulary_size, predictor = read_predictor(root.section("decoder"))
    joint_width = read_joint(root.section("joint"), vocabulary_size, encoder, predictor)
    return Architecture(
        head="rnnt",
        vocabulary_size=vocabulary_size,
        front_end=front_end,
        encoder=encoder,
        predictor=predictor,
        joint_width=joint_width,
    )


def read_front_end(section: "Section") -> FrontEnd:
    """The log-mel front end."""
    section.require("_target_", MODULES + "AudioToMelSpectrogramPreprocessor")
    section.require("sample_rate", 16000, default=16000)
    section.require("normalize", "per_feature", default="per_feature")
    section.require("log", True, default=True)
    section.require("log_zero_guard_type", "add", default="add")
    section.require("frame_splicing", 1, default=1)
    section.require("exact_pad", False, default=False)
    section.require("mag_power", 2, 2.0, default=2.0)
    # In the window and mel tables that the checkpoint carries.
    section.ignore("window", "lowfreq", "highfreq", "mel_norm")
    # Padding that the masked convolutions do not see.
    section.ignore("pad_to", "pad_value")
    # Training only, or without any effect since NeMo 2.
    section.ignore("dither", "rng", "nb_augmentation_prob", "nb_max_freq")
    section.ignore("use_torchaudio", "stft_conv", "stft_exact_pad")
    window_samples = read_length(section, "window_size", 0.02)
    front_end = FrontEnd(
        sample_rate_hz=16000,
        n_mels=section.integer("features", 64),
        n_fft=section.integer("n_fft", 1 << (window_samples - 1).bit_length()),
        window_samples=window_samples,
        hop_samples=read_length(section, "window_stride", 0.01),
        preemphasis=section.number("preemph", 0.97),
        log_guard=section.number("log_zero_guard_value", 2.0**-24),
    )
    section.finish()
    return front_end


def read_length(section: "Section", key: str, default: float) -> int:
    """A length in samples, given in seconds under `key` or in samples under `n_` and `key`."""
    in_samples = section.get(f"n_{key}", None)
    if in_samples is None:
        return int(section.number(key, default) * 16000)
    section.ignore(key)
    return section.integer(f"n_{key}", 0)


def read_encoder(section: "Section", n_mels: int) -> Encoder:
    """The FastConformer."""
    section.require("_target_", MODULES + "ConformerEncoder")
    section.require("feat_in", n_mels)
    width = section.integer("d_model")
    kernel = section.integer("conv_kernel_size", 31)
    section.require("feat_out", -1, None, width, default=-1)
    section.require("subsampling", "dw_striding", default="striding")
    section.require("causal_downsampling", False, default=False)
    section.require("reduction", None)
    section.require("reduction_factor", 1, None, default=1)
    section.require("self_attention_model", "rel_pos", default="rel_pos")
    section.require("att_context_size", None, [-1, -1], [[-1, -1]])
    section.require("att_context_style", "regular", default="regular")
    section.require("untie_biases", True, default=True)
    section.require("conv_norm_type", "batch_norm", default="batch_norm")
    section.require("conv_context_size", None, [kernel // 2, kernel // 2])
    # Without a reduction and with one full context there is nothing for these to say.
    section.ignore("reduction_position", "att_context_probs")
    section.ignore("global_tokens", "global_tokens_spacing", "global_attn_separate")
    # How the same numbers are computed; positions are a table of our own length.
    section.ignore("subsampling_conv_chunking_factor", "pos_emb_max_len", "sync_max_audio_length")
    section.ignore("use_pytorch_sdpa", "use_pytorch_sdpa_backends")
    # Training only.
    section.ignore("dropout", "dropout_pre_encoder", "dropout_emb", "dropout_att")
    section.ignore("stochastic_depth_drop_prob", "stochastic_depth_mode")
    section.ignore("stochastic_depth_start_layer")
    channels = section.integer("subsampling_conv_channels", -1)
    encoder = Encoder(
        n_layers=section.integer("n_layers"),
        width=width,
        n_heads=section.integer("n_heads", 4),
        feed_forward_width=width * section.integer("ff_expansion_factor", 4),
        conv_kernel=kernel,
        subsampling=section.require("subsampling_factor", 2, 4, 8, 16, default=4),
        subsampling_channels=width if channels == -1 else channels,
        scale_input=section.require("xscaling", True, False, default=True),
        bias=section.require("use_bias", True, False, default=True),
    )
    if kernel % 2 == 0:
        raise section.refusal("conv_kernel_size", kernel, "an odd number")
    if width % encoder.n_heads:
        raise section.refusal("n_heads", encoder.n_heads, f"a divisor of d_model {width}")
    section.finish()
    return encoder


def read_predictor(section: "Section") -> tuple[int, Predictor]:
    """The vocabulary's size without blank, and the prediction network."""
    section.require("_target_", MODULES + "RNNTDecoder")
    section.require("normalization_mode", None)
    section.require("blank_as_pad", True, default=True)
    section.ignore("random_state_sampling")
    vocabulary_size = section.integer("vocab_size")
    network = section.section("prednet")
    section.finish()
    width = network.integer("pred_hidden")
    n_layers = network.integer("pred_rnn_layers")
    network.require("rnn_hidden_size", -1, width, default=-1)
    # Initialisation and training.
    network.ignore("forget_gate_bias", "t_max", "weights_init_scale", "hidden_hidden_bias_scale")
    network.ignore("dropout")
    network.finish()
    return vocabulary_size, Predictor(n_layers=n_layers, width=width)


def read_joint(
    section: "Section", vocabulary_size: int, encoder: Encoder, predictor: Predictor
) -> int:
    """The joint network's width."""
    section.require("_target_", MODULES + "RNNTJoint")
    section.require("num_classes", vocabulary_size)
    section.require("num_extra_outputs", 0, default=0)
    # The log-probabilities are always normalised here, and the pieces come from the tokenizer.
    section.ignore("log_softmax", "vocabulary")
    section.ignore("preserve_memory", "fuse_loss_wer", "fused_batch_size", "masking_prob")
    section.ignore("experimental_fuse_loss_wer")
    network = section.section("jointnet")
    section.finish()
    network.require("activation", "relu")
    network.require("encoder_hidden", encoder.width)
    network.require("pred_hidden", predictor.width)
    width = network.integer("joint_hidden")
    network.ignore("dropout")
    network.finish()
    return width


ABSENT = object()


class Section:
    """A mapping of the config that remembers which of its keys were looked at."""

    def __init__(self, content: Any, source: str, path: str = "") -> None:
        if not isinstance(content, dict):
            raise ExportError(f"{source}: {path or 'model_config.yaml'} is not a mapping")
        self.content = content
        self.source = source
        self.path = path
        self.known: set[str] = set()

    def get(self, key: str, default: Any = ABSENT) -> Any:
        """The key's value; `default` is what NeMo takes when the key is absent."""
        self.known.add(key)
        value = self.content.get(key, default)
        if value is ABSENT:
            raise ExportError(f"{self.source}: {self.name(key)} is missing in model_config.yaml")
        return value

    def section(self, key: str, default: Any = ABSENT) -> "Section":
        """The mapping under this key; null counts as `default`."""
        content = self.get(key, default)
        if content is None and default is not ABSENT:
            content = default
        return Section(content, self.source, self.name(key))

    def integer(self, key: str, default: Any = ABSENT) -> int:
        """A whole number."""
        value = self.get(key, default)
        if type(value) is not int:
            raise self.refusal(key, value, "a whole number")
        return value

    def number(self, key: str, default: Any = ABSENT) -> float:
        """A number."""
        value = self.get(key, default)
        if type(value) not in (int, float):
            raise self.refusal(key, value, "a number")
        return float(value)

    def require(self, key: str, *accepted: Any, default: Any = ABSENT) -> Any:
        """The value, which must be one of `accepted`; an absent key counts as null if null is."""
        if default is ABSENT and None in accepted:
            default = None
        value = self.get(key, default)
        if not any(value == choice and type(value) is type(choice) for choice in accepted):
            raise self.refusal(key, value, " or ".join(show(choice) for choice in accepted))
        return value

    def ignore(self, *keys: str) -> None:
        """Keys that inference does not depend on."""
        self.known.update(keys)

    def finish(self) -> None:
        """Refuses the first key that nobody looked at."""
        for key in self.content:
            if key not in self.known:
                raise ExportError(
                    f"{self.source}: {self.name(key)} in model_config.yaml is not a key whose "
                    "effect this exporter knows"
                )

    def refusal(self, key: str, value: Any, expected: str) -> ExportError:
        """The error for a value that is not implemented."""
        return ExportError(
            f"{self.source}: {self.name(key)} is {show(value)} in model_config.yaml, "
            f"expected {expected}"
        )

    def name(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def show(value: Any) -> str:
    """The value as YAML would spell it, shortened."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
