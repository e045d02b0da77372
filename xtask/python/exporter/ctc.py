"""The CTC head: one greedy choice per encoder frame, settled when the frame is encoded.

Graves et al. 2006, "Connectionist Temporal Classification".
"""

import torch
from torch import Tensor, nn

from exporter.architecture import Architecture
from exporter.weights import Weights


class CtcHead(nn.Module):
    """Scores every frame over vocabulary and blank, and keeps the best."""

    def __init__(self, sizes: Architecture, weights: Weights) -> None:
        super().__init__()
        self.blank = sizes.vocabulary_size
        classes = sizes.vocabulary_size + 1
        self.classes = weights.conv1x1("decoder.decoder_layers.0", sizes.encoder.width, classes)

    def project(self, encoded: Tensor) -> Tensor:
        """Token, duration and log-probability of each frame: (N, T', D) to float32 (N, T', 3).

        The first of equals wins; the duration is always 1.
        """
        logits = self.classes(encoded).to(torch.float32)
        best, token = logits.max(dim=2)
        log_prob = best - logits.logsumexp(dim=2)
        return torch.stack([token.to(torch.float32), torch.ones_like(best), log_prob], dim=2)
