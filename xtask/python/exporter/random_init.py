"""Parakeets of true size with random weights, which need no checkpoint."""

from dataclasses import replace

import torch
from torch import Tensor

from exporter.alternating import make_alternate
from exporter.architecture import Architecture, Encoder, FrontEnd, Predictor
from exporter.errors import ExportError
from exporter.linear import Linear
from exporter.parakeet import Parakeet

# Layers, width, heads and subsampling channels of FastConformers. Published models have 256
# channels.
TINY = (6, 144, 4, 96)
LARGE = (17, 512, 8, 256)
XLARGE = (24, 1024, 8, 256)
XXLARGE = (42, 1024, 8, 256)


def sized(
    head: str,
    encoder: tuple[int, int, int, int],
    predictor: Predictor,
    pieces: int = 1024,
    n_mels: int = 80,
    bias: bool = True,
) -> Architecture:
    """Returns an architecture of these sizes; all published models share the other sizes."""
    n_layers, width, n_heads, channels = encoder
    sizes = Architecture(
        head=head,
        vocabulary_size=pieces,
        front_end=FrontEnd(n_mels=n_mels),
        encoder=Encoder(
            n_layers=n_layers,
            width=width,
            n_heads=n_heads,
            feed_forward_width=4 * width,
            conv_kernel=9,
            conv_norm="batch_norm",
            subsampling=8,
            subsampling_channels=channels,
            # Published TDT models do not scale the encoder's input.
            scale_input=head != "tdt",
            bias=bias,
        ),
        predictor=predictor,
        joint_width=predictor.width,
        durations=(0, 1, 2, 3, 4) if head == "tdt" else (),
    )
    return ctc_head(sizes) if head == "ctc" else sizes


def ctc_head(sizes: Architecture) -> Architecture:
    """Returns the same encoder with a CTC head."""
    return replace(sizes, head="ctc", predictor=None, joint_width=0, durations=())


LABELS = Predictor(n_layers=2, width=640)
# NeMo's configuration of a hybrid of size "large" has one LSTM layer. Of the 1.1b hybrid only the
# size is public, so its other sizes are those of tdt-1.1b.
SIZES = {
    "rnnt-tiny": sized("rnnt", TINY, Predictor(n_layers=1, width=128), pieces=128),
    "tdt_ctc-tiny": sized("tdt", TINY, Predictor(n_layers=1, width=128), pieces=128),
    "rnnt-0.6b": sized("rnnt", XLARGE, LABELS),
    "rnnt-1.1b": sized("rnnt", XXLARGE, LABELS),
    "ctc-0.6b": sized("ctc", XLARGE, LABELS),
    "ctc-1.1b": sized("ctc", XXLARGE, LABELS),
    "tdt-0.6b-v2": sized("tdt", XLARGE, LABELS, n_mels=128, bias=False),
    "tdt-0.6b-v3": sized("tdt", XLARGE, LABELS, pieces=8192, n_mels=128, bias=False),
    "tdt-1.1b": sized("tdt", XXLARGE, LABELS),
    "tdt_ctc-110m": sized("tdt", LARGE, Predictor(n_layers=1, width=640)),
    "tdt_ctc-1.1b": sized("tdt", XXLARGE, LABELS),
}


def architecture(name: str, head: str | None = None) -> Architecture:
    """Returns the sizes of this name; `head` picks a head of a hybrid, None its transducer."""
    if name not in SIZES:
        raise ExportError(f"--random-init {name} is not one of {', '.join(SIZES)}")
    sizes = SIZES[name]
    if head in (None, sizes.head):
        return sizes
    if head == "ctc" and "_ctc" in name:
        return ctc_head(sizes)
    raise ExportError(f"--random-init {name} has no {head} head")


# Share of the frames on which a CTC emits a token. Most of these tokens repeat the one before.
EMITTING = 1 / 3


@torch.inference_mode()
def calibrate(model: Parakeet, head: str, seed: int) -> None:
    """Changes a random head in place, so that the search has about as much work as with speech.

    Encoder frames of a random network differ little, and one token would win on every frame. So the
    projection of the frames is brought to mean 0 and deviation 1. Then a transducer is made to
    alternate (see `alternating.py`). For a CTC, blank's bias is raised until `EMITTING` of the
    frames emit a token.
    """
    # Each utterance holds all four sounds: features are normalised by utterance, and the sounds
    # must differ after normalisation.
    sounds = torch.stack([speech_like(seed + i).flatten() for i in range(2)])
    encoded, _ = model.encoder_output(sounds, torch.full([sounds.size(0)], sounds.size(1)))
    if head != "ctc":
        standardise(model.head.encoder_projection, encoded)
        make_alternate(model.head, encoded)
        return
    standardise(model.head.classes, encoded)
    scores = model.head.classes(encoded)
    blank = model.head.blank
    lead = scores[..., :blank].amax(2) - scores[..., blank]
    model.head.classes.bias[blank] += lead.quantile(1 - EMITTING)


def standardise(layer: Linear, encoded: Tensor) -> None:
    """Changes the layer so that each output has mean 0 and deviation 1 on frames (N, T', D)."""
    deviation, mean = torch.std_mean(layer(encoded), dim=(0, 1))
    layer.weight /= deviation.unsqueeze(1)
    layer.bias.copy_((layer.bias - mean) / deviation)


def speech_like(seed: int) -> Tensor:
    """Returns four sounds of 5 s: hiss, a buzz of varying pitch, and both again in syllables."""
    generator = torch.Generator().manual_seed(seed)
    seconds = torch.arange(5 * 16000) / 16000
    hiss = 0.1 * torch.randn(seconds.size(0), generator=generator)
    pitch = 120.0 + 30.0 * torch.sin(2.0 * torch.pi * 0.7 * seconds)
    buzz = 0.3 * (torch.cumsum(pitch / 16000, 0) % 1.0 - 0.5)
    # The level falls by 40 dB and rises again three times a second.
    syllables = 10.0 ** (torch.sin(2.0 * torch.pi * 3.0 * seconds) - 1.0)
    return torch.stack([hiss, buzz + 0.01 * hiss, hiss * syllables, buzz * syllables + 0.01 * hiss])


def pieces(size: int) -> list[str]:
    """Returns the pieces of a random model: every second piece starts a word."""
    return [("\u2581" if i % 2 == 0 else "") + letters(i) for i in range(size)]


def letters(number: int) -> str:
    """Writes a number in base 26 with the digits a to z."""
    text = ""
    while True:
        number, digit = divmod(number, 26)
        text = chr(ord("a") + digit) + text
        if number == 0:
            return text
