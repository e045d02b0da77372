"""The sizes and switches of one Parakeet, as far as inference depends on them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FrontEnd:
    """The sizes of the log-mel front end, lengths in samples; see `frontend.LogMel`."""

    sample_rate_hz: int = 16000
    n_mels: int = 80
    n_fft: int = 512
    window_samples: int = 400
    hop_samples: int = 160
    preemphasis: float = 0.97
    # NeMo's 2^-24. Another guard shifts the features of silence by whole nats.
    log_guard: float = 2.0**-24


@dataclass(frozen=True)
class Encoder:
    """The sizes of a FastConformer: subsampling, then `n_layers` layers of `width`."""

    n_layers: int
    width: int
    n_heads: int
    feed_forward_width: int
    conv_kernel: int
    # batch_norm or layer_norm.
    conv_norm: str
    subsampling: int
    subsampling_channels: int
    scale_input: bool
    bias: bool


@dataclass(frozen=True)
class Predictor:
    """The sizes of the prediction network: an embedding and `n_layers` of LSTM, all of `width`."""

    n_layers: int
    width: int


@dataclass(frozen=True)
class Architecture:
    """Everything that shapes a bundle's archive.

    `head` is rnnt, tdt or ctc. `vocabulary_size` counts no blank; blank's id is `vocabulary_size`.
    `durations` are the frames that a TDT symbol can last, in the order of the joint's outputs; RNNT
    and CTC have none. CTC has no `predictor` and no joint: `joint_width` is 0.
    """

    head: str
    vocabulary_size: int
    front_end: FrontEnd
    encoder: Encoder
    predictor: Predictor | None = None
    joint_width: int = 0
    # relu, tanh or sigmoid.
    joint_activation: str = "relu"
    durations: tuple[int, ...] = ()
