"""Reads a checkpoint's model_config.yaml, and refuses keys and values that it does not know.

In the sections that shape the network, every key is either read, or required to have a value that
the exporter implements, or listed as a key that inference does not depend on. Any other key ends
the export with its name. An exporter that skipped unknown keys could export a network that gives
plausible but wrong words.
"""

from exporter.architecture import Architecture, Encoder, FrontEnd, Predictor
from exporter.config_section import Section
from exporter.errors import ExportError

MODULES = "nemo.collections.asr.modules."
MODELS = "nemo.collections.asr.models."
TRANSDUCER_CLASS = MODELS + "rnnt_bpe_models.EncDecRNNTBPEModel"
CTC_CLASS = MODELS + "ctc_bpe_models.EncDecCTCModelBPE"
HYBRID_CLASS = MODELS + "hybrid_rnnt_ctc_bpe_models.EncDecHybridRNNTCTCBPEModel"
# Losses of a plain transducer. They differ in training code, not in the network.
RNNT_LOSSES = ("default", "warprnnt", "warprnnt_numba", "pytorch", "graph_rnnt")


def read_architecture(config: dict, source: str, head: str | None = None) -> Architecture:
    """Returns the sizes that the config states; `source` names the checkpoint in errors.

    `head` is rnnt, tdt or ctc; None takes the only one, or a hybrid checkpoint's transducer.
    """
    root = Section(config, source)
    root.require("adapters", None, {})
    heads = read_heads(root)
    head = heads[0] if head is None else head
    if head not in heads:
        raise ExportError(f"{source} has no {head} head: --head can be {' or '.join(heads)}")
    front_end = read_front_end(root.section("preprocessor"))
    encoder = read_encoder(root.section("encoder"), front_end.n_mels)
    if head != "ctc":
        return read_transducer(root, head, front_end, encoder)
    ctc = root.section("aux_ctc") if len(heads) > 1 else root
    require_greedy(ctc)
    return Architecture(
        head=head,
        vocabulary_size=read_ctc(ctc.section("decoder"), encoder),
        front_end=front_end,
        encoder=encoder,
    )


def read_heads(root: Section) -> list[str]:
    """Returns the heads of the checkpoint; NeMo decodes with the first."""
    target = root.require("target", TRANSDUCER_CLASS, CTC_CLASS, HYBRID_CLASS)
    if target == CTC_CLASS:
        return ["ctc"]
    loss = root.section("loss", {}).require("loss_name", *RNNT_LOSSES, "tdt", default="default")
    transducer = "tdt" if loss == "tdt" else "rnnt"
    return [transducer, "ctc"] if target == HYBRID_CLASS else [transducer]


def read_transducer(
    root: Section, head: str, front_end: FrontEnd, encoder: Encoder
) -> Architecture:
    """Reads the sizes of a checkpoint with an RNNT or TDT head."""
    greedy = require_greedy(root)
    # The engine's search allows 10 tokens on a frame, NeMo's default.
    greedy.require("max_symbols", 10, None)
    greedy.require("max_symbols_per_step", 10, None)
    durations = read_durations(root) if head == "tdt" else []
    vocabulary_size, predictor = read_predictor(root.section("decoder"))
    joint = root.section("joint")
    joint.require("num_extra_outputs", len(durations), default=0)
    joint_width, activation = read_joint(joint, vocabulary_size, encoder, predictor)
    # NeMo builds the joint from model_defaults, even where the joint's own section differs.
    defaults = root.section("model_defaults", {})
    defaults.require("enc_hidden", encoder.width, default=encoder.width)
    defaults.require("pred_hidden", predictor.width, default=predictor.width)
    return Architecture(
        head=head,
        vocabulary_size=vocabulary_size,
        front_end=front_end,
        encoder=encoder,
        predictor=predictor,
        joint_width=joint_width,
        joint_activation=activation,
        durations=tuple(durations),
    )


