"""Interval analysis: where an integer operation provably cannot fail.

From the declared ranges of facts follow the ranges of everything computed from them. The generated
evaluator skips a check only where `bound` says that the result lies inside 64 bits and that no
divisor is zero; everywhere else the range is cut to 64 bits, for the check guarantees that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ledger.rules.units import INT_MAX, INT_MIN

Range: TypeAlias = tuple[int, int]

FULL: Range = (INT_MIN, INT_MAX)
_BP_ONE = 10_000
_SIZE: Range = (0, 2**32)


def fits(found: Range) -> bool:
    """Return whether every value of the range has 64 bits."""
    return found[0] >= INT_MIN and found[1] <= INT_MAX


def hull(left: Range, right: Range) -> Range:
    """Return the smallest range that holds both."""
    return min(left[0], right[0]), max(left[1], right[1])


def bound(operation: str, ranges: Sequence[Range]) -> tuple[Range, bool]:
    """Return the range of an integer operation's result, and whether it provably cannot fail."""
    if operation in ("div", "mod", "ratio_bp") and ranges[1][0] <= 0 <= ranges[1][1]:
        return FULL, False
    exact = _exact(operation, ranges)
    if exact is None:
        return FULL, False
    if fits(exact):
        return exact, True
    return (max(exact[0], INT_MIN), min(exact[1], INT_MAX)), False


def _exact(operation: str, ranges: Sequence[Range]) -> Range | None:
    """Return the range before any check, None when nothing is known of the operation."""
    match operation:
        case "add":
            (a, b), (c, d) = ranges
            return a + c, b + d
        case "sub":
            (a, b), (c, d) = ranges
            return a - d, b - c
        case "mul":
            return _products(ranges)
        case "neg":
            return -ranges[0][1], -ranges[0][0]
        case "yuan":
            return ranges[0][0] * 100, ranges[0][1] * 100
        case "same":
            return ranges[0]
        case "div":
            return _quotients(ranges)
        case "mod":
            # INT_MIN % -1 is an error though its value would fit.
            return None if ranges[0][0] == INT_MIN else _magnitude(ranges[0])
        case "mul_bp" | "mul_bp_up":
            low, high = _products(ranges)
            return low // _BP_ONE - 1, high // _BP_ONE + 1
        case "ratio_bp":
            low, high = _quotients(ranges)
            return low * _BP_ONE, high * _BP_ONE
        case "least" | "greatest":
            pick = min if operation == "least" else max
            return pick(low for low, _ in ranges), pick(high for _, high in ranges)
        case "size":
            return _SIZE
        case _:
            return None


def _products(ranges: Sequence[Range]) -> Range:
    (a, b), (c, d) = ranges
    found = (a * c, a * d, b * c, b * d)
    return min(found), max(found)


def _quotients(ranges: Sequence[Range]) -> Range:
    """Return bounds of a / b, where b is known not to be zero and so has one sign."""
    low, high = _magnitude(ranges[0])
    return (low, high) if ranges[1][0] > 0 else (-high, -low)


def _magnitude(found: Range) -> Range:
    """Return bounds of what is nearer to zero than some value of the range, with its sign."""
    largest = max(abs(found[0]), abs(found[1]))
    return (0 if found[0] >= 0 else -largest), (0 if found[1] <= 0 else largest)
