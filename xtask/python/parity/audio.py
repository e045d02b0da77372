"""The audio on which random models are compared: cuts of test recordings, silence and noise."""

from functools import cache
from pathlib import Path

import soundfile
import torch
from torch import Tensor

SAMPLE_RATE_HZ = 16000
DATA = Path(__file__).parents[3] / "tests/data"
# From less than two encoder frames to the longest input of a bundle.
SECONDS = (0.1, 0.16, 0.25, 0.5, 0.8, 1, 1.5, 2, 2.6, 3.3, 4, 5.2, 7, 9.1, 12, 15, 20, 30, 45, 60)


def write_recordings(folder: Path) -> list[Path]:
    """Writes the recordings as 16-bit WAV files and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, samples in recordings().items():
        paths.append(folder / f"{name}.wav")
        soundfile.write(paths[-1], samples.numpy(), SAMPLE_RATE_HZ, subtype="PCM_16")
    return paths


def recordings() -> dict[str, Tensor]:
    """Returns samples in [-1, 1] by name; every call gives the same samples."""
    generator = torch.Generator().manual_seed(1)
    answer = {f"speech-{seconds:05.2f}s": cut(seconds) for seconds in SECONDS}
    answer["silence"] = torch.zeros(3 * SAMPLE_RATE_HZ)
    answer["noise"] = 0.1 * torch.randn(4 * SAMPLE_RATE_HZ, generator=generator)
    answer["clipped"] = (30.0 * cut(3.0)).clamp(-1.0, 1.0)
    answer["faint"] = 0.002 * cut(3.5)
    return answer


def cut(seconds: float) -> Tensor:
    """Returns a part of the joined recordings; the length determines the start."""
    start = int(7919 * seconds) % SAMPLE_RATE_HZ
    return speech(70)[start : start + round(seconds * SAMPLE_RATE_HZ)]


@cache
def speech(seconds: int) -> Tensor:
    """Joins the recordings of tests/data and returns the first `seconds`."""
    files = sorted(DATA.glob("speech/*.wav")) + sorted(DATA.glob("tiny-300/*.flac"))
    pieces, n_samples = [], 0
    for path in files:
        pieces.append(torch.from_numpy(soundfile.read(path, dtype="float32")[0]))
        n_samples += len(pieces[-1])
        if n_samples >= seconds * SAMPLE_RATE_HZ:
            return torch.cat(pieces)[: seconds * SAMPLE_RATE_HZ]
    raise ValueError(f"the recordings are shorter than {seconds} s")
