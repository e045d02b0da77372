"""The network of one archive, with the methods that crates/parakeet-model calls."""

from typing import List, Tuple

import torch
from torch import Tensor, nn

from exporter.architecture import Architecture
from exporter.ctc import CtcHead
from exporter.fastconformer import FastConformer
from exporter.frontend import LogMel
from exporter.int8 import quantised
from exporter.transducer import TransducerHead
from exporter.weights import Weights

# Compute types by the name that a user types: the type of encoder and head, and whether the linear
# layers of the encoder's layers multiply bytes.
COMPUTE_TYPES = {
    "float32": (torch.float32, False),
    "bfloat16": (torch.bfloat16, False),
    "float16": (torch.float16, False),
    "int8": (torch.bfloat16, True),
    "int8_float32": (torch.float32, True),
}
# The methods that a frozen archive keeps; docs/model-export.md is the contract.
METHODS = ["encode", "encoder_output", "features"]
TRANSDUCER_METHODS = [*METHODS, "initial_state", "score", "advance", "host_weights"]


def build(sizes: Architecture, max_frames: int, weights: Weights) -> "Parakeet":
    """Builds the network of these sizes, for utterances of up to `max_frames` encoder frames."""
    kind = CtcParakeet if sizes.head == "ctc" else TransducerParakeet
    return kind(sizes, max_frames, weights)


def freeze(model: "Parakeet") -> torch.jit.ScriptModule:
    """Returns the archive's module, scripted and frozen.

    The module is scripted and not traced, since lengths vary. Freezing makes the weights constants,
    except those that a CPU packs at its first call, which stay attributes.
    """
    methods = TRANSDUCER_METHODS if isinstance(model, TransducerParakeet) else METHODS
    return torch.jit.freeze(torch.jit.script(model.eval()), preserved_attrs=methods)


class Parakeet(nn.Module):
    """Front end and encoder; a subclass adds the `head`.

    Letters of shapes: N utterances, S samples, T feature frames, T' encoder frames, D encoder
    width, J joint width, L predictor layers of width H.
    """

    def __init__(self, sizes: Architecture, max_frames: int, weights: Weights) -> None:
        super().__init__()
        self.log_mel = LogMel(sizes.front_end, weights.scope("preprocessor.featurizer."))
        self.encoder = FastConformer(
            sizes.encoder, sizes.front_end.n_mels, max_frames, weights.scope("encoder.")
        )
        self.compute_type = torch.float32

    def cast(self, compute_type: torch.dtype, in_bytes: bool = False) -> "Parakeet":
        """Casts encoder and head in place; the front end stays float32.

        With `in_bytes` the linear layers of the encoder's layers multiply bytes.
        """
        replaced = quantised(self.encoder.layers) if in_bytes else {}
        self.encoder.to(compute_type)
        self.head.to(compute_type)
        for name, layer in replaced.items():
            self.encoder.layers.set_submodule(name, layer)
        self.compute_type = compute_type
        return self

    @torch.jit.export
    def encode(self, audio: Tensor, n_samples: Tensor) -> Tuple[Tensor, Tensor]:
        """Encodes audio, float32 (N, S) in [-1, 1], with `n_samples` valid samples, int64 (N).

        Returns what the search needs of the encoder frames, and the number of valid frames of each
        row, int64 (N). A transducer's frames are projected for the joint: (N, T', J). A CTC's
        frames are scored: token, duration and log-probability, float32 (N, T', 3). Padding changes
        no result. Both counts lie on the host, so that no call waits for the device.
        """
        encoded, n_frames = self.encoder_output(audio, n_samples)
        return self.head.project(encoded), n_frames

    @torch.jit.export
    def encoder_output(self, audio: Tensor, n_samples: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns encoder frames (N, T', D) and their valid numbers (N), for numeric checks."""
        features, n_features = self.log_mel(audio, n_samples)
        return self.encoder(features.to(self.compute_type), n_features)

    @torch.jit.export
    def features(self, audio: Tensor, n_samples: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns log-mel, float32 (N, n_mels, T), and valid numbers (N), for numeric checks."""
        return self.log_mel(audio, n_samples)


class CtcParakeet(Parakeet):
    """A CTC network: its emissions depend on the frame alone."""

    def __init__(self, sizes: Architecture, max_frames: int, weights: Weights) -> None:
        super().__init__(sizes, max_frames, weights)
        self.head = CtcHead(sizes, weights)


class TransducerParakeet(Parakeet):
    """An RNNT or TDT network: its emissions depend on the tokens before them, too."""

    def __init__(self, sizes: Architecture, max_frames: int, weights: Weights) -> None:
        super().__init__(sizes, max_frames, weights)
        self.head = TransducerHead(sizes, weights)

    @torch.jit.export
    def initial_state(self, n: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Returns predicted (N, J), hidden and cell (L, N, H) after the start of sequence."""
        return self.head.initial_state(n)

    @torch.jit.export
    def score(self, encoded: Tensor, predicted: Tensor, lanes: Tensor, window: int) -> Tensor:
        """Scores lanes (B, 2): float32 (B, window, 3) of token, duration and log-probability."""
        return self.head.score(encoded, predicted, lanes, window)

    @torch.jit.export
    def advance(
        self, predicted: Tensor, hidden: Tensor, cell: Tensor, emitted: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Feeds `emitted` int64 (B, 2), utterance and token, to the predictor, in place."""
        return self.head.advance(predicted, hidden, cell, emitted)

    @torch.jit.export
    def host_weights(self) -> Tuple[List[Tensor], List[Tensor], List[Tensor], str]:
        """Returns the weights of the engine's own predictor and joint, which it runs on a CPU."""
        return self.head.host_weights()
