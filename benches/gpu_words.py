"""Compares transcripts of the test set with its truth and with a reference run.

Usage: gpu_words.py TRUTH.jsonl OUTPUT.jsonl...
One output must be called words-reference.jsonl. Exit code 1 if float32 falls below the limits of
`LIMITS`, or if any compute type is 0.3 points of word error rate worse than the reference.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "models/parakeet-rnnt-tiny/generator"))

from scoring import count_errors  # noqa: E402  (the folder is put on the path above)

# Share of files whose tokens and frames must equal the reference's. Another device sums in another
# order, so the order of two almost equal scores may change.
LIMITS = {"gpu-float32": 0.99, "gpu-float32-alone": 0.99, "gpu-float32-eights": 0.99}
WORD_ERROR_MARGIN = 0.3


def read(path: pathlib.Path) -> dict[str, dict]:
    """Returns the outputs by the stem of the audio file."""
    with open(path) as lines:
        outputs = [json.loads(line) for line in lines]
    return {pathlib.Path(output["file"]).stem: output for output in outputs}


def word_error_rate(truth: dict[str, str], outputs: dict[str, dict]) -> float:
    """Returns the rate in percent; all words of a file without output count as errors."""
    scores = [
        count_errors(text.split(), outputs.get(name, {"text": ""})["text"].split())
        for name, text in truth.items()
    ]
    errors, words = (sum(column) for column in zip(*scores, strict=True))
    return 100.0 * errors / words


def main() -> int:
    """Prints a line per run. Exit code: 0, or 1 if a run passes a limit."""
    truth_file, *output_files = map(pathlib.Path, sys.argv[1:])
    with open(truth_file) as lines:
        truth = {item["id"]: item["text"] for item in map(json.loads, lines)}
    runs = {path.stem.removeprefix("words-"): read(path) for path in output_files}
    reference = runs["reference"]
    reference_rate = word_error_rate(truth, reference)
    failed = False
    for name, outputs in runs.items():
        same = sum(
            [(t["id"], t["frame"]) for t in outputs[file]["tokens"]]
            == [(t["id"], t["frame"]) for t in reference[file]["tokens"]]
            for file in outputs
        )
        rate = word_error_rate(truth, outputs)
        bad = (
            same < LIMITS.get(name, 0.0) * len(truth) or rate > reference_rate + WORD_ERROR_MARGIN
        )
        failed |= bad
        print(
            f"{name:20} same tokens and frames {same:3} of {len(truth)}, WER {rate:5.2f} %"
            f"{'  FAILED' if bad else ''}"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
