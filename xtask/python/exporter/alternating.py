"""Makes a random transducer emit about as many tokens as speech has, in every compute type.

The emissions of a random head depend on the last bit of its scores, and a random head that has
emitted a token emits that token on every frame. A benchmark of such a head measures these
accidents. The weights written here make the head alternate instead. One direction in the encoder's
output classifies every frame as high, low or neither. The pieces form two groups. A high frame
emits a piece of the first group unless the last token was of that group; a low frame does the same
with the second group. Two units of the predictor's state hold the group of the last token. The
other units stay random and choose the piece within the group.
"""

import torch
from torch import Tensor

from exporter.transducer import Predictor, TransducerHead

# About the rate of read English in a BPE of 1024 pieces.
TOKENS_PER_S = 3.0
FRAMES_PER_S = 12.5
# BLANK: how far blank lies above tokens that are not due, in nats. DRIVE: what a frame adds to the
# score of due tokens for each standard deviation of its height.
BLANK = 12.0
DRIVE = 40.0
# More than any frame adds, so that a group never follows itself.
INHIBITION = 100.0
# Biases of the gates i, f, g, o. Input and output gates are open and the forget gate is closed, so
# that the state holds the last token alone.
GATES = (10.0, -10.0, 0.0, 10.0)
# What the embedding of a group adds to the candidate gate.
RECALL = 4.0


def make_alternate(head: TransducerHead, encoded: Tensor) -> None:
    """Changes the head's weights in place: it then emits `TOKENS_PER_S` on frames (N, T', D)."""
    direction = fastest_direction(encoded)
    heights = encoded @ direction
    deviation, mean = torch.std_mean(heights)
    # A TDT's durations skip about every other frame, so the search scores half of the frames.
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
    """Returns the unit vector (D) along which successive frames (N, T', D) differ most."""
    steps = encoded.diff(dim=1).flatten(0, 1)
    return torch.linalg.svd(steps, full_matrices=False).Vh[0]


def find_threshold(utterances: list[list[float]], rate: float) -> float:
    """Returns the height, in deviations, beyond which a frame emits, for `rate` tokens a frame."""
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
    """Counts the heights that pass the threshold on the side opposite to the last such height."""
    n, last = 0, 0
    for height in heights:
        side = (height > threshold) - (height < -threshold)
        if side not in (0, last):
            n, last = n + 1, side
    return n


def remember_groups(predictor: Predictor, blank: int) -> None:
    """Changes the weights so that the first two units of the state name the last token's group."""
    width = predictor.width
    for group in range(2):
        rows = [group + gate * width for gate in range(4)]
        # The last row is blank's, which starts a search and belongs to no group.
        predictor.first_gates[:, rows] = torch.tensor(GATES)
        predictor.first_gates[group:blank:2, rows[2]] = RECALL
        predictor.first_state.weight[rows] = 0.0
        for inputs, states in zip(predictor.later_inputs, predictor.later_states):
            inputs.weight[rows] = 0.0
            states.weight[rows] = 0.0
            inputs.bias[rows] = torch.tensor(GATES)
            inputs.weight[rows[2], group] = RECALL
