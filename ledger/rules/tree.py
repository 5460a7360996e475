"""The typed tree: what an accepted expression means, with names resolved and units erased.

Both evaluators, the cost bound and the interval analysis work on these few nodes. Everything
strict (operators, functions, conversions) is an `Apply` of a named operation; what is not strict
has a node of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.rules.types import Type


@dataclass(frozen=True, slots=True)
class Constant:
    """A value known at registration."""

    type: Type
    value: Any


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact handed in; error MISSING when absent. Range and enumeration are the declared ones."""

    type: Type
    name: str
    minimum: int | None = None
    maximum: int | None = None
    values: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class HasFact:
    """Whether a fact is present."""

    type: Type
    name: str


@dataclass(frozen=True, slots=True)
class Local:
    """The variable of an enclosing macro; `slot` counts the macros around it."""

    type: Type
    slot: int


@dataclass(frozen=True, slots=True)
class Apply:
    """A strict operation of `operations.OPERATIONS` on its arguments, from left to right."""

    type: Type
    operation: str
    arguments: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Logic:
    """&& (absorbing false) or || (absorbing true)."""

    type: Type
    absorbing: bool
    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Choose:
    """condition ? chosen : otherwise."""

    type: Type
    condition: Tree
    chosen: Tree
    otherwise: Tree


@dataclass(frozen=True, slots=True)
class Loop:
    """A macro over a list, or over a map's keys in their order.

    `condition` is None only for a plain map; `result` only map has.
    """

    type: Type
    macro: str
    subject: Tree
    slot: int
    condition: Tree | None
    result: Tree | None


Tree: TypeAlias = Constant | Fact | HasFact | Local | Apply | Logic | Choose | Loop


def children_of(tree: Tree) -> tuple[Tree, ...]:
    """Return the direct children of a node, in the order of evaluation."""
    match tree:
        case Apply():
            return tree.arguments
        case Logic():
            return tree.left, tree.right
        case Choose():
            return tree.condition, tree.chosen, tree.otherwise
        case Loop():
            bodies = (tree.condition, tree.result)
            return tree.subject, *(body for body in bodies if body is not None)
        case _:
            return ()


def facts_of(tree: Tree) -> frozenset[str]:
    """Return the names of all facts that the tree reads or asks for."""
    found: set[str] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, Fact | HasFact):
            found.add(node.name)
        pending.extend(children_of(node))
    return frozenset(found)
