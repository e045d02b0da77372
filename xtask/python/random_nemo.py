"""Writes .nemo checkpoints of random weights with NeMo itself: parity must hang on no one model.

Runs in the NeMo environment. The weights are random, and so are batch-norm statistics, position
biases and norms: at their initial values most of them would hide a mistake.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
import torch
from nemo.collections.asr.models import EncDecRNNTBPEModel
from omegaconf import OmegaConf


@dataclass(frozen=True)
class Shape:
    """Sizes in which one published Parakeet differs from another."""

    n_layers: int
    width: int
    n_heads: int
    channels: int
    predictor: int
    lstm_layers: int
    n_mels: int = 80
    scale: bool = True
    bias: bool = True


SHAPES = {
    "tiny": Shape(6, 144, 4, channels=144, predictor=128, lstm_layers=1),
    "wide": Shape(2, 1024, 8, channels=256, predictor=640, lstm_layers=2, n_mels=128, scale=False),
    "plain": Shape(3, 256, 8, channels=64, predictor=160, lstm_layers=2, bias=False),
}
PIECES = 128


def main() -> None:
    """Writes one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer(Path(folder))
        model = EncDecRNNTBPEModel(OmegaConf.create(config(folder, SHAPES[arguments.shape])))
        scatter(model)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        model.save_to(str(arguments.out))


@torch.no_grad()
def scatter(model: EncDecRNNTBPEModel) -> None:
    """Moves what starts at 0 or 1 away from it, and makes blank the most frequent emission."""
    for name, tensor in model.named_parameters():
        if "pos_bias" in name or "norm" in name:
            tensor += 0.3 * torch.randn_like(tensor)
    for name, tensor in model.named_buffers():
        if name.endswith("running_mean"):
            tensor += 0.3 * torch.randn_like(tensor)
        if name.endswith("running_var"):
            tensor += torch.rand_like(tensor)
    prefer_blank(model)


def prefer_blank(model: EncDecRNNTBPEModel) -> None:
    """Raises blank's bias until blank wins three frames of four on noise."""
    # Else one token would decide the emissions of the whole rest.
    model.joint.pred.weight *= 0.3
    noise = 0.1 * torch.randn(4, 160000)
    n_samples = torch.full([4], 160000)
    model.eval()
    features, n_features = model.preprocessor(input_signal=noise, length=n_samples)
    encoded, _ = model.encoder(audio_signal=features, length=n_features)
    predicted, _ = model.decoder.predict(None, add_sos=False, batch_size=4)
    output = model.joint.joint_net[-1]
    output.weight *= 4.0
    scores = model.joint.joint(encoded.transpose(1, 2), predicted).squeeze(2)
    lead = scores[..., :-1].amax(-1) - scores[..., -1]
    output.bias[-1] += lead.quantile(0.75)


def train_tokenizer(folder: Path) -> None:
    """A small SentencePiece BPE, trained on this file's own text."""
    sentencepiece.SentencePieceTrainer.train(
        input=__file__,
        model_prefix=str(folder / "tokenizer"),
        vocab_size=PIECES,
        model_type="bpe",
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        unk_id=0,
    )
    pieces = (folder / "tokenizer.vocab").read_text(encoding="utf-8").splitlines()
    (folder / "vocab.txt").write_text("\n".join(piece.split("\t")[0] for piece in pieces))


def config(folder: str, shape: Shape) -> dict:
    """A model_config.yaml's content, with the keys that the published transducers have."""
    return {
        "sample_rate": 16000,
        "compute_eval_loss": False,
        "log_prediction": True,
        "rnnt_reduction": "mean_volume",
        "skip_nan_grad": False,
        "model_defaults": {
            "enc_hidden": shape.width,
            "pred_hidden": shape.predictor,
            "joint_hidden": shape.predictor,
        },
        "tokenizer": {"dir": folder, "type": "bpe"},
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
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
        },
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConformerEncoder",
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
            "conv_kernel_size": 9,
            "conv_norm_type": "batch_norm",
            "conv_context_size": None,
            "use_bias": shape.bias,
            "dropout": 0.1,
            "dropout_pre_encoder": 0.1,
            "dropout_emb": 0.0,
            "dropout_att": 0.1,
            "stochastic_depth_drop_prob": 0.0,
            "stochastic_depth_mode": "linear",
            "stochastic_depth_start_layer": 1,
        },
        "decoder": {
            "_target_": "nemo.collections.asr.modules.RNNTDecoder",
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
        "joint": {
            "_target_": "nemo.collections.asr.modules.RNNTJoint",
            "log_softmax": None,
            "preserve_memory": False,
            "fuse_loss_wer": False,
            "jointnet": {"joint_hidden": shape.predictor, "activation": "relu", "dropout": 0.2},
        },
        "decoding": {"strategy": "greedy_batch", "greedy": {"max_symbols": 10}},
        "loss": {"loss_name": "default"},
        "optim": {"name": "adamw", "lr": 1e-3},
    }


if __name__ == "__main__":
    main()
