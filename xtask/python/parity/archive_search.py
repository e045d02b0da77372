"""A bundle's archive with the plainest greedy search there is, to be compared with NeMo.

One utterance, one frame, one step at a time: slow, and too simple to share a mistake with the
windowed search that ships.
"""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from exporter import gemm_ops  # noqa: F401  Archives name its operators.
from parity.emissions import Emissions

MAX_SYMBOLS = 10


class Archive:
    """A bundle's float32 archive, loaded."""

    def __init__(self, bundle: Path) -> None:
        self.manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        file = self.manifest["archives"]["float32"]["file"]
        self.module = torch.jit.load(str(bundle / file), map_location="cpu")
        self.blank = self.manifest["blank_id"]
        self.head = self.manifest["head"]

    def features(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised log-mel (N, n_mels, T) and the valid frames of each row."""
        return self.module.features(audio, n_samples)

    def encoder_output(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder output (N, T', D) and the valid frames of each row."""
        return self.module.encoder_output(audio, n_samples)

    def emissions(
        self, references: list[Emissions], audio: Tensor, n_samples: Tensor
    ) -> list[tuple[Emissions, int]]:
        """Encodes a batch and searches its rows one after the other.

        Where the archive decides a near tie of the reference the other way, the reference's choice
        is taken. How often that was so is the second value.
        """
        encoded, n_frames = self.module.encode(audio, n_samples)
        search = self.search_ctc if self.head == "ctc" else self.search_transducer
        return [
            search(encoded[row : row + 1], int(n_frames[row]), reference)
            for row, reference in enumerate(references)
        ]

    def search_transducer(
        self, encoded: Tensor, n_frames: int, reference: Emissions
    ) -> tuple[Emissions, int]:
        """Greedy search over (1, T', J)."""
        ties = {(tie.frame, tie.n_tokens): tie for tie in reference.near_ties}
        found = Emissions(reference.file, n_frames, [], [], [])
        state = self.module.initial_state(1)
        frame = n_symbols = n_turned = 0
        while frame < n_frames:
            lanes = torch.tensor([[0, frame]])
            token, duration, log_prob = self.module.score(encoded, state[0], lanes, 1)[
                0, 0
            ].tolist()
            token, duration = int(token), int(duration)
            tie = ties.get((frame, len(found.tokens)))
            if tie is not None and tie.excuses(token, duration):
                # An RNNT's duration says no more than its token.
                chosen = tie.tokens[0], (tie.durations or [int(tie.tokens[0] == self.blank)])[0]
                n_turned += (token, duration) != chosen
                token, duration = chosen
            if token == self.blank:
                frame, n_symbols = frame + max(duration, 1), 0
                continue
            found.tokens.append(token)
            found.frames.append(frame)
            found.durations.append(1 if self.head == "rnnt" else duration)
            found.confidences.append(self.confidence(log_prob))
            state = self.module.advance(*state, torch.tensor([[0, token]]))
            n_symbols += 1
            if duration > 0:
                frame, n_symbols = frame + duration, 0
            elif n_symbols == MAX_SYMBOLS:
                frame, n_symbols = frame + 1, 0
        return found, n_turned

    def search_ctc(
        self, emissions: Tensor, n_frames: int, reference: Emissions
    ) -> tuple[Emissions, int]:
        """Merges the runs of (1, T', 3); a run's confidence is its least."""
        ties = {tie.frame: tie for tie in reference.near_ties}
        found = Emissions(reference.file, n_frames, [], [], [])
        n_turned, previous = 0, self.blank
        for frame, (token, _, log_prob) in enumerate(emissions[0, :n_frames].tolist()):
            token = int(token)
            if frame in ties and ties[frame].excuses(token, 1):
                n_turned += token != ties[frame].tokens[0]
                token = ties[frame].tokens[0]
            confidence = self.confidence(log_prob)
            if token == previous != self.blank:
                found.durations[-1] += 1
                found.confidences[-1] = min(found.confidences[-1], confidence)
            elif token != self.blank:
                found.tokens.append(token)
                found.frames.append(frame)
                found.durations.append(1)
                found.confidences.append(confidence)
            previous = token
        return found, n_turned

    def confidence(self, log_prob: float) -> float:
        """The probability, scaled so that a guess among V symbols is 0; V counts blank."""
        n_symbols = self.blank + 1
        return (math.exp(log_prob) * n_symbols - 1) / (n_symbols - 1)
