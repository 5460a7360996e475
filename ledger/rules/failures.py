"""Errors of evaluation: a kind and nothing else.

An expression that was accepted can fail at run time only in the ways listed here. The kind is what
a decision records: no library's text, no position, so that every replica records the same. The
leftmost error of an expression wins; `&&`, `||` and the macros absorb errors as CEL says.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    """Why an expression has no value. The names are recorded in decisions and never change."""

    MISSING = "MISSING"  # a fact nobody attested, or a stale one
    OVERFLOW = "OVERFLOW"  # outside 64 bits, or outside the range of timestamps and durations
    DIV_ZERO = "DIV_ZERO"
    RANGE = "RANGE"  # an index, a window or a value outside what was declared
    NO_KEY = "NO_KEY"
    REPEATED_KEY = "REPEATED_KEY"
    BAD_VALUE = "BAD_VALUE"  # text that cannot be converted


class EvalError(Exception):
    """An expression has no value; `kind` says why, `name` the missing fact where there is one."""

    def __init__(self, kind: ErrorKind, name: str = "") -> None:
        super().__init__(kind, name)
        self.kind = kind
        self.name = name
