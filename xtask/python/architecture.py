"""The sizes and switches of one Parakeet, as far as inference depends on them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FrontEnd:
    """How audio becomes log-mel: lengths in samples, see `frontend.LogMel`."""

    sample_rate_hz: int = 16000
    n_mels: int = 80
    n_fft: int = 512
    window_samples: int = 400
    hop_samples: int = 160
    preemphasis: float = 0.97
    # 2^-24. Another guard shifts silence by whole nats.
    log_guard: float = 2.0**-24


@dataclass(frozen=True)
class Encoder:
    """A FastConformer: `n_layers` blocks of `width`, after a convolutional subsampling."""

    n_layers: int
    width: int
    n_heads: int
    feed_forward_width: int
    conv_kernel: int
    subsampling: int
    subsampling_channels: int
    scale_input: bool
    bias: bool


@dataclass(frozen=True)
class Predictor:
    """The label network: an embedding and `n_layers` of LSTM, all of `width`."""

    n_layers: int
    width: int


@dataclass(frozen=True)
class Architecture:
    """Everything that shapes a bundle's archive.

    `head` is rnnt, ctc or tdt. `vocabulary_size` counts no blank; blank's id is
    `vocabulary_size`. `durations` are the frames that a TDT symbol can last, else empty.
    `predictor` is absent, and `joint_width` 0, for CTC.
    """

    head: str
    vocabulary_size: int
    front_end: FrontEnd
    encoder: Encoder
    predictor: Predictor | None
    joint_width: int
    durations: tuple[int, ...] = ()
