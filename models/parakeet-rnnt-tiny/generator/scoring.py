"""Counts word errors and the distance of word times from the truth."""


def align(reference: list[str], hypothesis: list[str]) -> list[tuple[int | None, int | None]]:
    """Pairs the words of two sentences with the fewest edits (Levenshtein).

    Returns (reference index, hypothesis index) from left to right; None stands for no partner.
    """
    n_reference, n_hypothesis = len(reference), len(hypothesis)
    cost = [[0] * (n_hypothesis + 1) for _ in range(n_reference + 1)]
    for i in range(n_reference + 1):
        for j in range(n_hypothesis + 1):
            if i == 0 or j == 0:
                cost[i][j] = i + j
                continue
            cost[i][j] = min(
                cost[i - 1][j - 1] + (reference[i - 1] != hypothesis[j - 1]),
                cost[i - 1][j] + 1,
                cost[i][j - 1] + 1,
            )
    pairs: list[tuple[int | None, int | None]] = []
    i, j = n_reference, n_hypothesis
    while i > 0 or j > 0:
        differs = i > 0 and j > 0 and reference[i - 1] != hypothesis[j - 1]
        if i > 0 and j > 0 and cost[i][j] == cost[i - 1][j - 1] + differs:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i > 0 and cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


def count_errors(reference: list[str], hypothesis: list[str]) -> tuple[int, int]:
    """Returns (substitutions + deletions + insertions, words of the reference)."""
    errors = sum(
        i is None or j is None or reference[i] != hypothesis[j]
        for i, j in align(reference, hypothesis)
    )
    return errors, len(reference)
