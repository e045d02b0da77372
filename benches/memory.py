"""Measures what it takes to load a bundle on a CPU and to transcribe: memory, and time to load.

    export PYTHONPATH=xtask/python
    python -m exporter.export --random-init rnnt-0.6b --dtype float32,bfloat16 --out DIR
    benches/memory.py --worker target/release/parakeet-worker DIR...

For 30 s the limit is 1.2 times the weights in their stored type, plus 700 MB. The peak has to lie
within 15 % of what the program plans, for any length. Linux; needs no package.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import wave

RECORDINGS = pathlib.Path(__file__).parents[1] / "tests/data/speech"
SAMPLE_RATE_HZ = 16_000
SLACK_BYTES = 700e6
FACTOR = 1.2
OFF_PLAN = 0.15


def main() -> int:
    """Prints a line per archive and run; exit code 1 if one is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--worker", type=pathlib.Path, required=True, metavar="PROGRAM")
    parser.add_argument("--seconds", type=int, default=30, help="length of the recording")
    parser.add_argument("--batch-size", type=int, default=4)
    arguments = parser.parse_args()
    within = True
    with tempfile.TemporaryDirectory() as folder:
        recording = write_recording(pathlib.Path(folder), arguments.seconds)
        for bundle in arguments.bundles:
            archives = json.loads((bundle / "manifest.json").read_text())["archives"]
            for compute_type, archive in archives.items():
                limit = FACTOR * archive["bytes"] + SLACK_BYTES
                for which in ("first", "second"):
                    load_s, planned, peak = run(
                        arguments.worker,
                        bundle,
                        ["--compute-type", compute_type, "--batch-size", str(arguments.batch_size)],
                        recording,
                    )
                    within &= arguments.seconds > 30 or peak <= limit
                    within &= abs(peak / planned - 1.0) <= OFF_PLAN
                    print(
                        f"{bundle.name} {compute_type}, {arguments.seconds} s, {which} run: "
                        f"load {load_s}, archive {archive['bytes'] / 1e6:.0f} MB, planned "
                        f"{planned / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB "
                        f"({peak / planned - 1.0:+.0%}; limit for 30 s {limit / 1e6:.0f} MB)",
                        flush=True,
                    )
    return 0 if within else 1


def write_recording(folder: pathlib.Path, seconds: int) -> pathlib.Path:
    """Writes the recordings of tests/data, one after the other, repeated up to this length."""
    once = b""
    for path in sorted(RECORDINGS.glob("*.wav")):
        with wave.open(str(path)) as recording:
            once += recording.readframes(recording.getnframes())
    n_bytes = 2 * seconds * SAMPLE_RATE_HZ
    samples = once * (n_bytes // len(once) + 1)
    path = folder / "recording.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(samples[:n_bytes])
    return path


def run(
    worker: pathlib.Path, bundle: pathlib.Path, options: list[str], recording: pathlib.Path
) -> tuple[str, int, int]:
    """Transcribes; returns the printed time to load, the planned bytes and the peak of memory."""
    command = [str(worker), "transcribe", "--model", str(bundle), "--device", "cpu", "--stats"]
    command += [*options, str(recording)]
    with tempfile.TemporaryFile("w+") as stats:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stats)
        _, status, usage = os.wait4(process.pid, 0)
        stats.seek(0)
        text = stats.read()
    load = re.search(r"model load\s+(.+)", text)
    planned = re.search(r"planned memory\s+(\d+) MiB", text)
    if status != 0 or load is None or planned is None:
        sys.exit(f"error: {' '.join(command)}: {text}")
    return load.group(1), int(planned.group(1)) << 20, usage.ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
