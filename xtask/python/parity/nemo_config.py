"""The random models that parity is tested on, and NeMo's config of each.

Their sizes are small. For every config value in which published Parakeets differ, or that NeMo's
config allows and the exporter implements, one of these models has another value than the rest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULES = "nemo.collections.asr.modules."


@dataclass(frozen=True)
class Shape:
    """The sizes of a random model; `heads` are of tdt, rnnt and ctc, and a hybrid has two."""

    heads: tuple[str, ...]
    n_layers: int = 2
    width: int = 64
    n_heads: int = 4
    channels: int = 32
    kernel: int = 9
    norm: str = "batch_norm"
    predictor: int = 48
    lstm_layers: int = 1
    joint: int = 56
    activation: str = "relu"
    durations: tuple[int, ...] = (0, 1, 2, 3, 4)
    n_mels: int = 80
    scale: bool = True
    bias: bool = True
    pieces: int = 128
    punctuation: bool = False
    alphabets: tuple[str, ...] = ("latin",)
    # Standard deviation of the head's scores, in nats. 3 gives confidences between 0.1 and 1.
    spread: float = 3.0


# Small enough to be committed with the tests, in float16.
MINIATURE: dict[str, Any] = {
    "width": 32,
    "channels": 16,
    "predictor": 24,
    "joint": 32,
    "pieces": 64,
}

SHAPES = {
    "rnnt": Shape(("rnnt",), lstm_layers=2, predictor=56),
    "rnnt-plain": Shape(
        ("rnnt",), n_layers=3, n_mels=128, scale=False, bias=False, activation="tanh", kernel=5
    ),
    "rnnt-deep": Shape(
        ("rnnt",), n_layers=6, norm="layer_norm", activation="sigmoid", kernel=31, pieces=1024
    ),
    "rnnt-wide": Shape(
        ("rnnt",), width=1024, n_heads=8, channels=256, predictor=640, lstm_layers=2, joint=640
    ),
    "tdt": Shape(("tdt",), scale=False, lstm_layers=2, predictor=56),
    "tdt-v2": Shape(
        ("tdt",), n_mels=128, scale=False, bias=False, pieces=1024, punctuation=True, lstm_layers=2
    ),
    "tdt-v3": Shape(
        ("tdt",),
        n_mels=128,
        scale=False,
        bias=False,
        pieces=8192,
        punctuation=True,
        alphabets=("latin", "accented", "cyrillic"),
    ),
    "tdt-long": Shape(("tdt",), n_heads=8, durations=(0, 1, 2, 4, 8), activation="tanh", joint=80),
    "ctc": Shape(("ctc",)),
    "ctc-plain": Shape(
        ("ctc",), n_layers=3, n_mels=128, scale=False, bias=False, pieces=1024, punctuation=True
    ),
    "tdt_ctc": Shape(("tdt", "ctc"), pieces=256, punctuation=True),
    "golden-rnnt": Shape(("rnnt",), lstm_layers=2, **MINIATURE),
    "golden-tdt": Shape(("tdt",), scale=False, bias=False, punctuation=True, **MINIATURE),
    "golden-ctc": Shape(("ctc",), **MINIATURE),
}


def config(shape: Shape, tokenizer: Path) -> dict:
    """Returns the content of a model_config.yaml, with the keys of published models."""
    head = shape.heads[0]
    whole = {
        "sample_rate": 16000,
        "log_prediction": True,
        "skip_nan_grad": False,
        "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
        "preprocessor": preprocessor(shape),
        "encoder": encoder(shape),
        "optim": {"name": "adamw", "lr": 1e-3},
    }
    if head == "ctc":
        decoder = ctc_decoder(shape)
        return whole | {"ctc_reduction": "mean_batch", "use_cer": False} | decoder
    whole |= transducer(shape)
    if "ctc" in shape.heads:
        training = {"ctc_loss_weight": 0.3, "use_cer": False, "ctc_reduction": "mean_batch"}
        whole["aux_ctc"] = training | ctc_decoder(shape)
    return whole


def preprocessor(shape: Shape) -> dict:
    """Returns the section of the front end."""
    return {
        "_target_": MODULES + "AudioToMelSpectrogramPreprocessor",
        "sample_rate": 16000,
        "normalize": "per_feature",
        "window_size": 0.025,
        "window_stride": 0.01,
        "window": "hann",
        "features": shape.n_mels,
        "n_fft": 512,
        "frame_splicing": 1,
        "dither": 1e-5,
        "pad_to": 0,
    }


def encoder(shape: Shape) -> dict:
    """Returns the section of the encoder."""
    return {
        "_target_": MODULES + "ConformerEncoder",
        "feat_in": shape.n_mels,
        "feat_out": -1,
        "n_layers": shape.n_layers,
        "d_model": shape.width,
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": shape.channels,
        "causal_downsampling": False,
        "reduction": None,
        "reduction_position": None,
        "reduction_factor": 1,
        "ff_expansion_factor": 4,
        "self_attention_model": "rel_pos",
        "n_heads": shape.n_heads,
        "att_context_size": [-1, -1],
        "att_context_style": "regular",
        "xscaling": shape.scale,
        "untie_biases": True,
        "pos_emb_max_len": 5000,
        "use_pytorch_sdpa": False,
        "use_pytorch_sdpa_backends": [],
        "conv_kernel_size": shape.kernel,
        "conv_norm_type": shape.norm,
        "conv_context_size": None,
        "use_bias": shape.bias,
        "dropout": 0.1,
        "dropout_pre_encoder": 0.1,
        "dropout_emb": 0.0,
        "dropout_att": 0.1,
        "stochastic_depth_drop_prob": 0.0,
        "stochastic_depth_mode": "linear",
        "stochastic_depth_start_layer": 1,
    }


def transducer(shape: Shape) -> dict:
    """Returns the sections of predictor, joint, loss and search of an RNNT or TDT."""
    joint = {
        "_target_": MODULES + "RNNTJoint",
        "log_softmax": None,
        "preserve_memory": False,
        "fuse_loss_wer": False,
        "jointnet": {
            "joint_hidden": shape.joint,
            "activation": shape.activation,
            "dropout": 0.2,
        },
    }
    defaults = {
        "enc_hidden": shape.width,
        "pred_hidden": shape.predictor,
        "joint_hidden": shape.joint,
    }
    decoding: dict = {"strategy": "greedy_batch", "greedy": {"max_symbols": 10}}
    loss: dict = {"loss_name": "default"}
    if shape.heads[0] == "tdt":
        durations = list(shape.durations)
        defaults |= {"tdt_durations": durations, "num_tdt_durations": len(durations)}
        joint["num_extra_outputs"] = len(durations)
        decoding |= {"model_type": "tdt", "durations": durations}
        training = {"fastemit_lambda": 0.0, "clamp": -1.0, "sigma": 0.02, "omega": 0.1}
        loss = {"loss_name": "tdt", "tdt_kwargs": {"durations": durations} | training}
    return {
        "compute_eval_loss": False,
        "rnnt_reduction": "mean_volume",
        "model_defaults": defaults,
        "decoder": {
            "_target_": MODULES + "RNNTDecoder",
            "normalization_mode": None,
            "random_state_sampling": False,
            "blank_as_pad": True,
            "prednet": {
                "pred_hidden": shape.predictor,
                "pred_rnn_layers": shape.lstm_layers,
                "t_max": None,
                "dropout": 0.2,
            },
        },
        "joint": joint,
        "decoding": decoding,
        "loss": loss,
    }


def ctc_decoder(shape: Shape) -> dict:
    """Returns the sections of output layer and search of a CTC head."""
    return {
        "decoder": {
            "_target_": MODULES + "ConvASRDecoder",
            "feat_in": shape.width,
            "num_classes": -1,
            "vocabulary": [],
        },
        "decoding": {"strategy": "greedy"},
    }
