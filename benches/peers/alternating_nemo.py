"""Makes a random NeMo RNNT emit as many tokens as speech has, as `exporter.alternating` does."""

from typing import Any

import torch
from exporter.alternating import (
    FRAMES_PER_S,
    GATES,
    INHIBITION,
    RECALL,
    TOKENS_PER_S,
    fastest_direction,
    find_threshold,
)
from parity.emission_rate import balance_joint, encode, suppress_pieces
from parity.nemo_config import Shape
from torch import Tensor, nn

# BLANK: how far blank lies above tokens that are not due, in nats. DRIVE and SLOPE lift a token that
# is due above blank.
BLANK = 30.0
DRIVE = 100.0
SLOPE = 4.0


@torch.no_grad()
def make_alternate(model: Any, shape: Shape, recording: Tensor) -> None:
    """Changes the head's weights in place; `model` is NeMo's, `recording` is samples."""
    encoded, n_frames = encode(model, [recording])
    frames = encoded[0, :, : int(n_frames[0])].T
    output = balance_joint(model, frames, shape)
    direction = fastest_direction(frames.unsqueeze(0))
    heights = frames @ direction
    mean, deviation = heights.mean(), heights.std()
    threshold = find_threshold(
        [((heights - mean) / deviation).tolist()], TOKENS_PER_S / FRAMES_PER_S
    )

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
    suppress_pieces(model, output.bias, shape.pieces)


def remember_groups(embedding: nn.Embedding, lstm: nn.LSTM) -> None:
    """Changes the weights so that the first two units of the state name the last token's group."""
    # The last row is blank's, which starts a search and belongs to no group.
    embedding.weight[:, :2] = 0.0
    for group in range(2):
        embedding.weight[group:-1:2, group] = 1.0
    size = lstm.hidden_size
    for layer in range(lstm.num_layers):
        inputs, states = getattr(lstm, f"weight_ih_l{layer}"), getattr(lstm, f"weight_hh_l{layer}")
        bias, other_bias = getattr(lstm, f"bias_ih_l{layer}"), getattr(lstm, f"bias_hh_l{layer}")
        for unit in range(2):
            rows = [unit + gate * size for gate in range(4)]
            inputs[rows], states[rows], other_bias[rows] = 0.0, 0.0, 0.0
            bias[rows] = torch.tensor(GATES)
            inputs[rows[2], unit] = RECALL
