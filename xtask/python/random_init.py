"""Parakeets of true size without a checkpoint, by name."""

import torch
from torch import Tensor

from architecture import Architecture, Encoder, FrontEnd, Predictor
from errors import ExportError
from parakeet import Parakeet


def transducer(
    n_layers: int,
    width: int,
    n_heads: int,
    channels: int,
    pieces: int,
    predictor: Predictor,
) -> Architecture:
    """What all sizes have in common; `channels` are the subsampling's."""
    return Architecture(
        head="rnnt",
        vocabulary_size=pieces,
        front_end=FrontEnd(),
        encoder=Encoder(
            n_layers=n_layers,
            width=width,
            n_heads=n_heads,
            feed_forward_width=4 * width,
            conv_kernel=9,
            subsampling=8,
            subsampling_channels=channels,
            scale_input=True,
            bias=True,
        ),
        predictor=predictor,
        joint_width=predictor.width,
    )


SIZES = {
    "rnnt-tiny": transducer(6, 144, 4, 96, 128, Predictor(n_layers=1, width=128)),
    "rnnt-0.6b": transducer(24, 1024, 8, 256, 1024, Predictor(n_layers=2, width=640)),
    "rnnt-1.1b": transducer(42, 1024, 8, 256, 1024, Predictor(n_layers=2, width=640)),
}


def architecture(name: str) -> Architecture:
    """The sizes of this name."""
    if name not in SIZES:
        raise ExportError(f"--random-init {name} is not one of {', '.join(SIZES)}")
    return SIZES[name]


@torch.inference_mode()
def calibrate(model: Parakeet, seed: int) -> None:
    """Makes a random head give the search about the work that speech gives it.

    Encoder frames of a random network differ little, so their mean is taken out, else one token
    would win everywhere. Then blank's bias is raised until one frame in 30 emits; such a frame
    emits up to 10 tokens, since a random predictor does not know when to stop.
    """
    sounds = speech_like(seed)
    n_samples = torch.full([sounds.size(0)], sounds.size(1))
    projection = model.head.encoder_projection
    encoded, _ = model.encode(sounds, n_samples)
    deviation, mean = torch.std_mean(encoded, dim=(0, 1))
    projection.weight /= deviation.unsqueeze(1)
    projection.bias.copy_((projection.bias - mean) / deviation)

    encoded, _ = model.encode(sounds, n_samples)
    predicted, _, _ = model.initial_state(1)
    scores = model.head.classes(torch.relu(encoded + predicted))
    blank = model.head.blank
    lead = scores[..., :blank].amax(2) - scores[..., blank]
    model.head.classes.bias[blank] += lead.quantile(29 / 30)


def speech_like(seed: int) -> Tensor:
    """Hiss, a buzz of wandering pitch, and both in syllables: (4, 5 s)."""
    generator = torch.Generator().manual_seed(seed)
    seconds = torch.arange(5 * 16000) / 16000
    hiss = 0.1 * torch.randn(seconds.size(0), generator=generator)
    pitch = 120.0 + 30.0 * torch.sin(2.0 * torch.pi * 0.7 * seconds)
    buzz = 0.3 * (torch.cumsum(pitch / 16000, 0) % 1.0 - 0.5)
    # Three times a second from loud to 40 dB below.
    syllables = 10.0 ** (torch.sin(2.0 * torch.pi * 3.0 * seconds) - 1.0)
    return torch.stack([hiss, buzz + 0.01 * hiss, hiss * syllables, buzz * syllables + 0.01 * hiss])


def pieces(size: int) -> list[str]:
    """Pieces that a random model can write: every second one starts a word."""
    return [("\u2581" if i % 2 == 0 else "") + letters(i) for i in range(size)]


def letters(number: int) -> str:
    """The number in letters, a to z for 0 to 25, then ba, bb and so on."""
    text = ""
    while True:
        number, digit = divmod(number, 26)
        text = chr(ord("a") + digit) + text
        if number == 0:
            return text
