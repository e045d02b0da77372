"""Parakeets of true size without a checkpoint, by name."""

from architecture import Architecture, Encoder, FrontEnd, Predictor
from errors import ExportError

SEED = 20240229

TRANSDUCERS = {
    "rnnt-tiny": Architecture(
        head="rnnt",
        vocabulary_size=128,
        front_end=FrontEnd(),
        encoder=Encoder(
            n_layers=6,
            width=144,
            n_heads=4,
            feed_forward_width=576,
            conv_kernel=9,
            subsampling=8,
            subsampling_channels=144,
            scale_input=True,
            bias=True,
        ),
        predictor=Predictor(n_layers=1, width=128),
        joint_width=128,
    ),
}


def large(n_layers: int) -> Architecture:
    """The published RNNT sizes, which differ in depth alone."""
    return Architecture(
        head="rnnt",
        vocabulary_size=1024,
        front_end=FrontEnd(),
        encoder=Encoder(
            n_layers=n_layers,
            width=1024,
            n_heads=8,
            feed_forward_width=4096,
            conv_kernel=9,
            subsampling=8,
            subsampling_channels=256,
            scale_input=True,
            bias=True,
        ),
        predictor=Predictor(n_layers=2, width=640),
        joint_width=640,
    )


SIZES = {**TRANSDUCERS, "rnnt-0.6b": large(24), "rnnt-1.1b": large(42)}


def architecture(name: str) -> Architecture:
    """The sizes of this name."""
    if name not in SIZES:
        raise ExportError(f"no random model is called {name}, there are {', '.join(SIZES)}")
    return SIZES[name]


def vocabulary(size: int) -> list[str]:
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
