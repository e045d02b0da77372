"""Makes the head of a random NeMo model emit all tokens, at about the rate of speech.

A random network emits one token all the time, because its encoder's output differs little from
frame to frame. So every layer of the head is scaled and shifted to mean 0 and one deviation on the
audio of the comparison. This audio is short and long: a head that is balanced on long recordings
alone emits too much on short ones. Then blank's bias is raised until the wanted share of all frames
emits. The resulting emissions make no sense, but contain every case of a search: frames with
several tokens, frames with the maximum of tokens, and for a TDT every duration.
"""

from typing import Any, Callable

import torch
from torch import Tensor, nn

from parity.nemo_config import Shape

# Share of encoder frames that emit a token or, for CTC, begin a run. Frames that TDT's durations
# skip count as frames.
RATE = 0.3
TOLERANCE = 0.02
# With equal biases blank hardly ever wins. Blank always wins if its bias is higher by MAX_SHIFT
# nats.
MAX_SHIFT = 24.0
N_STEPS = 12


@torch.no_grad()
def set_emission_rate(model: Any, shape: Shape, recordings: list[Tensor]) -> None:
    """Changes the head's weights in place; `model` is NeMo's, `recordings` are samples."""
    encoded, n_frames = encode(model, recordings)
    is_valid = torch.arange(encoded.size(2)) < n_frames.unsqueeze(1)
    frames = encoded.transpose(1, 2)[is_valid]
    for head in shape.heads:
        if head == "ctc":
            decoder = model.decoder if shape.heads == ("ctc",) else model.ctc_decoder
            output = decoder.decoder_layers[0]
            standardise(output, output(frames.T).T, shape.spread)
            rate = ctc_rate(decoder, encoded, is_valid)
        else:
            output = balance_joint(model, frames, shape)
            # The longest durations come last. If all were as frequent as the short ones, the search
            # would skip almost every frame.
            output.bias[shape.pieces + 1 :] -= torch.arange(output.out_features - shape.pieces - 1)
            rate = transducer_rate(model, encoded, n_frames)
        suppress_pieces(model, output.bias, shape.pieces)
        calibrate(output.bias[shape.pieces : shape.pieces + 1], rate)


def encode(model: Any, recordings: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Encodes recordings one by one; returns (N, D, T') and the number of valid frames (N)."""
    outputs = []
    for samples in recordings:
        audio, n_samples = samples.unsqueeze(0), torch.tensor([len(samples)])
        features, n_features = model.preprocessor(input_signal=audio, length=n_samples)
        output, n_frames = model.encoder(audio_signal=features, length=n_features)
        outputs.append(output[0, :, : int(n_frames)].T)
    padded = torch.nn.utils.rnn.pad_sequence(outputs, batch_first=True)
    return padded.transpose(1, 2), torch.tensor([len(output) for output in outputs])


def balance_joint(model: Any, frames: Tensor, shape: Shape) -> nn.Linear:
    """Standardises both inputs and the output of the joint; returns its output layer."""
    joint = model.joint
    standardise(joint.enc, joint.enc(frames), 1.0)
    tokens = torch.randint(shape.pieces, [16, 24])
    predicted, _ = model.decoder.predict(tokens, add_sos=True)
    predicted = predicted.flatten(0, 1)
    standardise(joint.pred, joint.pred(predicted), 1.0)
    pairs = torch.randint(frames.size(0), [4096]), torch.randint(predicted.size(0), [4096])
    hidden = joint.enc(frames[pairs[0]]) + joint.pred(predicted[pairs[1]])
    standardise(joint.joint_net[-1], joint.joint_net(hidden), shape.spread)
    return joint.joint_net[-1]


def standardise(layer: nn.Module, outputs: Tensor, deviation: float) -> None:
    """Scales and shifts a layer to mean 0 and `deviation` of each output (samples, n_out)."""
    present, mean = torch.std_mean(outputs, dim=0)
    factor = deviation / present.clamp(min=1e-3)
    layer.weight.mul_(factor.reshape([-1] + [1] * (layer.weight.dim() - 1)))
    layer.bias.copy_((layer.bias - mean) * factor)


def suppress_pieces(model: Any, bias: Tensor, n_pieces: int) -> None:
    """Suppresses the pieces with which NeMo's two ways of building words disagree.

    NeMo builds words once for times and once for confidence, and raises an error if their numbers
    differ. They differ at the unknown piece, and at a bare word mark before punctuation. A trained
    model emits neither.
    """
    for token in range(n_pieces):
        if model.tokenizer.ids_to_tokens([token])[0] in ("<unk>", "\u2581"):
            # Subtracted and not assigned: the bias of a standardised output may be below -100.
            bias[token] -= 100.0


def calibrate(blank: Tensor, rate: Callable[[], float]) -> None:
    """Raises blank's bias, a view of one number, by bisection until `RATE` of the frames emit."""
    start = blank.clone()
    low, high = 0.0, MAX_SHIFT
    shifts: dict[float, float] = {}
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        blank.copy_(start + middle)
        excess = rate() - RATE
        shifts[abs(excess)] = middle
        if abs(excess) < TOLERANCE:
            break
        low, high = (middle, high) if excess > 0 else (low, middle)
    # A transducer's rate changes in jumps, which can pass the tolerance: the closest rate is taken.
    blank.copy_(start + shifts[min(shifts)])


def transducer_rate(model: Any, encoded: Tensor, n_frames: Tensor) -> Callable[[], float]:
    """Returns a function that measures the share of frames that emit."""

    def rate() -> float:
        hypotheses = model.decoding.rnnt_decoder_predictions_tensor(
            encoder_output=encoded, encoded_lengths=n_frames, return_hypotheses=True
        )
        return sum(len(set(map(int, it.timestamp))) for it in hypotheses) / int(n_frames.sum())

    return rate


def ctc_rate(decoder: Any, encoded: Tensor, is_valid: Tensor) -> Callable[[], float]:
    """Returns a function that measures the share of frames on which a run begins."""

    def rate() -> float:
        labels = decoder(encoder_output=encoded).argmax(-1)
        is_start = labels.diff(prepend=labels.new_full([len(labels), 1], -1)) != 0
        is_token = labels != decoder.num_classes_with_blank - 1
        return float((is_start & is_token)[is_valid].float().mean())

    return rate
