"""Reads recordings by name, alone or in padded batches."""

import os
from pathlib import Path
from typing import Iterator

import soundfile
import torch
from torch import Tensor


class Recordings:
    """Recordings by their path relative to `root`, in the order of `paths`."""

    def __init__(self, paths: list[Path], root: Path) -> None:
        self.files = {os.path.relpath(path, root).replace(os.sep, "/"): path for path in paths}

    def batches(self, n_together: int) -> Iterator[tuple[list[str], Tensor, Tensor]]:
        """Yields names, audio (N, S) padded with zeros, and lengths (N)."""
        names = list(self.files)
        for start in range(0, len(names), n_together):
            batch = names[start : start + n_together]
            audio = [read(self.files[name]) for name in batch]
            lengths = torch.tensor([len(samples) for samples in audio])
            yield batch, torch.nn.utils.rnn.pad_sequence(audio, batch_first=True), lengths


def read(path: Path) -> Tensor:
    """Returns mono samples in [-1, 1] at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != 16000 or samples.ndim != 1:
        raise SystemExit(f"error: {path} is not mono at 16 kHz")
    return torch.from_numpy(samples)
