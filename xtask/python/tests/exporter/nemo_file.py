"""Writes small .nemo files of the miniature model; tests damage them in one place."""

import copy
import io
import tarfile
from functools import cache
from pathlib import Path

import sentencepiece
import torch
import yaml

from exporter.architecture import Architecture, Encoder
from tests.exporter import miniature
from tests.exporter.miniature import SIZES

MODULES = "nemo.collections.asr.modules."
MODELS = "nemo.collections.asr.models."


def config(sizes: Architecture = SIZES) -> dict:
    """Returns the config that NeMo would write for a miniature model, without training keys."""
    settings = {
        "target": MODELS + "rnnt_bpe_models.EncDecRNNTBPEModel",
        "nemo_version": "2.7.3",
        "optim": {"name": "adamw"},
        "tokenizer": {"type": "bpe", "model_path": "nemo:0a_tokenizer.model"},
        "preprocessor": preprocessor(sizes),
        "encoder": encoder(sizes.encoder, sizes.front_end.n_mels),
    }
    if sizes.head == "ctc":
        settings["target"] = MODELS + "ctc_bpe_models.EncDecCTCModelBPE"
        return settings | ctc(sizes)
    return settings | transducer(sizes)


def hybrid(sizes: Architecture) -> dict:
    """Returns the config of a hybrid checkpoint: this transducer and a CTC head."""
    target = MODELS + "hybrid_rnnt_ctc_bpe_models.EncDecHybridRNNTCTCBPEModel"
    return config(sizes) | {"target": target, "aux_ctc": ctc(sizes)}


def preprocessor(sizes: Architecture) -> dict:
    """Returns the section of the front end."""
    return {
        "_target_": MODULES + "AudioToMelSpectrogramPreprocessor",
        "sample_rate": 16000,
        "normalize": "per_feature",
        "window_size": 0.025,
        "window_stride": 0.01,
        "window": "hann",
        "features": sizes.front_end.n_mels,
        "n_fft": 512,
        "frame_splicing": 1,
        "dither": 1e-5,
        "pad_to": 0,
    }


def encoder(sizes: Encoder, n_mels: int) -> dict:
    """Returns the section of the encoder."""
    return {
        "_target_": MODULES + "ConformerEncoder",
        "feat_in": n_mels,
        "feat_out": -1,
        "n_layers": sizes.n_layers,
        "d_model": sizes.width,
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": sizes.subsampling_channels,
        "causal_downsampling": False,
        "ff_expansion_factor": 2,
        "self_attention_model": "rel_pos",
        "n_heads": sizes.n_heads,
        "att_context_size": [-1, -1],
        "att_context_style": "regular",
        "xscaling": sizes.scale_input,
        "untie_biases": True,
        "pos_emb_max_len": 5000,
        "conv_kernel_size": sizes.conv_kernel,
        "conv_norm_type": sizes.conv_norm,
        "conv_context_size": None,
        "use_bias": sizes.bias,
        "dropout": 0.1,
    }


def transducer(sizes: Architecture) -> dict:
    """Returns the sections of an RNNT or TDT head."""
    predictor, durations = sizes.predictor, list(sizes.durations)
    sections = {
        "model_defaults": {
            "enc_hidden": sizes.encoder.width,
            "pred_hidden": predictor.width,
            "joint_hidden": sizes.joint_width,
        },
        "decoder": {
            "_target_": MODULES + "RNNTDecoder",
            "normalization_mode": None,
            "blank_as_pad": True,
            "vocab_size": sizes.vocabulary_size,
            "prednet": {
                "pred_hidden": predictor.width,
                "pred_rnn_layers": predictor.n_layers,
                "t_max": None,
                "dropout": 0.2,
            },
        },
        "joint": {
            "_target_": MODULES + "RNNTJoint",
            "log_softmax": None,
            "num_classes": sizes.vocabulary_size,
            "vocabulary": ["a"] * sizes.vocabulary_size,
            "jointnet": {
                "joint_hidden": sizes.joint_width,
                "encoder_hidden": sizes.encoder.width,
                "pred_hidden": predictor.width,
                "activation": sizes.joint_activation,
                "dropout": 0.2,
            },
        },
        "decoding": {"strategy": "greedy_batch", "greedy": {"max_symbols": 10}},
        "loss": {"loss_name": "default"},
    }
    if sizes.head == "tdt":
        sections["model_defaults"] |= {
            "tdt_durations": durations,
            "num_tdt_durations": len(durations),
        }
        sections["joint"]["num_extra_outputs"] = len(durations)
        sections["decoding"] |= {"model_type": "tdt", "durations": durations}
        sections["loss"] = {"loss_name": "tdt", "tdt_kwargs": {"durations": durations}}
    return copy.deepcopy(sections)


def ctc(sizes: Architecture) -> dict:
    """Returns the sections of a CTC head."""
    return {
        "decoder": {
            "_target_": MODULES + "ConvASRDecoder",
            "feat_in": sizes.encoder.width,
            "num_classes": sizes.vocabulary_size,
            "vocabulary": ["a"] * sizes.vocabulary_size,
        },
        "decoding": {"strategy": "greedy"},
    }


def members(
    weights: object = None, settings: dict | None = None, sizes: Architecture = SIZES
) -> dict[str, bytes]:
    """Returns the files of a checkpoint; `weights` and `settings` replace the right content."""
    file = io.BytesIO()
    torch.save(miniature.state_dict(sizes) if weights is None else weights, file)
    return {
        "./model_config.yaml": yaml.safe_dump(settings or config(sizes)).encode(),
        "./model_weights.ckpt": file.getvalue(),
        "./0a_tokenizer.model": tokenizer(sizes.vocabulary_size),
    }


def write(path: Path, files: dict[str, bytes]) -> Path:
    """Writes the files into a tar; returns its path."""
    with tarfile.open(path, "w:") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@cache
def tokenizer(n_pieces: int, text: str = "abc abca bcab cabca") -> bytes:
    """Trains a SentencePiece BPE of this size; returns the model file."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text] * 20),
        model_writer=model,
        vocab_size=n_pieces,
        model_type="bpe",
        hard_vocab_limit=True,
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    return model.getvalue()
