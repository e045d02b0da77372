"""Makes a random RNNT say about as many tokens as speech has, whatever the compute type.

What a random head says hangs on the last bit: with a little noise it says three times as much, and
a benchmark would compare the noise. This one alternates. A direction in the encoder's output says
of every frame whether it is high, low or neither, and pieces are of two groups: a high frame says
one of the first group unless the last token was of it, a low frame one of the second. The predictor
remembers the group in two units of its state. Which piece of the group it is, the other units
decide, which stay random.
"""

from typing import Any

import torch
from nemo_config import Shape
from speaking import balance_joint, encode, quieten
from torch import Tensor, nn

# About what read English has of a BPE of 1024 pieces.
TOKENS_PER_S = 3.0
FRAMES_PER_S = 12.5
# How far above silent tokens blank lies, in nats; a token that is due passes it by more.
BLANK = 30.0
DRIVE = 100.0
SLOPE = 4.0
# More than any frame can drive.
INHIBITION = 100.0


@torch.no_grad()
def make_speak_steadily(model: Any, shape: Shape, recording: Tensor) -> None:
    """Changes the head's weights in place; `model` is NeMo's, `recording` is samples."""
    encoded, n_frames = encode(model, [recording])
    frames = encoded[0, :, : int(n_frames[0])].T
    output = balance_joint(model, frames, shape)
    direction = fastest_direction(frames)
    heights = frames @ direction
    mean, deviation = heights.mean(), heights.std()
    threshold = find_threshold(((heights - mean) / deviation).tolist())

    remember_groups(model.decoder.prediction["embed"], model.decoder.prediction["dec_rnn"].lstm)
    encoder, predictor = model.joint.enc, model.joint.pred
    output.weight[:, :2] = 0.0
    output.weight[-1] = 0.0
    output.bias[-1] = BLANK
    for group, sign in enumerate((1.0, -1.0)):
        encoder.weight[group] = sign * SLOPE * direction / deviation
        encoder.bias[group] = -SLOPE * (sign * mean / deviation + threshold)
        predictor.weight[group] = 0.0
        predictor.weight[group, group] = -INHIBITION
        predictor.bias[group] = 0.0
        output.weight[group:-1:2, group] = DRIVE
    quieten(model, output.bias, shape.pieces)


def fastest_direction(frames: Tensor) -> Tensor:
    """The direction in which (T', D) differs most from one frame to the next."""
    steps = frames.diff(dim=0)
    return torch.linalg.svd(steps, full_matrices=False).Vh[0]


def find_threshold(heights: list[float]) -> float:
    """How far from the mean a frame is high or low, for the wanted rate of tokens."""
    low, high = 0.0, 4.0
    for _ in range(30):
        middle = (low + high) / 2
        if n_alternations(heights, middle) * FRAMES_PER_S > TOKENS_PER_S * len(heights):
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


def remember_groups(embedding: nn.Embedding, lstm: nn.LSTM) -> None:
    """Has the first two units of the state say which group the last token was of."""
    # The last row is blank's, with which a search starts: it is of no group.
    embedding.weight[:, :2] = 0.0
    for group in range(2):
        embedding.weight[group:-1:2, group] = 1.0
    size = lstm.hidden_size
    for layer in range(lstm.num_layers):
        inputs, states = getattr(lstm, f"weight_ih_l{layer}"), getattr(lstm, f"weight_hh_l{layer}")
        bias, other_bias = getattr(lstm, f"bias_ih_l{layer}"), getattr(lstm, f"bias_hh_l{layer}")
        for unit in range(2):
            # Gates i, f, g, o: everything new comes in, nothing old is kept, everything goes out.
            rows = [unit + gate * size for gate in range(4)]
            inputs[rows], states[rows], other_bias[rows] = 0.0, 0.0, 0.0
            bias[rows] = torch.tensor([10.0, -10.0, 0.0, 10.0])
            inputs[rows[2], unit] = 4.0
