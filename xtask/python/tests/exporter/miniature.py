"""A Parakeet small enough to build in every test run."""

from dataclasses import replace
from functools import cache
from io import BytesIO

import torch
from torch import Tensor

from exporter.architecture import Architecture, Encoder, FrontEnd, Predictor
from exporter.parakeet import COMPUTE_TYPES, Parakeet, build, freeze
from exporter.weights import RandomWeights

torch.set_num_threads(1)

SIZES = Architecture(
    head="rnnt",
    vocabulary_size=16,
    front_end=FrontEnd(n_mels=24),
    encoder=Encoder(
        n_layers=2,
        width=32,
        n_heads=4,
        feed_forward_width=64,
        conv_kernel=9,
        conv_norm="batch_norm",
        subsampling=8,
        subsampling_channels=8,
        scale_input=True,
        bias=True,
    ),
    predictor=Predictor(n_layers=2, width=20),
    joint_width=20,
)
# For each choice of a config, the value that SIZES does not have.
TDT = replace(
    SIZES,
    head="tdt",
    encoder=replace(
        SIZES.encoder, conv_kernel=5, conv_norm="layer_norm", scale_input=False, bias=False
    ),
    predictor=Predictor(n_layers=1, width=20),
    joint_width=28,
    joint_activation="tanh",
    durations=(0, 1, 2, 4),
)
CTC = replace(SIZES, head="ctc", predictor=None, joint_width=0)
# 4.8 s.
MAX_FRAMES = 60
MAX_SAMPLES = MAX_FRAMES * 8 * 160


class RecordedWeights(RandomWeights):
    """Random weights that record every tensor in `given`, the state dict of a checkpoint."""

    def __init__(self, prefix: str = "", parent: "RecordedWeights | None" = None) -> None:
        super().__init__(parent.generator if parent else seeded(7), prefix)
        self.given: dict[str, Tensor] = parent.given if parent else {}

    def take(self, name: str, *shape: int) -> Tensor:
        tensor = super().take(name, *shape)
        self.given[self.prefix + name] = tensor
        return tensor.clone()

    def table(self, name: str, computed: Tensor) -> Tensor:
        self.given[self.prefix + name] = computed
        return computed

    def scope(self, prefix: str) -> "RecordedWeights":
        return RecordedWeights(self.prefix + prefix, self)


def seeded(seed: int) -> torch.Generator:
    """Returns a generator of this seed."""
    return torch.Generator().manual_seed(seed)


def model(sizes: Architecture = SIZES) -> Parakeet:
    """Builds a new model, always with the same weights."""
    return build(sizes, MAX_FRAMES, RecordedWeights())


@cache
def state_dict(sizes: Architecture = SIZES) -> dict[str, Tensor]:
    """Returns the weights of `model` under their names in a checkpoint."""
    weights = RecordedWeights()
    build(sizes, MAX_FRAMES, weights)
    return weights.given


@cache
def archive(compute_type: str = "float32", sizes: Architecture = SIZES) -> torch.jit.ScriptModule:
    """Returns the frozen model, saved and loaded again."""
    file = BytesIO()
    torch.jit.save(freeze(model(sizes).cast(*COMPUTE_TYPES[compute_type])), file)
    file.seek(0)
    return torch.jit.load(file)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Returns noise of the level of audio."""
    return 0.1 * torch.randn(shape, generator=seeded(seed))
