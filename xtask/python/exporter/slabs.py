"""Splits the rows of a convolution into slabs of three fixed lengths, on a GPU.

cuDNN compiles a plan for every shape that it has not met, which takes a sixth of a second on an
H100, and every batch has a new shape. So the utterances of a batch lie one after the other as the
rows of one long signal, with zeros between them, and a convolution processes the signal slab by
slab. Other devices process all rows at once.
"""

import torch
from torch import Tensor


def slab(n_rows: int, x: Tensor) -> int:
    """Returns the length of the next slab if `n_rows` rows are left; the slab may reach past them.

    The lengths balance two costs. A GPU queues about a thousand calls and then blocks the host, so
    slabs must be few. Rows beyond `n_rows` are wasted work, so slabs must not be too long. The
    shortest slab holds 30 s of encoder frames.
    """
    if not x.is_cuda:
        return n_rows
    if n_rows > 6144:
        return 8192
    return 4096 if n_rows > 1024 else 512


def in_slabs(n_rows: int, x: Tensor) -> int:
    """Returns how many rows all slabs together cover."""
    reached = 0
    while reached < n_rows:
        reached += slab(n_rows - reached, x)
    return reached


def past_end(n_valid: Tensor, n_columns: int, x: Tensor) -> Tensor:
    """Returns the indices of padding rows, on the device of `x`.

    Each utterance has `n_columns` rows, of which the first `n_valid` (N) are valid. The counts lie
    on the host.
    """
    columns = torch.arange(n_columns)
    rows = (columns >= n_valid.unsqueeze(1)).flatten().nonzero().flatten()
    return rows.to(x.device, non_blocking=True)
