"""Greedy search over a bundle's archive in its simplest form, to compare the archive with NeMo.

The search scores one utterance, one frame and one step at a time. It is slow, and too simple to
share a mistake with the windowed search of crates/rnnt-decode.
"""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from exporter import gemm_ops  # noqa: F401  Archives name these operators.
from parity.emissions import Emissions

MAX_SYMBOLS = 10


class Archive:
    """The float32 archive of a bundle, loaded on the CPU."""

    def __init__(self, bundle: Path) -> None:
        self.manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        file = self.manifest["archives"]["float32"]["file"]
        self.module = torch.jit.load(str(bundle / file), map_location="cpu")
        self.blank = self.manifest["blank_id"]
        self.head = self.manifest["head"]

    def features(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log-mel (N, n_mels, T) and the number of valid frames of each row (N)."""
        return self.module.features(audio, n_samples)

    def encoder_output(self, audio: Tensor, n_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Returns encoder output (N, T', D) and the number of valid frames of each row (N)."""
        return self.module.encoder_output(audio, n_samples)

    def emissions(
        self, references: list[Emissions], audio: Tensor, n_samples: Tensor
    ) -> list[tuple[Emissions, int]]:
        """Encodes a batch and searches its rows one after the other.

        At a near tie of the reference the search takes the reference's choice, so that the paths do
        not diverge. The second value of each pair counts the choices that this rule changed.
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
        """Searches projected encoder frames (1, T', J)."""
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
                # An RNNT's near tie has no durations: blank lasts 1 frame and a token 0.
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
        """Merges runs of equal tokens in (1, T', 3); a run's confidence is its lowest."""
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
        """Scales a probability so that 1 / V gives 0 and 1 gives 1; V counts blank."""
        n_symbols = self.blank + 1
        return (math.exp(log_prob) * n_symbols - 1) / (n_symbols - 1)
