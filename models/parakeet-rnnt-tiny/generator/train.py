"""Trains the tiny FastConformer-RNNT and writes it as a `.nemo` checkpoint with float16 weights.

Usage: python train.py --data DIR --tokenizer DIR --out FILE.nemo [--resume]
       python train.py --data DIR --start OTHER.nemo --out FILE.nemo
The second command continues a trained network on speech that is joined as in long recordings.
Needs NeMo 2.7.3 and torch 2.11.0. A step takes about 0.22 s on two cores, and twice that without
    MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=8589934592
    ONEDNN_PRIMITIVE_CACHE_CAPACITY=20000
in the environment. By default glibc returns the memory of every large tensor to the system, and the
next tensor faults its pages in again; and oneDNN's cache is too small for the kernels of all
shapes.
"""

import argparse
import dataclasses
import functools
import math
import pathlib
import tarfile
import time
from collections.abc import Iterable

import numpy as np
import omegaconf
import sentencepiece
import torch
from nemo.collections.asr.models import EncDecRNNTBPEModel
from nemo.utils import logging

from batches import Batch, TrainingBatches, Utterance, collate, load_split
from scoring import count_errors
from transducer_loss import build_band, restricted_transducer_loss

SEED = 20_260
WARM_UP_STEPS = 400
REPORT_EVERY = 50
VALIDATE_EVERY = 500
FREQUENCY_MASKS = 2
FREQUENCY_MASK_MAX_BINS = 14
TIME_MASKS = 2
# 80 ms: a longer mask could hide a whole word.
TIME_MASK_MAX_FRAMES = 8


@dataclasses.dataclass(frozen=True)
class Course:
    """The settings of one training run.

    splits: the parts of the training speech
    joined_share: the share of training items that are joined utterances
    """

    splits: tuple[str, ...]
    n_steps: int
    peak_learning_rate: float
    joined_share: float


FROM_NOTHING = Course(("train", "more"), 22_600, 2.5e-3, 0.07)
FROM_TRAINED = Course(("train",), 3_600, 8e-4, 0.3)
# Share of the weights trained with --start in the weights that are written; the rest is the
# start's.
OWN_SHARE = 0.6


def build_model(tokenizer_dir: pathlib.Path) -> EncDecRNNTBPEModel:
    """Builds NeMo's own model from model_config.yaml, with fresh weights."""
    config = omegaconf.OmegaConf.load(pathlib.Path(__file__).with_name("model_config.yaml"))
    config.tokenizer.dir = str(tokenizer_dir)
    model = EncDecRNNTBPEModel(cfg=config)
    subsampling = model.encoder.pre_encode.conv.to(memory_format=torch.channels_last)
    subsampling.forward = functools.partial(subsample, subsampling)
    return model


def unpack_tokenizer(checkpoint: pathlib.Path, folder: pathlib.Path) -> None:
    """Extracts the tokenizer's files from a checkpoint, where each name begins with a hash."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(checkpoint) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2].partition("_")[2]
            if name in ("tokenizer.model", "tokenizer.vocab", "vocab.txt"):
                (folder / name).write_bytes(archive.extractfile(member).read())


def subsample(
    layers: Iterable[torch.nn.Module], features: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Computes what NeMo's MaskedConvSequential computes, in a third of its time on a CPU.

    NeMo masks before every layer; this function masks only before a kernel that reaches past the
    end. Tensors are float32 with the channels last: oneDNN's depthwise gradients are slow in every
    other form.
    """
    with torch.autocast("cpu", enabled=False):
        x = features.unsqueeze(1)
        for layer in layers:
            if getattr(layer, "stride", (1, 1)) != (1, 1):
                x = layer(x * time_mask(x, lengths))
                lengths = (lengths - 1) // 2 + 1
            else:
                x = layer(x)
        return x * time_mask(x, lengths), lengths


