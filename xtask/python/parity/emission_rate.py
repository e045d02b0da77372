"""Makes the head of a random NeMo model speak: all tokens, about as often as speech asks for them.

A random network says one thing all the time, because what its encoder says of different frames
differs little. So every layer of the head is brought to mean 0 and one deviation on the audio that
will be compared, short and long: what is balanced on long recordings says too much on short ones.
Then blank's bias is raised until the wanted share of all their frames emits. What follows is
nonsense with everything a search can meet: frames with several tokens, frames with as many as are
allowed, and for a TDT every duration.
"""

from typing import Any, Callable

import torch
from torch import Tensor, nn

from parity.nemo_config import Shape

# Share of encoder frames that emit a token or, for CTC, begin a run. TDT's durations skip frames.
RATE = 0.3
TOLERANCE = 0.02
# With all classes alike blank hardly ever wins; so far above them, in nats, it always does.
MAX_SHIFT = 24.0
N_STEPS = 12


@torch.no_grad()
def make_speak(model: Any, shape: Shape, recordings: list[Tensor]) -> None:
    """Changes the head's weights in place; `model` is NeMo's, `recordings` are samples."""
    encoded, n_frames = encode(model, recordings)
    is_valid = torch.arange(encoded.size(2)) < n_frames.unsqueeze(1)
    frames = encoded.transpose(1, 2)[is_valid]
    for head in shape.heads:
        if head == "ctc":
            decoder = model.decoder if shape.heads == ("ctc",) else model.ctc_decoder
            output = decoder.decoder_layers[0]
            spread(output, output(frames.T).T, shape.spread)
            rate = ctc_rate(decoder, encoded, is_valid)
        else:
            output = balance_joint(model, frames, shape)
            # The longest durations come last, and with all as frequent nothing would be emitted.
            output.bias[shape.pieces + 1 :] -= torch.arange(output.out_features - shape.pieces - 1)
            rate = transducer_rate(model, encoded, n_frames)
        quieten(model, output.bias, shape.pieces)
        calibrate(output.bias[shape.pieces : shape.pieces + 1], rate)


def encode(model: Any, recordings: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Encoder output (N, D, T') of recordings encoded one by one, and the valid frames of each."""
    outputs = []
    for samples in recordings:
        audio, n_samples = samples.unsqueeze(0), torch.tensor([len(samples)])
        features, n_features = model.preprocessor(input_signal=audio, length=n_samples)
        output, n_frames = model.encoder(audio_signal=features, length=n_features)
        outputs.append(output[0, :, : int(n_frames)].T)
    padded = torch.nn.utils.rnn.pad_sequence(outputs, batch_first=True)
    return padded.transpose(1, 2), torch.tensor([len(output) for output in outputs])


def balance_joint(model: Any, frames: Tensor, shape: Shape) -> nn.Linear:
    """Balances both inputs and the output of the joint; returns its output layer."""
    joint = model.joint
    spread(joint.enc, joint.enc(frames), 1.0)
    tokens = torch.randint(shape.pieces, [16, 24])
    predicted, _ = model.decoder.predict(tokens, add_sos=True)
    predicted = predicted.flatten(0, 1)
    spread(joint.pred, joint.pred(predicted), 1.0)
    pairs = torch.randint(frames.size(0), [4096]), torch.randint(predicted.size(0), [4096])
    hidden = joint.enc(frames[pairs[0]]) + joint.pred(predicted[pairs[1]])
    spread(joint.joint_net[-1], joint.joint_net(hidden), shape.spread)
    return joint.joint_net[-1]


def spread(layer: nn.Module, outputs: Tensor, deviation: float) -> None:
    """Scales and shifts a layer so that each of its outputs (samples, n_out) has mean 0."""
    present, mean = torch.std_mean(outputs, dim=0)
    factor = deviation / present.clamp(min=1e-3)
    layer.weight.mul_(factor.reshape([-1] + [1] * (layer.weight.dim() - 1)))
    layer.bias.copy_((layer.bias - mean) * factor)


def quieten(model: Any, bias: Tensor, n_pieces: int) -> None:
    """Silences pieces that a trained model does not say where NeMo contradicts itself.

    NeMo builds words twice, once for times and once for confidence, and stops with an error where
    the two differ in number: at the unknown piece, and at a bare word mark before punctuation.
    """
    for token in range(n_pieces):
        if model.tokenizer.ids_to_tokens([token])[0] in ("<unk>", "\u2581"):
            # Less, not equal to: the bias of a balanced output may itself lie far below that.
            bias[token] -= 100.0


def calibrate(blank: Tensor, rate: Callable[[], float]) -> None:
    """Raises blank's bias, a view of one number, by bisection until frames emit at `RATE`."""
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
    # A transducer's rate jumps, on one short recording past the tolerance: the closest is taken.
    blank.copy_(start + shifts[min(shifts)])


def transducer_rate(model: Any, encoded: Tensor, n_frames: Tensor) -> Callable[[], float]:
    """Measures which share of the frames emits."""

    def rate() -> float:
        hypotheses = model.decoding.rnnt_decoder_predictions_tensor(
            encoder_output=encoded, encoded_lengths=n_frames, return_hypotheses=True
        )
        return sum(len(set(map(int, it.timestamp))) for it in hypotheses) / int(n_frames.sum())

    return rate


def ctc_rate(decoder: Any, encoded: Tensor, is_valid: Tensor) -> Callable[[], float]:
    """Measures on which share of the frames a run begins."""

    def rate() -> float:
        labels = decoder(encoder_output=encoded).argmax(-1)
        is_start = labels.diff(prepend=labels.new_full([len(labels), 1], -1)) != 0
        is_token = labels != decoder.num_classes_with_blank - 1
        return float((is_start & is_token)[is_valid].float().mean())

    return rate
