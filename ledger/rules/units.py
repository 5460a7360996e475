"""Units: what a number of the rule language counts.

A unit is checked when a rule is registered and erased afterwards: at run time fen, bp, days, date,
count and score are integers, a flag is a bool and a text is a str (RULES.md, "Expressions").
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

FactValue: TypeAlias = int | bool | str

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1


class Unit(StrEnum):
    """The units an author may declare; `NUMBER` is that of a bare literal."""

    FEN = "fen"
    BP = "bp"
    DAYS = "days"
    DATE = "date"
    COUNT = "count"
    SCORE = "score"
    FLAG = "flag"
    TEXT = "text"
    NUMBER = "number"

    @property
    def is_plain(self) -> bool:
        """Whether values are mere numbers, that may multiply and divide a quantity."""
        return self in _PLAIN


_PLAIN = frozenset({Unit.COUNT, Unit.SCORE, Unit.NUMBER})
DECLARABLE = frozenset(Unit) - {Unit.NUMBER}


def is_of_unit(value: object, unit: Unit) -> bool:
    """Return whether `value` has the run-time type of `unit`, within 64 bits."""
    if unit is Unit.FLAG:
        return type(value) is bool
    if unit is Unit.TEXT:
        return type(value) is str
    return type(value) is int and INT_MIN <= value <= INT_MAX
