"""Static types: CEL's, with a unit on every integer (RULES.md, "Expressions").

`ANY` stands for what an empty list or map holds: it agrees with everything, and no value ever has
it, so nothing dynamic enters by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ledger.rules.units import FactValue, Unit


class Kind(StrEnum):
    """The kinds of types; there is no float, no unsigned integer and no dynamic type."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    BYTES = "bytes"
    LIST = "list"
    MAP = "map"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Type:
    """A kind, what a list or map holds, and the unit of an integer."""

    kind: Kind
    inner: tuple[Type, ...] = ()
    unit: Unit | None = None

    def __str__(self) -> str:
        if self.inner:
            return f"{self.kind}({', '.join(str(item) for item in self.inner)})"
        return str(self.kind)


BOOL = Type(Kind.BOOL)
STRING = Type(Kind.STRING)
BYTES = Type(Kind.BYTES)
TIMESTAMP = Type(Kind.TIMESTAMP)
DURATION = Type(Kind.DURATION)
ANY = Type(Kind.ANY)
_INTS: dict[Unit, Type] = {
    unit: Type(Kind.INT, (), unit) for unit in Unit if unit not in (Unit.FLAG, Unit.TEXT)
}
NUMBER = _INTS[Unit.NUMBER]

_WORDS = {
    Unit.FEN: "money (fen)",
    Unit.BP: "a rate (basis points)",
    Unit.DAYS: "a number of days",
    Unit.DATE: "a date",
    Unit.COUNT: "a count",
    Unit.SCORE: "a score",
    Unit.NUMBER: "a bare number",
}
_KIND_WORDS = {
    Kind.BOOL: "a flag (true or false)",
    Kind.STRING: "text",
    Kind.ANY: "an element of an empty list",
}


def int_of(unit: Unit) -> Type:
    """Return the integer type of a unit."""
    return _INTS[unit]


def type_of_unit(unit: Unit) -> Type:
    """Return the type of a feature declared with `unit`."""
    if unit is Unit.FLAG:
        return BOOL
    return STRING if unit is Unit.TEXT else _INTS[unit]


def list_of(item: Type) -> Type:
    """Return the type of a list."""
    return Type(Kind.LIST, (item,))


def map_of(key: Type, value: Type) -> Type:
    """Return the type of a map."""
    return Type(Kind.MAP, (key, value))


def describe(kind: Type) -> str:
    """Return the words for a type in a sentence to an author."""
    if kind.unit is not None:
        return _WORDS[kind.unit]
    return _KIND_WORDS.get(kind.kind, f"a {kind}")


@dataclass(frozen=True, slots=True)
class Variable:
    """A name an expression may use: its type, its declared range, its enumeration or its value.

    A parameter has a `constant`: it is no input, and nothing of it is left at run time. `fact` is
    the key under which the value is handed in, where it is not the name itself.
    """

    type: Type
    minimum: int | None = None
    maximum: int | None = None
    values: frozenset[str] | None = None
    constant: FactValue | None = None
    fact: str = ""
