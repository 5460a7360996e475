"""Suggestions for misspelt names: the nearest by edit distance, the same on every replica."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_LENGTH = 64
_MAX_DISTANCE = 3


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean …?" for the nearest known name, "" if none is near."""
    if len(name) > _MAX_LENGTH:
        return ""
    limit = min(_MAX_DISTANCE, max(min(2, len(name) // 2), len(name) // 4))
    best = min(
        ((_distance(name, other, limit), other) for other in known),
        default=(limit + 1, ""),
    )
    return f": did you mean {best[1]}?" if best[0] <= limit else ""


def _distance(left: str, right: str, limit: int) -> int:
    """Return how many letters to insert, delete or change; `limit` + 1 if they are more.

    Only the band of the table that can stay within the limit is computed.
    """
    far = limit + 1
    if abs(len(left) - len(right)) > limit:
        return far
    row = [min(j, far) for j in range(len(right) + 1)]
    for i, letter in enumerate(left, 1):
        above, row = row, [far] * len(row)
        row[0] = min(i, far)
        for j in range(max(1, i - limit), min(len(right), i + limit) + 1):
            changed = above[j - 1] + (letter != right[j - 1])
            row[j] = min(above[j] + 1, row[j - 1] + 1, changed, far)
        if min(row) > limit:
            return far
    return row[-1]
