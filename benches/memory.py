"""Measures what it takes to load a bundle on a CPU and to transcribe 30 s: memory, and time to load.

    xtask/python/export.py --random-init rnnt-0.6b --dtype float32,bfloat16 --out DIR
    benches/memory.py --worker target/release/parakeet-worker DIR...

The limit is 1.2 times the weights in their stored type, plus 700 MB. Linux; needs no package.
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
SECONDS = 30
SLACK_BYTES = 700e6
FACTOR = 1.2


def main() -> int:
    """Prints a line per archive and run; exit code 1 if one is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--worker", type=pathlib.Path, required=True, metavar="PROGRAM")
    arguments = parser.parse_args()
    within = True
    with tempfile.TemporaryDirectory() as folder:
        recording = write_recording(pathlib.Path(folder))
        for bundle in arguments.bundles:
            archives = json.loads((bundle / "manifest.json").read_text())["archives"]
            for compute_type, archive in archives.items():
                limit = FACTOR * archive["bytes"] + SLACK_BYTES
                for which in ("first", "second"):
                    load_s, peak = run(arguments.worker, bundle, compute_type, recording)
                    within &= peak <= limit
                    print(
                        f"{bundle.name} {compute_type}, {which} run: load {load_s}, "
                        f"archive {archive['bytes'] / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB "
                        f"(limit {limit / 1e6:.0f} MB)",
                        flush=True,
                    )
    return 0 if within else 1


def write_recording(folder: pathlib.Path) -> pathlib.Path:
    """The shipped recordings, one after the other, cut at 30 s."""
    samples = b""
    for path in sorted(RECORDINGS.glob("*.wav")) * 2:
        with wave.open(str(path)) as recording:
            samples += recording.readframes(recording.getnframes())
    path = folder / "recording.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes(samples[: 2 * SECONDS * SAMPLE_RATE_HZ])
    return path


def run(
    worker: pathlib.Path, bundle: pathlib.Path, compute_type: str, recording: pathlib.Path
) -> tuple[str, int]:
    """The program's own word for the time to load, and its largest resident size in bytes."""
    command = [str(worker), "transcribe", "--model", str(bundle), "--device", "cpu", "--stats"]
    command += ["--compute-type", compute_type, str(recording)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    if status != 0:
        sys.exit(f"error: {' '.join(command)}: {text}")
    load = re.search(r"model load\s+(.+)", text)
    return load.group(1) if load else "?", usage.ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
