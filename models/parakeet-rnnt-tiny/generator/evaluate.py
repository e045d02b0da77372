"""Measures a checkpoint with NeMo: word errors per voice and per length, and the word times.

Usage: python evaluate.py --model FILE.nemo --test-set DIR
Reads DIR/truth.jsonl and its FLAC files; prints the tables of the data card. The weights measured
are the stored ones.
"""

import argparse
import collections
import json
import pathlib
import statistics

from nemo.collections.asr.models import ASRModel
from nemo.utils import logging

from batches import FRAME_S
from scoring import align, count_errors

LENGTHS = [(1, 3), (4, 7), (8, 12), (13, 20), (21, 999)]


def length_class(n_words: int) -> str:
    """Returns the row of the table for a sentence of this length."""
    low, high = next((low, high) for low, high in LENGTHS if low <= n_words <= high)
    return f"{low} to {high} words" if high < 999 else f"{low} words and more (joined)"


def start_errors(item: dict, words: list[dict]) -> list[float]:
    """Returns, for every correct word, its recognised minus its true start, in seconds."""
    truth = item["words"]
    pairs = align([w["word"] for w in truth], [w["word"] for w in words])
    return [
        words[j]["start_offset"] * FRAME_S - truth[i]["start"]
        for i, j in pairs
        if i is not None and j is not None and truth[i]["word"] == words[j]["word"]
    ]


def print_table(title: str, rows: dict[str, list[tuple[int, int]]]) -> None:
    """Prints a Markdown table of word error rates; `rows` are (errors, words) per sentence."""
    print(f"\n| {title} | sentences | words | WER % |\n|---|---|---|---|")
    for name in sorted(rows):
        errors, words = (sum(column) for column in zip(*rows[name], strict=True))
        print(f"| {name} | {len(rows[name])} | {words} | {100 * errors / words:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--test-set", type=pathlib.Path, required=True)
    parser.add_argument("--show-errors", action="store_true", help="print each wrong sentence")
    arguments = parser.parse_args()

    logging.setLevel(logging.ERROR)
    model = ASRModel.restore_from(str(arguments.model), map_location="cpu").eval()
    with open(arguments.test_set / "truth.jsonl") as lines:
        items = [json.loads(line) for line in lines]
    files = [str(arguments.test_set / f"{item['id']}.flac") for item in items]
    hypotheses = model.transcribe(
        files, batch_size=16, return_hypotheses=True, timestamps=True, verbose=False
    )

    by = {name: collections.defaultdict(list) for name in ("voice", "length", "kind", "noise")}
    offsets: list[float] = []
    for item, hypothesis in zip(items, hypotheses, strict=True):
        reference = item["text"].split()
        score = count_errors(reference, hypothesis.text.split())
        by["voice"][item["voice"]].append(score)
        by["length"][length_class(len(reference))].append(score)
        by["kind"][item["kind"]].append(score)
        by["noise"]["clean" if item["snr_db"] is None else "noisy"].append(score)
        offsets += start_errors(item, hypothesis.timestamp["word"])
        if arguments.show_errors and score[0]:
            print(
                f"{item['id']} {item['voice']}\n  said  {item['text']}\n  heard {hypothesis.text}"
            )

    for name, rows in by.items():
        print_table(name, rows)
    scores = [score for rows in by["kind"].values() for score in rows]
    errors, words = (sum(column) for column in zip(*scores, strict=True))
    print(f"\nWER {100 * errors / words:.2f} % ({errors} of {words} words)")
    print(
        f"word starts: mean absolute error {statistics.fmean(map(abs, offsets)):.3f} s, "
        f"mean error {statistics.fmean(offsets):+.3f} s, "
        f"worst {max(map(abs, offsets)):.2f} s, over {len(offsets)} words"
    )


if __name__ == "__main__":
    main()
