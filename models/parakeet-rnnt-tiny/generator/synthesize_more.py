"""Adds more training speech beside that of `synthesize.py`, with texts that no test recording has.

    python synthesize_more.py --out DIR [--n-total 26400] [--processes 2]

The test set has none of the first training texts. The texts of this script are neither in the test
set nor in the development set. Lines go to `more.jsonl`, in the form of `train.jsonl`.
"""

import argparse
from pathlib import Path

from make_test_set import plan_test
from synthesize import N_DEV, N_TRAIN, SEED, plan_splits, write_split
from utterances import Plan, plan_training

N_TOTAL = 26400


def plan_more(n_total: int) -> list[Plan]:
    """Plans the utterances after the first N_TRAIN, without the texts of the other sets."""
    _, dev = plan_splits(SEED, N_TRAIN, N_DEV)
    singles, longs = plan_test()
    others = [*dev, *singles, *(plan for group in longs for plan in group)]
    excluded = {plan.words for plan in others}
    more = plan_training(SEED, SEED, n_total, set())[N_TRAIN:]
    return [plan for plan in more if plan.words not in excluded]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of synthesize.py")
    parser.add_argument("--n-total", type=int, default=N_TOTAL, help="with those of train.jsonl")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    write_split(arguments.out, "more", plan_more(arguments.n_total), arguments.processes)


if __name__ == "__main__":
    main()
