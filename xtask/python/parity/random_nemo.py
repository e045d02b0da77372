"""Writes .nemo checkpoints of random weights with NeMo itself: parity must hang on no one model.

Runs in the NeMo environment. The weights are random, and so are batch-norm statistics, position
biases and norms: at their initial values most of them would hide a mistake. The head is made to
emit tokens (see `emission_rate.py`).
"""

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any, Iterator

import sentencepiece
import torch
from nemo.collections.asr.models import (
    EncDecCTCModelBPE,
    EncDecHybridRNNTCTCBPEModel,
    EncDecRNNTBPEModel,
)
from nemo.utils import logging
from omegaconf import OmegaConf
from torch import Tensor

from parity.audio import recordings
from parity.emission_rate import set_emission_rate
from parity.nemo_config import SHAPES, Shape, config

# Vowels and consonants of the invented words.
ALPHABETS = {
    "latin": ("aeiou", "bcdfghjklmnprstvw"),
    "accented": ("áéîöü", "çñßłš"),
    "cyrillic": ("аеиоу", "бвгдклмнпрст"),
}


def main() -> None:
    """Writes one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    audio = list(recordings().values())
    write(SHAPES[arguments.shape], arguments.out, audio, arguments.seed)


def write(shape: Shape, path: Path, audio: list[Tensor], seed: int = 1, half: bool = False) -> None:
    """Makes a model that emits tokens on `audio`, and writes its checkpoint, float16 if `half`."""
    logging.setLevel(logging.ERROR)
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer(shape, Path(folder), seed)
        model = model_class(shape)(OmegaConf.create(config(shape, Path(folder)))).eval()
        add_noise(model)
        set_emission_rate(model, shape, audio)
        if half:
            model.half()
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save_to(str(path))


def model_class(shape: Shape) -> Any:
    """Returns NeMo's class for these heads."""
    if len(shape.heads) == 2:
        return EncDecHybridRNNTCTCBPEModel
    return EncDecCTCModelBPE if shape.heads[0] == "ctc" else EncDecRNNTBPEModel


@torch.no_grad()
def add_noise(model: torch.nn.Module) -> None:
    """Adds noise to the parameters and statistics whose initial values are 0 or 1."""
    for name, tensor in model.named_parameters():
        if "pos_bias" in name or "norm" in name:
            tensor += 0.3 * torch.randn_like(tensor)
    for name, tensor in model.named_buffers():
        if name.endswith("running_mean"):
            tensor += 0.3 * torch.randn_like(tensor)
        if name.endswith("running_var"):
            tensor += torch.rand_like(tensor)


def train_tokenizer(shape: Shape, folder: Path, seed: int) -> None:
    """Trains a SentencePiece BPE of the shape's size on invented words."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences(shape, random.Random(seed)),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=shape.pieces,
        model_type="bpe",
        character_coverage=1.0,
        # The default, NFKC, would store a table of 230 kB in every checkpoint.
        normalization_rule_name="identity",
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        unk_id=0,
        minloglevel=2,
    )
    pieces = (folder / "tokenizer.vocab").read_text(encoding="utf-8").splitlines()
    (folder / "vocab.txt").write_text("\n".join(piece.split("\t")[0] for piece in pieces))


def sentences(shape: Shape, chance: random.Random) -> Iterator[str]:
    """Yields enough sentences to train a tokenizer of the shape's size."""
    alphabets = [ALPHABETS[name] for name in shape.alphabets]
    for _ in range(max(500, shape.pieces)):
        words = [word(*chance.choice(alphabets), chance) for _ in range(8)]
        if shape.punctuation:
            words[3] += chance.choice([",", ";", ""])
            words[0] = words[0].capitalize()
            words[-1] += chance.choice([".", "?", "!"])
        yield " ".join(words)


def word(vowels: str, consonants: str, chance: random.Random) -> str:
    """Returns one to four syllables, sometimes with an apostrophe and an s."""
    syllables = [
        chance.choice(consonants) + chance.choice(vowels) for _ in range(chance.randint(1, 4))
    ]
    return "".join(syllables) + ("'s" if chance.random() < 0.1 else "")


if __name__ == "__main__":
    main()