def require_greedy(parent: Section) -> Section:
    """Refuses every search but plain greedy search; returns the section of greedy search."""
    decoding = parent.section("decoding", {})
    decoding.require("strategy", "greedy", "greedy_batch", default="greedy_batch")
    greedy = decoding.section("greedy", {})
    # A language model or boosted phrases would change the score of every emission.
    greedy.require("ngram_lm_model", None)
    phrases = greedy.section("boosting_tree", {})
    phrases.require("model_path", None)
    phrases.require("key_phrases_file", None)
    phrases.require("key_phrases_list", None, [])
    return greedy


def read_durations(root: Section) -> list[int]:
    """Reads the frames that a TDT symbol can last. NeMo decodes with the durations of the loss."""
    loss = root.section("loss").section("tdt_kwargs")
    durations = loss.get("durations")
    if not isinstance(durations, list) or not all(type(n) is int and n >= 0 for n in durations):
        raise loss.refusal("durations", durations, "a list of whole numbers, 0 or more")
    if not any(durations):
        raise loss.refusal("durations", durations, "a duration above 0 among them")
    root.section("decoding", {}).require("durations", durations, default=durations)
    defaults = root.section("model_defaults", {})
    defaults.require("tdt_durations", durations, default=durations)
    defaults.require("num_tdt_durations", len(durations), default=len(durations))
    return durations


def read_ctc(section: Section, encoder: Encoder) -> int:
    """Reads the CTC head's section; returns the vocabulary's size without blank."""
    section.require("_target_", MODULES + "ConvASRDecoder")
    section.require("feat_in", None, encoder.width)
    section.require("add_blank", True, default=True)
    section.ignore("init_mode")
    vocabulary = section.get("vocabulary", None)
    n_classes = section.integer("num_classes")
    section.finish()
    # num_classes of 0 or less stands for the length of the list.
    if n_classes < 1 and isinstance(vocabulary, list) and vocabulary:
        return len(vocabulary)
    return section.count("num_classes")


def read_front_end(section: Section) -> FrontEnd:
    """Reads the front end's section."""
    section.require("_target_", MODULES + "AudioToMelSpectrogramPreprocessor")
    section.require("sample_rate", 16000, default=16000)
    section.require("normalize", "per_feature", default="per_feature")
    section.require("log", True, default=True)
    section.require("log_zero_guard_type", "add", default="add")
    section.require("frame_splicing", 1, default=1)
    section.require("exact_pad", False, default=False)
    section.require("mag_power", 2, 2.0, default=2.0)
    # These shape the window and mel tables, which the checkpoint holds.
    section.ignore("window", "lowfreq", "highfreq", "mel_norm")
    # Masks hide this padding from the convolutions.
    section.ignore("pad_to", "pad_value")
    # Used in training only, or without effect since NeMo 2.
    section.ignore("dither", "rng", "nb_augmentation_prob", "nb_max_freq")
    section.ignore("use_torchaudio", "stft_conv", "stft_exact_pad")
    window_samples = read_length(section, "window_size", 0.02)
    front_end = FrontEnd(
        sample_rate_hz=16000,
        n_mels=section.count("features", 64),
        n_fft=section.count("n_fft", 1 << (window_samples - 1).bit_length()),
        window_samples=window_samples,
        hop_samples=read_length(section, "window_stride", 0.01),
        preemphasis=section.number("preemph", 0.97),
        log_guard=section.number("log_zero_guard_value", 2.0**-24),
    )
    if front_end.n_fft < window_samples:
        raise section.refusal("n_fft", front_end.n_fft, f"the window's {window_samples} or more")
    section.finish()
    return front_end


def read_length(section: Section, key: str, default: float) -> int:
    """Reads a length in samples, given in seconds as `key` or in samples as `n_` plus `key`."""
    in_samples = section.get(f"n_{key}", None)
    if in_samples is not None:
        section.ignore(key)
        return section.count(f"n_{key}")
    seconds = section.number(key, default)
    if int(seconds * 16000) < 1:
        raise section.refusal(key, seconds, "a sample of 1/16000 s or more")
    return int(seconds * 16000)


