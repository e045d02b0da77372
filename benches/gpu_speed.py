"""Measures the engine's speed as a share of the GPU's matrix rate, both in one run.

Numerator: 15.6 GFLOP per second of unpadded audio for the 0.6B encoder on 30 s chunks, 27.1 for
1.1B.
Denominator: the best of 20 products of two 8192 x 8192 matrices in the same type, after warm-up.
Time: from samples in host memory to words, the median of 3 runs of `throughput`. For rnnt-0.6b in
float16 and for other models it is one run. An uncounted run comes before each. A second table has the
time of the encoder alone, and of the same graph in eager PyTorch, which on a CPU packs no weights.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time
import wave

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "xtask/python"))

from exporter.parakeet import build  # noqa: E402  (the folder is put on the path above)
from exporter.random_init import architecture, speech_like  # noqa: E402
from exporter.weights import RandomWeights  # noqa: E402

# 60 s, as in a bundle.
MAX_FRAMES = 750
GFLOP_PER_AUDIO_S = {"0.6b": 15.6, "1.1b": 27.1}
COLUMNS = (
    "model compute_type batch lanes spread rtfx share wall encode search n_tokens joint_calls "
    "peak_gb load"
).split()


def main() -> int:
    """Prints the table, row by row; exit code 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throughput", required=True)
    parser.add_argument("--bundles", type=pathlib.Path, required=True)
    parser.add_argument(
        "--models", required=True, help="sizes of random_init.py, folders in --bundles"
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=pathlib.Path, required=True)
    arguments = parser.parse_args()

    rates = {name: matrix_rate(arguments.device, name) for name in ("bfloat16", "float16")}
    copy = copy_rate(arguments.device)
    card = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    shown = ", ".join(f"{name} {rate / 1e3:.1f} TFLOP/s" for name, rate in rates.items())
    print(f"{card}: matrix rate {shown}; copy {copy / 1e12:.2f} TB/s read and written")
    recording = write_recording(arguments.bundles / "recording.wav")
    rows, failed = [], False
    print("  ".join(COLUMNS), flush=True)
    for model, compute_type, flags in plan(arguments):
        command = [arguments.throughput, "--model", str(arguments.bundles / model)]
        command += ["--device", arguments.device, "--compute-type", compute_type, *flags]
        run = subprocess.Popen([*command, str(recording)], stdout=subprocess.PIPE, text=True)
        # Rows are printed as they arrive, so that an interrupted run has printed its finished rows.
        for row in map(json.loads, run.stdout):
            gflop = next((it for size, it in GFLOP_PER_AUDIO_S.items() if size in model), 0.0)
            row["share"] = round(100 * row["rtfx"] * gflop / rates[compute_type], 1)
            row["peak_gb"] = round((row["peak_bytes"] or 0) / 1e9, 1)
            rows.append(row)
            shown = (row[column] for column in COLUMNS)
            print(
                *(f"{it:.4g}" if isinstance(it, float) else it for it in shown),
                sep="  ",
                flush=True,
            )
        if run.wait() != 0:
            failed = True
            print(f"{model} {compute_type}: exit code {run.returncode}", flush=True)
        report = {"card": card, "torch": torch.__version__, "matrix_gflops": rates, "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1))
    stages(arguments)
    return int(failed)


def write_recording(path: pathlib.Path) -> pathlib.Path:
    """Writes five minutes of the sounds on which random heads are calibrated to emit tokens."""
    sounds = torch.cat([speech_like(seed).flatten() for seed in range(1, 17)])
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes((sounds.clamp(-1, 1) * 32767).to(torch.int16).numpy().tobytes())
    return path


def plan(arguments: argparse.Namespace) -> list[tuple[str, str, list[str]]]:
    """Returns the runs: model, compute type and flags."""
    if arguments.device == "cpu":
        small = ["--batch", "1,2", "--batches", "1", "--runs", "1"]
        return [(model, "bfloat16", small) for model in arguments.models.split()]
    # A worker searches four encoder batches together.
    full = ["--batches", "16", "--together", "4", "--batch"]
    runs = []
    for model in arguments.models.split():
        if model == "rnnt-0.6b":
            runs.append((model, "bfloat16", [*full, "1,8,32,128", "--spread", "0,0.1"]))
        else:
            runs.append((model, "bfloat16", [*full, "128", "--runs", "1"]))
    if "rnnt-0.6b" in arguments.models.split():
        runs.append(("rnnt-0.6b", "float16", [*full, "128", "--runs", "1"]))
    return runs


def stages(arguments: argparse.Namespace) -> None:
    """Prints the milliseconds of the encoder's stages in an archive, and of eager PyTorch."""
    device, name = arguments.device, arguments.models.split()[0]
    bundle = arguments.bundles / name
    file = json.loads((bundle / "manifest.json").read_text())["archives"]["bfloat16"]["file"]
    torch._C._jit_set_profiling_mode(False)
    with torch.inference_mode():
        archive = torch.jit.load(str(bundle / file), map_location=device)
        weights = RandomWeights(torch.Generator().manual_seed(1))
        eager = build(architecture(name), MAX_FRAMES, weights).eval().cast(torch.bfloat16)
        eager.to(device)
        for n in (1, 8, 32, 128) if device == "cuda" else (1,):
            audio = 0.1 * torch.randn(n, 476_160, device=device)
            n_samples = torch.full([n], 476_160)
            features = milliseconds(device, lambda: archive.features(audio, n_samples))
            encoder = milliseconds(device, lambda: archive.encoder_output(audio, n_samples))
            whole = milliseconds(device, lambda: archive.encode(audio, n_samples))
            by_python = milliseconds(device, lambda: eager.encode(audio, n_samples))
            print(
                f"batch {n:3} of 29.76 s: front end {features:.2f} ms, with the encoder "
                f"{encoder:.2f} ms, with the projection {whole:.2f} ms; eager PyTorch takes "
                f"{by_python / whole:.2f} times as long",
                flush=True,
            )


def milliseconds(device: str, call) -> float:
    """Returns the median of 5 calls after 2; on a GPU, events on the device measure the time."""
    times = []
    for _ in range(7):
        if device == "cuda":
            begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begun.record()
            call()
            ended.record()
            torch.cuda.synchronize()
            times.append(begun.elapsed_time(ended))
        else:
            started = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - started))
    return sorted(times[2:])[2]


def matrix_rate(device: str, compute_type: str) -> float:
    """Returns multiplications and additions per second, in units of 10^9."""
    size = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(getattr(torch, compute_type)) for _ in "ab")
    return 2 * size**3 / best(device, lambda: torch.mm(a, b)) / 1e9


def copy_rate(device: str) -> float:
    """Returns the bytes per second that a large copy reads and writes."""
    a = torch.randn(2**28 if device == "cuda" else 2**24, device=device)
    b = torch.empty_like(a)
    return 2 * a.nbytes / best(device, lambda: b.copy_(a))


def best(device: str, call) -> float:
    """Returns the seconds of the fastest of 20 calls, after 5 uncounted calls."""
    times = []
    for _ in range(25):
        if device == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return min(times[5:])


if __name__ == "__main__":
    sys.exit(main())
