"""Alignment-restricted transducer loss: it counts only paths near the known word times.

The plain loss lets a transducer emit a word on any frame whose encoding depends on that word, and a
full-context encoder has the whole utterance on frame 0. So this loss sums over the paths that emit
each token within a few frames of its place in the synthesised speech (Mahadeokar et al. 2021,
"Alignment Restricted Streaming Recurrent Neural Network Transducer"). The restriction also makes
the lattice a narrow band of N x T' x K cells instead of N x T' x (U+1), and the joint runs on the
band alone.

Letters: N batch, T' encoder frames, U tokens, K width of the band.
"""

import dataclasses

import numba
import numpy as np
import torch

# Replaces -inf inside the recursion: it is far below any path, and differences of two stay finite.
IMPOSSIBLE = -1e30


@dataclasses.dataclass
class Band:
    """Which (frame, tokens emitted so far) cells of the lattice are open.

    first: (N, T') int64, fewest tokens emitted when frame t is read
    lowest, highest: (N, U) int64, frames on which token u may be emitted, both ends included
    width: K, cells per frame: `first[t] <= u < first[t] + width`
    """

    first: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    width: int


def build_band(ranges: list[list[tuple[int, int]]], n_frames: list[int]) -> Band:
    """Builds the band from the allowed frames of each token, after making them monotone."""
    n_batch, n_tokens = len(ranges), max(len(r) for r in ranges)
    lowest = np.zeros((n_batch, n_tokens), np.int64)
    highest = np.zeros((n_batch, n_tokens), np.int64)
    first = np.zeros((n_batch, max(n_frames)), np.int64)
    width = 1
    for row, tokens in enumerate(ranges):
        last_frame = n_frames[row] - 1
        pairs = np.clip(np.asarray(tokens, np.int64).reshape(-1, 2), 0, last_frame)
        low = np.maximum.accumulate(pairs[:, 0])
        high = np.maximum(np.maximum.accumulate(pairs[:, 1]), low)
        lowest[row, : len(tokens)], highest[row, : len(tokens)] = low, high
        frames = np.arange(first.shape[1])
        # Tokens that every path has emitted before frame t; tokens that some path has by frame t.
        fewest = np.searchsorted(high, frames, side="left")
        most = np.searchsorted(low, frames, side="right")
        first[row] = fewest
        width = max(width, int((most - fewest)[: n_frames[row]].max()) + 1)
    return Band(first, lowest, highest, width)


@numba.njit(cache=True)
def _log_add(a: float, b: float) -> float:
    """Returns log(exp(a) + exp(b)); the larger exponent is factored out, so nothing overflows."""
    if a < b:
        a, b = b, a
    return a + np.log1p(np.exp(b - a))


@numba.njit(cache=True)
def _occupancies(blank, emit, first, lowest, highest, n_frames, n_tokens, d_blank, d_emit):
    """Forward-backward over the band of one utterance.

    blank, emit: (T', K) log-probabilities of the step out of cell (t, first[t] + k)
    d_blank, d_emit: (T', K), filled with the posterior of each step
    Returns the log-likelihood of the restricted paths.
    """
    width = blank.shape[1]
    forward = np.full((n_frames, width), IMPOSSIBLE)
    backward = np.full((n_frames, width), IMPOSSIBLE)
    forward[0, 0] = 0.0
    for t in range(n_frames):
        for k in range(width):
            u = first[t] + k
            if u > n_tokens:
                break
            if t > 0:
                # Blank on frame t-1 keeps u, so u must lie in the band of t-1 as well.
                before = u - first[t - 1]
                if 0 <= before < width:
                    forward[t, k] = forward[t - 1, before] + blank[t - 1, before]
            if k > 0 and lowest[u - 1] <= t <= highest[u - 1]:
                forward[t, k] = _log_add(forward[t, k], forward[t, k - 1] + emit[t, k - 1])
    end = n_tokens - first[n_frames - 1]
    if not 0 <= end < width:
        return IMPOSSIBLE
    total = forward[n_frames - 1, end] + blank[n_frames - 1, end]
    for t in range(n_frames - 1, -1, -1):
        for k in range(width - 1, -1, -1):
            u = first[t] + k
            if u > n_tokens:
                continue
            if t == n_frames - 1:
                if u == n_tokens:
                    backward[t, k] = blank[t, k]
                    d_blank[t, k] = np.exp(forward[t, k] + blank[t, k] - total)
            else:
                after = u - first[t + 1]
                if 0 <= after < width:
                    step = blank[t, k] + backward[t + 1, after]
                    backward[t, k] = step
                    d_blank[t, k] = np.exp(forward[t, k] + step - total)
            if u < n_tokens and k + 1 < width and lowest[u] <= t <= highest[u]:
                step = emit[t, k] + backward[t, k + 1]
                backward[t, k] = _log_add(backward[t, k], step)
                d_emit[t, k] = np.exp(forward[t, k] + step - total)
    return total


class _RestrictedLoss(torch.autograd.Function):
    """Negative log-likelihood (N), whose gradient is minus the posterior of every step."""

    @staticmethod
    def forward(ctx, blank, emit, band: Band, n_frames: list[int], n_tokens: list[int]):
        blank64, emit64 = blank.detach().double().numpy(), emit.detach().double().numpy()
        d_blank, d_emit = np.zeros_like(blank64), np.zeros_like(emit64)
        losses = [
            -_occupancies(
                blank64[row],
                emit64[row],
                band.first[row],
                band.lowest[row],
                band.highest[row],
                n_frames[row],
                n_tokens[row],
                d_blank[row],
                d_emit[row],
            )
            for row in range(len(n_frames))
        ]
        ctx.save_for_backward(
            torch.from_numpy(-d_blank).to(blank.dtype), torch.from_numpy(-d_emit).to(emit.dtype)
        )
        return torch.tensor(losses, dtype=torch.float32)

    @staticmethod
    def backward(ctx, gradient):
        d_blank, d_emit = ctx.saved_tensors
        scale = gradient[:, None, None]
        return d_blank * scale, d_emit * scale, None, None, None


def restricted_transducer_loss(
    joint: torch.nn.Module,
    encoded: torch.Tensor,
    predicted: torch.Tensor,
    targets: torch.Tensor,
    band: Band,
    n_frames: list[int],
    n_tokens: list[int],
) -> torch.Tensor:
    """Returns the loss of each utterance (N), negative natural log-likelihood.

    joint: scores (.., J) sums of the two projections below, blank last
    encoded: (N, T', J) projected encoder frames
    predicted: (N, U+1, J) projected predictor outputs, the first one for the start of sequence
    targets: (N, U) token ids
    """
    first = torch.from_numpy(band.first)
    cells = first[:, :, None] + torch.arange(band.width)  # (N, T', K) tokens emitted so far
    cells = cells.clamp(max=predicted.shape[1] - 1)
    rows = torch.arange(len(n_frames))[:, None, None]
    log_probs = joint(encoded[:, :, None, :] + predicted[rows, cells]).log_softmax(dim=-1)
    next_token = targets[rows, cells.clamp(max=targets.shape[1] - 1)]
    blank = log_probs[..., -1]
    emit = log_probs.gather(-1, next_token[..., None])[..., 0]
    return _RestrictedLoss.apply(blank, emit, band, n_frames, n_tokens)