def read_encoder(section: Section, n_mels: int) -> Encoder:
    """Reads the encoder's section."""
    section.require("_target_", MODULES + "ConformerEncoder")
    section.require("feat_in", n_mels)
    width = section.count("d_model")
    kernel = section.count("conv_kernel_size", 31)
    section.require("feat_out", -1, None, width, default=-1)
    section.require("subsampling", "dw_striding", default="striding")
    section.require("causal_downsampling", False, default=False)
    section.require("reduction", None)
    section.require("reduction_factor", 1, None, default=1)
    section.require("self_attention_model", "rel_pos", default="rel_pos")
    section.require("att_context_size", None, [-1, -1], [[-1, -1]])
    section.require("att_context_style", "regular", default="regular")
    section.require("untie_biases", True, default=True)
    section.require("conv_context_size", None, [kernel // 2, kernel // 2])
    # These have no effect without a reduction and with one full attention context.
    section.ignore("reduction_position", "att_context_probs")
    section.ignore("global_tokens", "global_tokens_spacing", "global_attn_separate")
    # These change how NeMo computes the same numbers; our position table has its own length.
    section.ignore("subsampling_conv_chunking_factor", "pos_emb_max_len", "sync_max_audio_length")
    section.ignore("use_pytorch_sdpa", "use_pytorch_sdpa_backends")
    # Used in training only.
    section.ignore("dropout", "dropout_pre_encoder", "dropout_emb", "dropout_att")
    section.ignore("stochastic_depth_drop_prob", "stochastic_depth_mode")
    section.ignore("stochastic_depth_start_layer")
    inherited = section.get("subsampling_conv_channels", -1) == -1
    channels = width if inherited else section.count("subsampling_conv_channels")
    encoder = Encoder(
        n_layers=section.count("n_layers"),
        width=width,
        n_heads=section.count("n_heads", 4),
        feed_forward_width=width * section.count("ff_expansion_factor", 4),
        conv_kernel=kernel,
        conv_norm=section.require(
            "conv_norm_type", "batch_norm", "layer_norm", default="batch_norm"
        ),
        subsampling=section.require("subsampling_factor", 2, 4, 8, 16, default=4),
        subsampling_channels=channels,
        scale_input=section.require("xscaling", True, False, default=True),
        bias=section.require("use_bias", True, False, default=True),
    )
    if kernel % 2 == 0:
        raise section.refusal("conv_kernel_size", kernel, "an odd number")
    # A position embedding is made of pairs of a sine and a cosine.
    if width % 2:
        raise section.refusal("d_model", width, "an even number")
    if width % encoder.n_heads:
        raise section.refusal("n_heads", encoder.n_heads, f"a divisor of d_model {width}")
    section.finish()
    return encoder


def read_predictor(section: Section) -> tuple[int, Predictor]:
    """Reads the predictor's section; returns the vocabulary's size without blank, and the sizes."""
    section.require("_target_", MODULES + "RNNTDecoder")
    section.require("normalization_mode", None)
    section.require("blank_as_pad", True, default=True)
    section.ignore("random_state_sampling")
    vocabulary_size = section.count("vocab_size")
    network = section.section("prednet")
    section.finish()
    width = network.count("pred_hidden")
    n_layers = network.count("pred_rnn_layers")
    network.require("rnn_hidden_size", -1, width, default=-1)
    # Used in initialisation and training only.
    network.ignore("forget_gate_bias", "t_max", "weights_init_scale", "hidden_hidden_bias_scale")
    network.ignore("dropout")
    network.finish()
    return vocabulary_size, Predictor(n_layers=n_layers, width=width)


def read_joint(
    section: Section, vocabulary_size: int, encoder: Encoder, predictor: Predictor
) -> tuple[int, str]:
    """Reads the joint's section; returns its width and the name of its activation."""
    section.require("_target_", MODULES + "RNNTJoint")
    section.require("num_classes", vocabulary_size)
    # Archives always normalise log-probabilities, and the pieces come from the tokenizer.
    section.ignore("log_softmax", "vocabulary")
    # Used in training only.
    section.ignore("preserve_memory", "fuse_loss_wer", "fused_batch_size", "masking_prob")
    section.ignore("experimental_fuse_loss_wer")
    network = section.section("jointnet")
    section.finish()
    activation = network.require("activation", "relu", "tanh", "sigmoid")
    network.require("encoder_hidden", encoder.width)
    network.require("pred_hidden", predictor.width)
    width = network.count("joint_hidden")
    network.ignore("dropout")
    network.finish()
    return width, activation
