"""What a piece of a rule has become: SQL for its value, and for the error that it may have.

`Value.sql` is NULL exactly where evaluation raises. `kinds` are the errors that are possible there;
with one of them nothing else need be computed, with several `kind` gives the code of the leftmost.
A list exists only while a rule is compiled: every list of the language is written out in the rule,
so macros over it are unrolled. Its elements may or may not be `present` once it was filtered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from analytics.sql import dialect
from analytics.sql.nodes import Graph, Node
from ledger.rules.failures import ErrorKind
from ledger.rules.intervals import FULL, Range
from ledger.rules.types import Kind
from ledger.rules.units import FactValue


class Fault(IntEnum):
    """The number that stands for an `ErrorKind` in columns; the numbers never change."""

    MISSING = 2
    OVERFLOW = 3
    DIV_ZERO = 4
    RANGE = 5
    NO_KEY = 6
    REPEATED_KEY = 7
    BAD_VALUE = 8

    @property
    def error(self) -> ErrorKind:
        """The kind as a decision records it."""
        return ErrorKind(self.name)


NEVER: frozenset[Fault] = frozenset()
MISSING = frozenset({Fault.MISSING})


@dataclass(frozen=True, slots=True)
class Value:
    """A bool, an integer or a text; `range` of an integer that is not NULL."""

    sql: Node
    kinds: frozenset[Fault] = NEVER
    kind: Node | None = None
    range: Range = FULL


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a list; `present` (None: always) is never NULL where the list is sound."""

    present: Node | None
    value: Value


@dataclass(frozen=True, slots=True)
class Items:
    """A list: `broken` is the code of the error that the whole of it has, NULL where none."""

    elements: tuple[Element, ...]
    kinds: frozenset[Fault] = NEVER
    broken: Node | None = None


Operand: TypeAlias = Value | Items


class Unsupported(Exception):
    """The rule uses what has no SQL here; `what` names it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the nodes that all parts of the compiler need."""

    graph: Graph

    def constant(self, value: FactValue) -> Value:
        """Return a value known now."""
        is_int = type(value) is int
        return Value(
            self.graph.leaf(dialect.literal(value)),
            range=(int(value), int(value)) if is_int else FULL,
        )

    def never(self, fault: Fault, kind: Kind) -> Value:
        """Return what always raises `fault`."""
        if kind not in dialect.TYPES:
            raise Unsupported(f"a {kind}")
        return Value(self.graph.leaf(dialect.null(kind)), frozenset({fault}))

    def code(self, fault: Fault) -> Node:
        """Return the literal of a fault."""
        return self.graph.leaf(str(int(fault)))

    def fault_of(self, operand: Operand) -> Node | None:
        """Return the code of the operand's error, NULL where it has none; None if it never has."""
        if not operand.kinds:
            return None
        if isinstance(operand, Items):
            return operand.broken
        return self.graph.make("CASE WHEN {0} IS NULL THEN {1} END", operand.sql, self.why(operand))

    def why(self, value: Value) -> Node:
        """Return the code of the error that `value` has where it is NULL."""
        if value.kind is not None:
            return value.kind
        (fault,) = value.kinds
        return self.code(fault)

    def first_fault(self, operands: Sequence[Operand]) -> Node | None:
        """Return the code of the leftmost error of operands in order of evaluation, else NULL."""
        faults = [fault for fault in map(self.fault_of, operands) if fault is not None]
        return self.coalesce(faults)

    def coalesce(self, faults: Sequence[Node]) -> Node | None:
        """Return the first that is not NULL."""
        if len(faults) < 2:
            return faults[0] if faults else None
        holes = ", ".join(f"{{{index}}}" for index in range(len(faults)))
        return self.graph.make(f"COALESCE({holes})", *faults)

    def strict(
        self,
        sql: Node,
        operands: Sequence[Operand],
        own: frozenset[Fault] = NEVER,
        own_kind: Node | None = None,
        found: Range = FULL,
    ) -> Value:
        """Return the value of a strict operation: `sql`, NULL where an operand is or by itself.

        `own` are the errors of the operation on sound operands, `own_kind` says which.
        """
        kinds = own.union(*(operand.kinds for operand in operands))
        if len(kinds) < 2:
            return Value(sql, kinds, None, found)
        faults = [fault for fault in map(self.fault_of, operands) if fault is not None]
        if own:
            faults.append(own_kind or self.code(next(iter(own))))
        return Value(sql, kinds, self.coalesce(faults), found)
