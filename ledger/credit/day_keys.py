"""Days as parts of state keys."""

from __future__ import annotations

_DAY_OFFSET = 2**31


def day_key(day: int) -> bytes:
    """Return a day as four bytes that sort in order, days before 1970 included."""
    return (day + _DAY_OFFSET).to_bytes(4, "big")


def day_of_key(key: bytes) -> int:
    """Return the day of `day_key`."""
    return int.from_bytes(key, "big") - _DAY_OFFSET
