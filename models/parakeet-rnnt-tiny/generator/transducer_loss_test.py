"""Compares the banded loss with a plain recursion over every cell.

Usage: python -m unittest transducer_loss_test   (in this folder)
"""

import unittest

import torch

from transducer_loss import build_band, restricted_transducer_loss

N_CLASSES = 6


def plain_loss(log_probs: torch.Tensor, tokens: list[int], ranges: list[tuple[int, int]]):
    """Returns the loss of one utterance, cell by cell, from log_probs (T', U+1, V), blank last."""
    n_frames, n_tokens = log_probs.shape[0], len(tokens)
    forward: dict[tuple[int, int], torch.Tensor] = {(0, 0): torch.zeros(())}
    for t in range(n_frames):
        for u in range(n_tokens + 1):
            ways = []
            if t > 0 and (t - 1, u) in forward:
                ways.append(forward[t - 1, u] + log_probs[t - 1, u, -1])
            if u > 0 and (t, u - 1) in forward and ranges[u - 1][0] <= t <= ranges[u - 1][1]:
                ways.append(forward[t, u - 1] + log_probs[t, u - 1, tokens[u - 1]])
            if ways:
                forward[t, u] = torch.logsumexp(torch.stack(ways), 0)
    return -(forward[n_frames - 1, n_tokens] + log_probs[n_frames - 1, n_tokens, -1])


class BandedLoss(unittest.TestCase):
    def check(self, n_frames: list[int], ranges: list[list[tuple[int, int]]]) -> None:
        torch.manual_seed(len(n_frames))
        n_tokens = [len(r) for r in ranges]
        joint = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(8, N_CLASSES))
        encoded = torch.randn(len(n_frames), max(n_frames), 8, requires_grad=True)
        predicted = torch.randn(len(n_frames), max(n_tokens) + 1, 8, requires_grad=True)
        targets = torch.randint(0, N_CLASSES - 1, (len(n_frames), max(1, *n_tokens)))
        banded = restricted_transducer_loss(
            joint, encoded, predicted, targets, build_band(ranges, n_frames), n_frames, n_tokens
        )
        gradients = torch.autograd.grad(banded.sum(), [encoded, predicted])
        plain = torch.stack(
            [
                plain_loss(
                    joint(encoded[i, : n_frames[i], None] + predicted[i, None]).log_softmax(-1),
                    targets[i, : n_tokens[i]].tolist(),
                    ranges[i],
                )
                for i in range(len(n_frames))
            ]
        )
        torch.testing.assert_close(banded, plain, atol=1e-4, rtol=1e-4)
        for mine, theirs in zip(
            gradients, torch.autograd.grad(plain.sum(), [encoded, predicted]), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)

    def check_open(self, n_frames: list[int], n_tokens: list[int]) -> None:
        self.check(n_frames, [[(0, t - 1)] * u for t, u in zip(n_frames, n_tokens, strict=True)])

    def test_open_ranges_give_the_unrestricted_loss(self) -> None:
        self.check_open([7, 4, 1], [3, 5, 2])

    def test_narrow_ranges_count_only_their_own_paths(self) -> None:
        self.check([9, 6], [[(0, 1), (2, 4), (2, 4), (7, 8)], [(1, 1), (5, 5)]])

    def test_several_tokens_may_share_one_frame(self) -> None:
        self.check([5], [[(2, 2), (2, 2), (2, 3)]])

    def test_an_utterance_without_tokens_is_all_blanks(self) -> None:
        self.check([4, 5], [[], [(1, 2)]])


if __name__ == "__main__":
    unittest.main()
