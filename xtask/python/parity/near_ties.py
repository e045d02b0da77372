"""Scores NeMo's path again, to find the steps whose two best choices are almost equal."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Callable

import torch
from torch import Tensor

from parity.emissions import NEAR_TIE, Emissions, NearTie

MAX_SYMBOLS = 10


@dataclass
class Step:
    """One step of a search: its choice, and the two best tokens and durations with their gaps."""

    frame: int
    n_tokens: int
    token: int
    tokens: list[int]
    token_gap: float
    duration: int
    durations: list[int]
    duration_gap: float


Steps = list[Step]


def near_ties(steps: Steps) -> list[NearTie]:
    """Returns the steps with a close second choice; refuses a path that is not greedy.

    The second scoring sums in another order. So its best choice may differ from NeMo's at a near
    tie, and nowhere else.
    """
    ties = []
    for step in steps:
        tokens = [step.token]
        if step.token_gap < NEAR_TIE:
            tokens += [token for token in step.tokens if token != step.token]
        durations = [step.duration] if step.durations else []
        if step.durations and step.duration_gap < NEAR_TIE:
            durations += [it for it in step.durations if it != step.duration]
        if step.tokens[0] not in tokens or (step.durations and step.durations[0] not in durations):
            raise AssertionError(f"NeMo is not greedy on frame {step.frame}")
        gap = min(step.token_gap, step.duration_gap)
        if gap < NEAR_TIE:
            ties.append(NearTie(step.frame, step.n_tokens, tokens, durations, gap))
    return ties


def ctc_steps(scores: Tensor, blank: int) -> Steps:
    """Returns one step per frame of log-probabilities (T', V + 1)."""
    values, classes = scores.topk(2)
    steps, n_done, previous = [], 0, blank
    for frame, ((best, second), (high, low)) in enumerate(zip(classes.tolist(), values.tolist())):
        steps.append(Step(frame, n_done, best, [best, second], high - low, 1, [], torch.inf))
        # A run that ends before this frame counts as a token from the next frame on.
        n_done += best != previous != blank
        previous = best
    return steps


def joint_steps(
    score: Callable[[Tensor, Tensor], Tensor],
    emissions: Emissions,
    blank: int,
    durations: list[int],
) -> Steps:
    """Returns the steps of a transducer's search along `emissions`.

    `score` gives the joint's outputs (B, classes) for frames (B) and the number of tokens before
    each (B). One call scores every (frame, number of tokens) that the path can visit; the loop then
    follows the path.
    """
    bounds = [0, *emissions.frames, emissions.n_frames - 1]
    places = [
        (frame, n_tokens)
        for n_tokens, (first, last) in enumerate(pairwise(bounds))
        for frame in range(first, last + 1)
    ]
    if not places:
        return []
    outputs = score(*torch.tensor(places).unbind(1))
    n_classes = outputs.size(1) - len(durations)
    token_gaps, tokens = best_two(outputs[:, :n_classes])
    if durations:
        duration_gaps, choices = best_two(outputs[:, n_classes:])
    at = {place: row for row, place in enumerate(places)}

    steps: Steps = []
    frame = n_tokens = n_symbols = 0
    while frame < emissions.n_frames:
        if (frame, n_tokens) not in at:
            raise AssertionError(f"NeMo's path cannot be followed on frame {frame}")
        row = at[frame, n_tokens]
        emits = n_tokens < len(emissions.tokens) and emissions.frames[n_tokens] == frame
        token = emissions.tokens[n_tokens] if emits else blank
        step = Step(frame, n_tokens, token, tokens[row], token_gaps[row], 0, [], torch.inf)
        steps.append(step)
        if durations:
            step.durations = [durations[it] for it in choices[row]]
            step.duration_gap = duration_gaps[row]
            step.duration = emissions.durations[n_tokens] if emits else step.durations[0]
        else:
            step.duration = int(not emits)
        n_tokens += emits
        n_symbols += emits
        moved = step.duration if emits else max(step.duration, 1)
        if emits and moved == 0 and n_symbols == MAX_SYMBOLS:
            moved = 1
        frame += moved
        n_symbols = 0 if moved else n_symbols
    return steps


def best_two(outputs: Tensor) -> tuple[list[float], list[list[int]]]:
    """Returns the gap of the two best classes of each row (B, classes), and the two classes."""
    values, classes = outputs.topk(2)
    return (values[:, 0] - values[:, 1]).tolist(), classes.tolist()
