"""Makes a random transducer say about as many tokens as speech has, whatever the compute type.

What a random head says hangs on the last bit, and once it has said something it says it on every
frame: a benchmark would measure that. This one alternates. A direction in the encoder's output says
of every frame whether it is high, low or neither, and pieces are of two groups: a high frame says
one of the first group unless the last token was of it, a low frame one of the second. The predictor
remembers the group in two units of its state. Which piece of the group it is, the other units
decide, which stay random.
"""

import torch
from torch import Tensor

from exporter.transducer import Predictor, TransducerHead

# About what read English has of a BPE of 1024 pieces.
TOKENS_PER_S = 3.0
FRAMES_PER_S = 12.5
# How far above silent tokens blank lies, in nats, and what a frame adds to due tokens for each
# deviation.
BLANK = 12.0
DRIVE = 40.0
# More than any frame can drive.
INHIBITION = 100.0
# Biases of the gates i, f, g, o: everything new comes in, nothing old is kept, everything goes out.
GATES = (10.0, -10.0, 0.0, 10.0)
# What a remembered group puts on the candidate gate.
RECALL = 4.0


def make_alternate(head: TransducerHead, encoded: Tensor) -> None:
    """Changes the head's weights in place, so that it says `TOKENS_PER_S` of frames (N, T', D)."""
    direction = fastest_direction(encoded)
    heights = encoded @ direction
    deviation, mean = torch.std_mean(heights)
    # A TDT's durations skip about every other frame.
    stride = 2 if head.predicts_durations else 1
    seen = ((heights - mean) / deviation)[:, ::stride].tolist()
    threshold = find_threshold(seen, TOKENS_PER_S / FRAMES_PER_S * stride)

    remember_groups(head.predictor, head.blank)
    encoder, predictor, classes = head.encoder_projection, head.predictor_projection, head.classes
    classes.weight[: head.blank + 1, :2] = 0.0
    classes.weight[head.blank] = 0.0
    classes.bias[head.blank] = BLANK
    for group, sign in enumerate((1.0, -1.0)):
        encoder.weight[group] = sign * direction / deviation
        encoder.bias[group] = BLANK / DRIVE - threshold - sign * mean / deviation
        predictor.weight[group] = 0.0
        predictor.weight[group, group] = -INHIBITION
        predictor.bias[group] = 0.0
        classes.weight[group : head.blank : 2, group] = DRIVE


def fastest_direction(encoded: Tensor) -> Tensor:
    """The direction in which frames (N, T', D) differ most from one to the next."""
    steps = encoded.diff(dim=1).flatten(0, 1)
    return torch.linalg.svd(steps, full_matrices=False).Vh[0]


def find_threshold(utterances: list[list[float]], rate: float) -> float:
    """How far from the mean a frame is high or low, for so many tokens a frame."""
    n_frames = sum(map(len, utterances))
    low, high = 0.0, 4.0
    for _ in range(30):
        middle = (low + high) / 2
        n_tokens = sum(n_alternations(heights, middle) for heights in utterances)
        if n_tokens > rate * n_frames:
            low = middle
        else:
            high = middle
    return high


def n_alternations(heights: list[float], threshold: float) -> int:
    """How often a height passes the threshold on the other side than the last that did."""
    n, last = 0, 0
    for height in heights:
        side = (height > threshold) - (height < -threshold)
        if side not in (0, last):
            n, last = n + 1, side
    return n


def remember_groups(predictor: Predictor, blank: int) -> None:
    """Has the first two units of the state say which group the last token was of."""
    width = predictor.width
    for group in range(2):
        rows = [group + gate * width for gate in range(4)]
        # The last row is blank's, with which a search starts: it is of no group.
        predictor.first_gates[:, rows] = torch.tensor(GATES)
        predictor.first_gates[group:blank:2, rows[2]] = RECALL
        predictor.first_state.weight[rows] = 0.0
        for inputs, states in zip(predictor.later_inputs, predictor.later_states):
            inputs.weight[rows] = 0.0
            states.weight[rows] = 0.0
            inputs.bias[rows] = torch.tensor(GATES)
            inputs.weight[rows[2], group] = RECALL
