"""A bundle's archive with the plainest greedy search there is, to be compared with NeMo.

One utterance, one frame, one joint step at a time: slow, and too simple to share a mistake with
the windowed search that ships.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from emissions import Emissions

MAX_SYMBOLS = 10


class Archive:
    """A bundle's float32 archive, loaded."""

    def __init__(self, bundle: Path) -> None:
        self.manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        file = self.manifest["archives"]["float32"]["file"]
        self.module = torch.jit.load(str(bundle / file), map_location="cpu")

    def features(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised log-mel (N, n_mels, T) and the valid frames of each row."""
        return self.module.features(audio, n_samples)

    def encoder_output(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder output (N, T', D) and the valid frames of each row."""
        return self.module.encoder_output(audio, n_samples)

    def emissions(self, files: list[str], audio: Tensor, n_samples: Tensor) -> list[Emissions]:
        """Encodes a batch and searches its rows one after the other."""
        encoded, n_frames = self.module.encode(audio, n_samples)
        return [
            self.search(file, encoded[row : row + 1], int(n_frames[row]))
            for row, file in enumerate(files)
        ]

    def search(self, file: str, encoded: Tensor, n_frames: int) -> Emissions:
        """Greedy search over (1, T', J)."""
        blank = self.manifest["blank_id"]
        state = self.module.initial_state(1)
        tokens: list[int] = []
        frames: list[int] = []
        frame = n_symbols = 0
        while frame < n_frames:
            lanes = torch.tensor([[0, frame]])
            token = int(self.module.score(encoded, state[0], lanes, 1)[0, 0, 0])
            if token != blank:
                tokens.append(token)
                frames.append(frame)
                state = self.module.advance(*state, torch.tensor([[0, token]]))
                n_symbols += 1
            if token == blank or n_symbols == MAX_SYMBOLS:
                frame, n_symbols = frame + 1, 0
        return Emissions(file, n_frames, tokens, frames)
