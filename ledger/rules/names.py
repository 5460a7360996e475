"""Suggestions for misspelt names: the nearest by edit distance, the same on every replica."""

from __future__ import annotations

from collections.abc import Iterable


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" for the nearest known name, "" if none is near."""
    limit = max(min(2, len(name) // 2), len(name) // 4)
    best = min(
        ((_distance(name, other, limit), other) for other in known),
        default=(limit + 1, ""),
    )
    return f": did you mean {best[1]}?" if best[0] <= limit else ""


def _distance(left: str, right: str, limit: int) -> int:
    """Return how many letters to insert, delete or change; more than `limit` is not exact."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
