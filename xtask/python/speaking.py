"""Makes the head of a random NeMo model speak: all tokens, about as often as speech asks for them.

A random network says one thing all the time, because what its encoder says of different frames
differs little. So every layer of the head is brought to mean 0 and deviation 1 on real audio, and
then blank's bias is moved until the wanted share of frames emits. What follows is an utterance of
nonsense with everything a search can meet: frames with several tokens, frames with as many as are
allowed, and for a TDT every duration.
"""

from typing import Any, Callable

import torch
from torch import Tensor, nn

from nemo_config import Shape
from parity_audio import speech

# Share of encoder frames that emit a token or, for CTC, begin a run. TDT's durations skip frames.
RATE = 0.28
# How far apart the classes are, in nats: confidence between 0.1 and 1.
SPREAD = 3.0
SECONDS = 45
N_STEPS = 12


@torch.no_grad()
def make_speak(model: Any, shape: Shape) -> None:
    """Changes the head's weights in place; `model` is NeMo's."""
    audio = speech(SECONDS).unsqueeze(0)
    n_samples = torch.tensor([audio.size(1)])
    features, n_features = model.preprocessor(input_signal=audio, length=n_samples)
    encoded, n_frames = model.encoder(audio_signal=features, length=n_features)
    for head in shape.heads:
        if head == "ctc":
            decoder = model.decoder if shape.heads == ("ctc",) else model.ctc_decoder
            output = decoder.decoder_layers[0]
            spread(output, output(encoded).transpose(1, 2).flatten(0, 1))
            quieten(model, output.bias, shape.pieces)
            calibrate(output.bias[shape.pieces : shape.pieces + 1], ctc_rate(decoder, encoded))
        else:
            output = balance_joint(model, encoded.transpose(1, 2)[0], shape)
            quieten(model, output.bias, shape.pieces)
            # The longest durations come last, and with all as frequent nothing would be emitted.
            output.bias[shape.pieces + 1 :] -= torch.arange(output.out_features - shape.pieces - 1)
            rate = transducer_rate(model, encoded, n_frames)
            calibrate(output.bias[shape.pieces : shape.pieces + 1], rate)


def balance_joint(model: Any, encoded: Tensor, shape: Shape) -> nn.Linear:
    """Balances both inputs and the output of the joint; returns its output layer."""
    joint = model.joint
    spread(joint.enc, joint.enc(encoded), 1.0)
    tokens = torch.randint(shape.pieces, [16, 24])
    predicted, _ = model.decoder.predict(tokens, add_sos=True)
    predicted = predicted.flatten(0, 1)
    spread(joint.pred, joint.pred(predicted), 1.0)
    pairs = torch.randint(encoded.size(0), [4096]), torch.randint(predicted.size(0), [4096])
    hidden = joint.enc(encoded[pairs[0]]) + joint.pred(predicted[pairs[1]])
    spread(joint.joint_net[-1], joint.joint_net(hidden))
    return joint.joint_net[-1]


def spread(layer: nn.Module, outputs: Tensor, deviation: float = SPREAD) -> None:
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
            bias[token] = -100.0


def calibrate(blank: Tensor, rate: Callable[[], float]) -> None:
    """Shifts blank's bias, a view of one number, by bisection until frames emit at `RATE`."""
    start = blank.clone()
    low, high = -20.0, 20.0
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        blank.copy_(start + middle)
        low, high = (middle, high) if rate() > RATE else (low, middle)


def transducer_rate(model: Any, encoded: Tensor, n_frames: Tensor) -> Callable[[], float]:
    """Measures which share of the frames emits."""

    def rate() -> float:
        (hypothesis,) = model.decoding.rnnt_decoder_predictions_tensor(
            encoder_output=encoded, encoded_lengths=n_frames, return_hypotheses=True
        )
        return len(set(map(int, hypothesis.timestamp))) / int(n_frames)

    return rate


def ctc_rate(decoder: Any, encoded: Tensor) -> Callable[[], float]:
    """Measures on which share of the frames a run begins."""

    def rate() -> float:
        labels = decoder(encoder_output=encoded)[0].argmax(-1)
        is_start = labels.diff(prepend=labels.new_tensor([-1])) != 0
        is_token = labels != decoder.num_classes_with_blank - 1
        return float((is_start & is_token).float().mean())

    return rate