def time_mask(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Returns (N, 1, T, 1) for (N, C, T, F): 1 inside each length, else 0."""
    inside = torch.arange(x.shape[2]) < lengths[:, None]
    return inside[:, None, :, None].to(x.dtype)


def mask_features(features: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Sets random bands and frames of (N, n_mels, T) features to 0, others for each utterance.

    Park et al. 2019, "SpecAugment", with masks so short that no word is hidden.
    """
    features = features.clone()
    _, n_mels, n_frames = features.shape
    for row in features:
        for _ in range(FREQUENCY_MASKS):
            start, width = draw_mask(n_mels, FREQUENCY_MASK_MAX_BINS, rng)
            row[start : start + width] = 0.0
        for _ in range(TIME_MASKS):
            start, width = draw_mask(n_frames, TIME_MASK_MAX_FRAMES, rng)
            row[:, start : start + width] = 0.0
    return features


def draw_mask(length: int, longest: int, rng: np.random.Generator) -> tuple[int, int]:
    """Returns start and width of a mask inside `length`, which is more than `longest`."""
    width = int(rng.integers(0, longest + 1))
    return int(rng.integers(0, length - width)), width


def batch_loss(model: EncDecRNNTBPEModel, batch: Batch, rng: np.random.Generator) -> torch.Tensor:
    """Returns the mean over the batch's tokens of the restricted loss."""
    with torch.no_grad():
        features, n_feature_frames = model.preprocessor(
            input_signal=batch.audio, length=batch.n_samples
        )
        features = mask_features(features, rng)
    # A quarter faster than float32 on a CPU with bfloat16 units; the loss stays float32.
    has_bfloat16 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16):
        encoded, n_frames = model.encoder(audio_signal=features, length=n_feature_frames)
    encoded = encoded.float()
    n_tokens = [len(tokens) for tokens in batch.tokens]
    # Rounded up to a multiple of 8: few shapes keep oneDNN's cache small, as with batches.
    targets = torch.zeros(len(n_tokens), -(-max(1, *n_tokens) // 8) * 8, dtype=torch.long)
    for row, tokens in enumerate(batch.tokens):
        targets[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
    predicted, _, _ = model.decoder(targets=targets, target_length=torch.tensor(n_tokens))
    frames = n_frames.tolist()
    losses = restricted_transducer_loss(
        model.joint.joint_net,
        model.joint.enc(encoded[:, :, : max(frames)].transpose(1, 2)),
        model.joint.pred(predicted.transpose(1, 2)),
        targets,
        build_band(batch.ranges, frames),
        frames,
        n_tokens,
    )
    return losses.sum() / max(1, sum(n_tokens))


@torch.no_grad()
def validate(
    model: EncDecRNNTBPEModel,
    utterances: list[Utterance],
    tokenizer: sentencepiece.SentencePieceProcessor,
) -> float:
    """Returns the word error rate of greedy search on clean utterances, in percent."""
    model.eval()
    n_errors = n_words = 0
    ordered = sorted(utterances, key=lambda item: len(item.samples))
    for start in range(0, len(ordered), 20):
        items = ordered[start : start + 20]
        batch = collate(items, tokenizer)
        encoded, n_frames = model(input_signal=batch.audio, input_signal_length=batch.n_samples)
        hypotheses = model.decoding.rnnt_decoder_predictions_tensor(encoded, n_frames)
        for item, hypothesis in zip(items, hypotheses, strict=True):
            errors, words = count_errors(item.text.split(), hypothesis.text.split())
            n_errors, n_words = n_errors + errors, n_words + words
    model.train()
    return 100.0 * n_errors / n_words


def learning_rate(step: int, course: Course) -> float:
    """Returns the rate: linear warm-up, then half a cosine down to a hundredth of the peak."""
    if step < WARM_UP_STEPS:
        return course.peak_learning_rate * (step + 1) / WARM_UP_STEPS
    progress = (step - WARM_UP_STEPS) / max(1, course.n_steps - WARM_UP_STEPS)
    half_cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return course.peak_learning_rate * (0.01 + 0.99 * half_cosine)


def save(model: EncDecRNNTBPEModel, path: pathlib.Path) -> None:
    """Writes the checkpoint through NeMo, with weights rounded to float16.

    The front end's tables stay float32, because NeMo restores them without a cast.
    """
    state = model.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point() and not name.startswith("preprocessor."):
            state[name] = tensor.half()
    # The checkpoint holds the tokenizer's files; the path on this machine must not be stored.
    model.cfg.tokenizer.dir = "tokenizer"
    float32_state, model.state_dict = model.state_dict, lambda: state
    model.save_to(str(path))
    model.state_dict = float32_state


@torch.no_grad()
def average(model: EncDecRNNTBPEModel, other: EncDecRNNTBPEModel, share: float) -> None:
    """Sets the model's weights to `share` of its own plus 1 - `share` of the other's.

    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models": the average keeps most of what
    fine-tuning gained, and recovers most of what fine-tuning cost on the original data.
    """
    others = other.state_dict()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(others[name].to(tensor.dtype), 1.0 - share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of synthesize.py")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="checkpoint to write")
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--tokenizer", type=pathlib.Path, help="folder of tokenizer.py")
    origin.add_argument("--start", type=pathlib.Path, help="a trained checkpoint to go on from")
    parser.add_argument("--steps", type=int, help="22600, or 3600 with --start")
    parser.add_argument("--resume", action="store_true", help="go on from FILE.nemo.train")
    arguments = parser.parse_args()

    logging.setLevel(logging.ERROR)
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    course = FROM_TRAINED if arguments.start else FROM_NOTHING
    course = dataclasses.replace(course, n_steps=arguments.steps or course.n_steps)
    tokenizer_dir = arguments.tokenizer
    if arguments.start:
        tokenizer_dir = arguments.out.with_suffix(".tokenizer")
        unpack_tokenizer(arguments.start, tokenizer_dir)
    model = build_model(tokenizer_dir)
    if arguments.start:
        trained = EncDecRNNTBPEModel.restore_from(str(arguments.start), map_location="cpu")
        model.load_state_dict(trained.state_dict())
    model.train()
    tokenizer = sentencepiece.SentencePieceProcessor(
        model_file=str(tokenizer_dir / "tokenizer.model")
    )
    utterances = [it for split in course.splits for it in load_split(arguments.data, split)]
    held_out = load_split(arguments.data, "dev")
    hours = sum(len(u.samples) for u in utterances) / 16_000 / 3600
    n_weights = sum(p.numel() for p in model.parameters())
    print(
        f"{n_weights / 1e6:.2f} M weights, {len(utterances)} utterances, {hours:.2f} h", flush=True
    )

    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=course.peak_learning_rate,
        betas=(0.9, 0.98),
        weight_decay=1e-3,
        fused=True,
    )
    progress_file = arguments.out.with_suffix(".nemo.train")
    first_step = 0
    if arguments.resume:
        progress = torch.load(progress_file, weights_only=True)
        model.load_state_dict(progress["model"])
        optimizer.load_state_dict(progress["optimizer"])
        first_step = progress["step"]

    loader = torch.utils.data.DataLoader(
        TrainingBatches(utterances, tokenizer, course.joined_share, SEED + first_step),
        batch_size=None,
        num_workers=1,
        prefetch_factor=8,
    )
    losses: list[float] = []
    started = time.monotonic()
    for step, batch in zip(range(first_step, course.n_steps), loader, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, course)
        loss = batch_loss(model, batch, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % REPORT_EVERY == 0:
            pace = (time.monotonic() - started) / (step + 1 - first_step)
            mean = sum(losses) / len(losses)
            losses.clear()
            print(f"step {step + 1} loss {mean:.3f} pace {pace:.2f} s/step", flush=True)
        if (step + 1) % VALIDATE_EVERY == 0 or step + 1 == course.n_steps:
            print(
                f"step {step + 1} dev WER {validate(model, held_out, tokenizer):.2f} %", flush=True
            )
            save(model, arguments.out)
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step + 1,
                },
                progress_file,
            )
    if arguments.start:
        average(model, trained, OWN_SHARE)
        print(f"averaged: dev WER {validate(model, held_out, tokenizer):.2f} %", flush=True)
        save(model, arguments.out)


if __name__ == "__main__":
    main()
