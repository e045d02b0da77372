"""Measures the worker's speed as a share of the GPU's matrix rate, both in one run.

Numerator: 15.6 GFLOP per second of unpadded audio, the cost of the 0.6B encoder on 30 s chunks.
Denominator: the best of 20 products of two 8192 x 8192 matrices in the same type, after warm-up.
"""

import argparse
import pathlib
import re
import subprocess
import time
import wave

import numpy
import torch

SAMPLE_RATE_HZ = 16_000
RECORDING_S = 30
GFLOP_PER_AUDIO_S = 15.6
BATCH_SIZES = (1, 8, 32)
REPEATS = 3


def matrix_rate(compute_type: torch.dtype) -> float:
    """Multiplications and additions per second, in units of 10^9."""
    size = 8192
    a, b = (torch.randn(size, size, device="cuda").to(compute_type) for _ in range(2))
    times = []
    for _ in range(25):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        torch.mm(a, b)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return 2 * size**3 / min(times[5:]) / 1e9


def write_recordings(folder: pathlib.Path, count: int) -> list[str]:
    """Noise that comes and goes, as WAV; random weights hear no more in speech."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = numpy.random.default_rng(1)
    paths = []
    for index in range(count):
        path = folder / f"{index:04}.wav"
        loudness = numpy.repeat(rng.uniform(0.0, 3000.0, RECORDING_S * 4), SAMPLE_RATE_HZ // 4)
        samples = (rng.standard_normal(len(loudness)) * loudness).clip(-32768, 32767)
        with wave.open(str(path), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(SAMPLE_RATE_HZ)
            out.writeframes(samples.astype("<i2").tobytes())
        paths.append(str(path))
    return paths


def run(arguments: argparse.Namespace, compute_type: str, batch: int, files: list[str]) -> dict:
    """The figures that `--stats` prints, by name."""
    command = [arguments.binary, "transcribe", "--model", str(arguments.bundle), "--device", "cuda"]
    command += ["--compute-type", compute_type, "--batch-size", str(batch), "--stats", *files]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = re.findall(r"^ *([a-zA-Z][a-zA-Z ]*?) +([\d.]+)", done.stderr, re.MULTILINE)
    return {name: float(value) for name, value in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--bundle", type=pathlib.Path, required=True)
    parser.add_argument("--n-recordings", type=int, default=128)
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    files = write_recordings(arguments.scratch / "recordings", arguments.n_recordings)
    print(torch.cuda.get_device_name())
    for name in ("bfloat16", "float16"):
        rate = matrix_rate(getattr(torch, name))
        print(f"{name}: matrix rate {rate / 1000:.1f} TFLOP/s")
        for batch in BATCH_SIZES:
            runs = [run(arguments, name, batch, files) for _ in range(REPEATS)]
            best = max(runs, key=lambda figures: figures["RTFx"])
            share = best["RTFx"] * GFLOP_PER_AUDIO_S / rate
            shown = ", ".join(
                f"{key} {best[key]:g}"
                for key in ("encode", "search", "audio decode", "joint calls per token")
            )
            print(
                f"  batch {batch:2}: RTFx {best['RTFx']:.0f} (best of {REPEATS}), "
                f"{100 * share:.1f} % of the matrix rate; {shown}"
            )


if __name__ == "__main__":
    main()
