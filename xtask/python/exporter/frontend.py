"""The front end from audio to log-mel, the part of every archive that stays float32.

The front end computes what NeMo computes from 2.5 on: it pads with zeros at both ends and gives
floor(samples / hop) valid frames. Samples past an utterance's end change none of its frames.
"""

import math
from typing import Tuple

import torch
from torch import Tensor, nn

from exporter.architecture import FrontEnd
from exporter.weights import Weights

# NeMo's constant. It is added to the standard deviation, so that a constant feature does not divide
# by zero.
DEVIATION_FLOOR = 1e-5


class LogMel(nn.Module):
    """Normalised log-mel features of a padded batch."""

    window: Tensor
    mel: Tensor

    def __init__(self, sizes: FrontEnd, weights: Weights) -> None:
        super().__init__()
        self.n_fft = sizes.n_fft
        self.hop = sizes.hop_samples
        self.window_samples = sizes.window_samples
        self.preemphasis = sizes.preemphasis
        self.log_guard = sizes.log_guard
        self.deviation_floor = DEVIATION_FLOOR
        # A checkpoint holds the two tables that its model was trained with.
        window = torch.hann_window(sizes.window_samples, periodic=False, dtype=torch.float64)
        self.register_buffer("window", weights.table("window", window.to(torch.float32)))
        mel = weights.table("fb", mel_filters(sizes).unsqueeze(0))
        self.register_buffer("mel", mel.squeeze(0))

    def forward(self, audio: Tensor, n_samples: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns features (N, n_mels, T), and the number of valid frames of each row, int64 (N).

        `audio` is float32 (N, S) in [-1, 1]; `n_samples` is int64 (N), each at most S. Both counts
        lie on the host. T is floor(S / hop), at least 1. Each mel band of each row has mean 0 and
        deviation 1 over the row's valid frames. Frames past the valid ones are 0.
        """
        n_frames = n_samples // self.hop
        n_columns = max(audio.size(1) // self.hop, 1)

        audio = torch.cat([audio[:, :1], audio[:, 1:] - self.preemphasis * audio[:, :-1]], dim=1)
        if int(n_samples.min()) < audio.size(1):
            columns = torch.arange(audio.size(1), device=audio.device)
            past_end = columns >= n_samples.to(audio.device, non_blocking=True).unsqueeze(1)
            audio.masked_fill_(past_end, 0.0)

        spectrum = torch.stft(
            audio,
            n_fft=self.n_fft,
            hop_length=self.hop,
            win_length=self.window_samples,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )[:, :, :n_columns]
        power = spectrum.abs().square_()
        features = torch.matmul(self.mel, power).add_(self.log_guard).log_()

        frames = n_frames.to(audio.device, non_blocking=True)
        count = frames.clamp(min=1).to(features.dtype).view(-1, 1, 1)
        past_end = torch.empty(0)
        is_padded = int(n_frames.min()) < n_columns
        if is_padded:
            columns = torch.arange(n_columns, device=audio.device)
            past_end = (columns >= frames.unsqueeze(1)).unsqueeze(1)
            features.masked_fill_(past_end, 0.0)
        features -= features.sum(2, keepdim=True) / count
        if is_padded:
            features.masked_fill_(past_end, 0.0)
        variance = features.square().sum(2, keepdim=True) / (count - 1.0).clamp(min=1.0)
        return features.div_(variance.sqrt_().add_(self.deviation_floor)), n_frames


def mel_filters(sizes: FrontEnd) -> Tensor:
    """Returns the mel filters (n_mels, n_fft / 2 + 1): Slaney's scale, triangles of equal area.

    librosa's `filters.mel` gives the same table by default. M. Slaney, Auditory Toolbox, Interval
    Technical Report 1998-010. Computed in float64, returned in float32.
    """
    highest_hz = sizes.sample_rate_hz / 2
    bins = torch.linspace(0.0, highest_hz, sizes.n_fft // 2 + 1, dtype=torch.float64)
    steps = torch.linspace(0.0, hz_to_mel(highest_hz), sizes.n_mels + 2, dtype=torch.float64)
    edges = torch.tensor([mel_to_hz(mel) for mel in steps.tolist()], dtype=torch.float64)
    low, centre, high = (edges[i : i + sizes.n_mels].unsqueeze(1) for i in range(3))
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0.0)
    return (triangles * (2.0 / (high - low))).to(torch.float32)


# Slaney's scale: 3 mel per 200 Hz up to 1 kHz, then 27 mel for every factor of 6.4.
HZ_PER_MEL = 200.0 / 3.0
LOG_START_HZ = 1000.0
LOG_START_MEL = LOG_START_HZ / HZ_PER_MEL
LOG_STEP = math.log(6.4) / 27.0


def hz_to_mel(hz: float) -> float:
    """Converts hertz to Slaney's mel."""
    if hz < LOG_START_HZ:
        return hz / HZ_PER_MEL
    return LOG_START_MEL + math.log(hz / LOG_START_HZ) / LOG_STEP


def mel_to_hz(mel: float) -> float:
    """Converts Slaney's mel to hertz."""
    if mel < LOG_START_MEL:
        return mel * HZ_PER_MEL
    return LOG_START_HZ * math.exp((mel - LOG_START_MEL) * LOG_STEP)
