"""Names in sentences to an author: how they are shown, and what a misspelt one may have meant.

Both are the same on every replica: the nearest name goes by edit distance, and which characters
are shown as they are by fixed ranges, not by the Unicode tables of a Python version.
"""

from __future__ import annotations

from collections.abc import Collection

_MAX_LENGTH = 64
_MAX_DISTANCE = 3
MAX_SHOWN = 64  # characters of a name or a text in a sentence
# Printable ASCII, Latin and Greek letters, Chinese characters and their punctuation.
_SHOWN = ((0x20, 0x7E), (0xA1, 0xAC), (0xAE, 0x3FF), (0x3001, 0x9FFF), (0xFF01, 0xFF5E))


def quoted(text: str) -> str:
    """Return `text` in quotes on one line, cut after 64 characters, the unprintable escaped."""
    return f"'{shown(text)}'"


def shown(text: str) -> str:
    """Return `text` as `quoted` shows it, without the quotes."""
    cut = "…" if len(text) > MAX_SHOWN else ""
    return "".join(map(_show, text[:MAX_SHOWN])) + cut


def _show(character: str) -> str:
    number = ord(character)
    if any(low <= number <= high for low, high in _SHOWN):
        return character
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def suggest(name: str, known: Collection[str]) -> str:
    """Return ": did you mean …?" for the nearest known name, "" if none is near."""
    if len(name) > _MAX_LENGTH:
        return ""
    for other in known:
        if other.lower() == name.lower():
            return f": did you mean {other}?"
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
