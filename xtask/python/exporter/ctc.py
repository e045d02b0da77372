"""The CTC head: one greedy choice per encoder frame, made while the frame is encoded.

Graves et al. 2006, "Connectionist Temporal Classification".
"""

import torch
from torch import Tensor, nn

from exporter.architecture import Architecture
from exporter.weights import Weights


class CtcHead(nn.Module):
    """Scores every frame over vocabulary and blank, and keeps the best symbol."""

    def __init__(self, sizes: Architecture, weights: Weights) -> None:
        super().__init__()
        self.blank = sizes.vocabulary_size
        classes = sizes.vocabulary_size + 1
        self.classes = weights.conv1x1("decoder.decoder_layers.0", sizes.encoder.width, classes)

    def project(self, encoded: Tensor) -> Tensor:
        """Maps (N, T', D) to float32 (N, T', 3): token, duration and log-probability of each frame.

        Of equal scores the lowest token id wins. The duration is always 1.
        """
        logits = self.classes(encoded).to(torch.float32)
        best, token = logits.max(dim=2)
        log_prob = best - logits.logsumexp(dim=2)
        return torch.stack([token.to(torch.float32), torch.ones_like(best), log_prob], dim=2)
