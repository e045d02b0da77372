"""Slabs of fixed length: how many rows a convolution takes at once.

cuDNN compiles a plan for every shape that it has not met, which takes a sixth of a second on an
H100, and every batch has a new shape. So the utterances of a batch lie one after the other as the
rows of one long signal, with zeros between them, and a convolution goes through it in slabs of
three lengths. Other devices take all rows at once.
"""

import torch
from torch import Tensor


def slab(n_rows: int, x: Tensor) -> int:
    """The length of the next slab where `n_rows` rows are left; it may reach past them.

    Few slabs, since a GPU holds a thousand calls that wait and then stops the host, and little
    beyond the rows. The shortest holds 30 s of encoder frames.
    """
    if not x.is_cuda:
        return n_rows
    if n_rows > 6144:
        return 8192
    return 4096 if n_rows > 1024 else 512


def in_slabs(n_rows: int, x: Tensor) -> int:
    """The rows that all slabs together reach."""
    reached = 0
    while reached < n_rows:
        reached += slab(n_rows - reached, x)
    return reached


def past_end(n_valid: Tensor, n_columns: int, x: Tensor) -> Tensor:
    """The rows, of `n_columns` for each utterance, past its `n_valid` (N) first ones, on the device
    of `x`; the counts are on the host."""
    columns = torch.arange(n_columns)
    rows = (columns >= n_valid.unsqueeze(1)).flatten().nonzero().flatten()
    return rows.to(x.device, non_blocking=True)
