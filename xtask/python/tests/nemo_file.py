"""Small .nemo files of the miniature model, whole or damaged in one place."""

import io
import tarfile
from functools import cache
from pathlib import Path

import miniature
import sentencepiece
import torch
import yaml
from miniature import SIZES

MODULES = "nemo.collections.asr.modules."


def config() -> dict:
    """The config that NeMo would write for the miniature model, without its training keys."""
    encoder, predictor = SIZES.encoder, SIZES.predictor
    return {
        "target": "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel",
        "nemo_version": "2.7.3",
        "optim": {"name": "adamw"},
        "tokenizer": {"type": "bpe", "model_path": "nemo:0a_tokenizer.model"},
        "preprocessor": {
            "_target_": MODULES + "AudioToMelSpectrogramPreprocessor",
            "sample_rate": 16000,
            "normalize": "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": SIZES.front_end.n_mels,
            "n_fft": 512,
            "frame_splicing": 1,
            "dither": 1e-5,
            "pad_to": 0,
        },
        "encoder": {
            "_target_": MODULES + "ConformerEncoder",
            "feat_in": SIZES.front_end.n_mels,
            "feat_out": -1,
            "n_layers": encoder.n_layers,
            "d_model": encoder.width,
            "subsampling": "dw_striding",
            "subsampling_factor": 8,
            "subsampling_conv_channels": encoder.subsampling_channels,
            "causal_downsampling": False,
            "ff_expansion_factor": 2,
            "self_attention_model": "rel_pos",
            "n_heads": encoder.n_heads,
            "att_context_size": [-1, -1],
            "att_context_style": "regular",
            "xscaling": True,
            "untie_biases": True,
            "pos_emb_max_len": 5000,
            "conv_kernel_size": encoder.conv_kernel,
            "conv_norm_type": "batch_norm",
            "conv_context_size": None,
            "dropout": 0.1,
        },
        "decoder": {
            "_target_": MODULES + "RNNTDecoder",
            "normalization_mode": None,
            "blank_as_pad": True,
            "vocab_size": SIZES.vocabulary_size,
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
            "num_classes": SIZES.vocabulary_size,
            "vocabulary": ["a"] * SIZES.vocabulary_size,
            "jointnet": {
                "joint_hidden": SIZES.joint_width,
                "encoder_hidden": encoder.width,
                "pred_hidden": predictor.width,
                "activation": "relu",
                "dropout": 0.2,
            },
        },
        "decoding": {"strategy": "greedy_batch", "greedy": {"max_symbols": 10}},
        "loss": {"loss_name": "default"},
    }


def members(weights: object = None, settings: dict | None = None) -> dict[str, bytes]:
    """The files of a checkpoint; `weights` and `settings` replace the right ones."""
    file = io.BytesIO()
    torch.save(miniature.state_dict() if weights is None else weights, file)
    return {
        "./model_config.yaml": yaml.safe_dump(settings or config()).encode(),
        "./model_weights.ckpt": file.getvalue(),
        "./0a_tokenizer.model": tokenizer(SIZES.vocabulary_size),
    }


def write(path: Path, files: dict[str, bytes]) -> Path:
    """Packs the files."""
    with tarfile.open(path, "w:") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@cache
def tokenizer(n_pieces: int) -> bytes:
    """A SentencePiece BPE of this size."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["abc abca bcab cabca"] * 20),
        model_writer=model,
        vocab_size=n_pieces,
        model_type="bpe",
        hard_vocab_limit=True,
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    return model.getvalue()
