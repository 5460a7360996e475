"""The syntax tree: what was written, before anything is known about it.

Every node knows the offset in its expression of the character an error about it should point at,
and its height (a leaf has height 0), so that no tree higher than the limit is ever built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ledger.rules.units import FactValue


@dataclass(frozen=True, slots=True)
class Literal:
    """A bool, an integer, a string or bytes."""

    offset: int
    height: int
    value: FactValue | bytes


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier; `is_root` when a leading dot keeps it from meaning a macro's variable."""

    offset: int
    height: int
    name: str
    is_root: bool


@dataclass(frozen=True, slots=True)
class Select:
    """operand.field, or has(operand.field) when `is_test`."""

    offset: int
    height: int
    operand: Syntax
    field: str
    is_test: bool


@dataclass(frozen=True, slots=True)
class Unary:
    """! or - before an operand."""

    offset: int
    height: int
    operator: str
    operand: Syntax


@dataclass(frozen=True, slots=True)
class Binary:
    """Any operator between two operands, and the index: operand[index] has the operator "[]"."""

    offset: int
    height: int
    operator: str
    left: Syntax
    right: Syntax


@dataclass(frozen=True, slots=True)
class Conditional:
    """condition ? chosen : otherwise."""

    offset: int
    height: int
    condition: Syntax
    chosen: Syntax
    otherwise: Syntax


@dataclass(frozen=True, slots=True)
class ListOf:
    """[items]."""

    offset: int
    height: int
    items: tuple[Syntax, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """{key: value}."""

    offset: int
    height: int
    entries: tuple[tuple[Syntax, Syntax], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """function(arguments), or target.function(arguments)."""

    offset: int
    height: int
    function: str
    target: Syntax | None
    arguments: tuple[Syntax, ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """subject.all(variable, body) and its kin; `map` may have a condition before its result."""

    offset: int
    height: int
    macro: str
    subject: Syntax
    variable: str
    bodies: tuple[Syntax, ...]


Syntax: TypeAlias = (
    Literal | Name | Select | Unary | Binary | Conditional | ListOf | MapOf | Call | Macro
)
