"""The condition of a stream (`where` of a feature), asked of whole columns of records.

The checked tree that the ledger compiles for one record is walked once for all of them. What a
record does not have makes an error there, which && and || absorb as the language says, and a
condition that errs does not hold. Only the operations that conditions on records need are known:
comparisons, logic, `has`, whole-number arithmetic and tests of texts; another is refused.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from analytics.province.draws import Bools
from analytics.province.events import Column
from ledger.errors import Code, LocalError
from ledger.rules.operations import OPERATIONS
from ledger.rules.tree import Apply, Choose, Constant, Fact, HasFact, Logic, Tree

_WHOLE: Mapping[str, Callable[..., Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "not": np.logical_not,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "yuan": lambda number: number * 100,
    "same": lambda value: value,
}


class Columns(Protocol):
    """What has columns by name."""

    def column(self, name: str) -> Column:
        """Return the values of a field."""


class _Value(NamedTuple):
    """A value for each record, or one for all; `error` where it has none."""

    value: Any
    error: Any = False
    vocabulary: tuple[str, ...] | None = None


def find_holding(tree: Tree, columns: Columns) -> Bools:
    """Return for which records the condition holds, without an axis if it is alike for all.

    Raises `LocalError` 8003 for an unknown operation.
    """
    found = _evaluate(tree, columns)
    value: Bools = np.asarray(found.value)
    return value if found.error is False else value & ~np.asarray(found.error)


def _evaluate(tree: Tree, columns: Columns) -> _Value:
    match tree:
        case Constant():
            return _Value(tree.value)
        case Fact():
            column = columns.column(tree.name)
            error = False if column.present is None else ~column.present
            return _Value(column.values, error, column.vocabulary)
        case HasFact():
            present = columns.column(tree.name).present
            return _Value(True if present is None else present)
        case Apply():
            return _apply(tree.operation, [_evaluate(item, columns) for item in tree.arguments])
        case Logic():
            sides = _evaluate(tree.left, columns), _evaluate(tree.right, columns)
            return _join(tree.absorbing, *sides)
        case Choose():
            condition, chosen, otherwise = (
                _evaluate(item, columns) for item in (tree.condition, tree.chosen, tree.otherwise)
            )
            error = np.where(condition.value, chosen.error, otherwise.error)
            value = np.where(condition.value, chosen.value, otherwise.value)
            return _Value(value, np.logical_or(condition.error, error))
        case _:
            raise _unknown(type(tree).__name__)


def _join(absorbing: bool, left: _Value, right: _Value) -> _Value:
    """Join two sides of || (absorbing true) or && (absorbing false)."""
    if left.error is False and right.error is False:
        join = np.logical_or if absorbing else np.logical_and
        return _Value(join(left.value, right.value))
    absorbed = np.logical_or(
        np.logical_and(np.equal(left.value, absorbing), np.logical_not(left.error)),
        np.logical_and(np.equal(right.value, absorbing), np.logical_not(right.error)),
    )
    error = np.logical_and(np.logical_or(left.error, right.error), np.logical_not(absorbed))
    return _Value(np.where(absorbed, absorbing, not absorbing), error)


def _apply(operation: str, parts: list[_Value]) -> _Value:
    error: Any = False
    for part in parts:
        error = _either(error, part.error)
    texts = [part for part in parts if part.vocabulary is not None]
    if not texts:
        if operation in _WHOLE:
            return _Value(_WHOLE[operation](*[part.value for part in parts]), error)
        if all(np.ndim(part.value) == 0 or isinstance(part.value, tuple) for part in parts):
            return _Value(OPERATIONS[operation](*[part.value for part in parts]), error)
        raise _unknown(operation)
    if len(texts) > 1:
        raise _unknown(f"{operation} of two texts of a record")
    # One text of a record and constants: asked of each text there is.
    vocabulary = texts[0].vocabulary or ()
    answers = [
        OPERATIONS[operation](*[text if part is texts[0] else part.value for part in parts])
        for text in vocabulary
    ]
    return _Value(np.array(answers)[texts[0].value], error)


def _either(left: Any, right: Any) -> Any:
    """Join errors; most often there are none."""
    if left is False:
        return right
    return left if right is False else np.logical_or(left, right)


def _unknown(what: str) -> LocalError:
    return LocalError(Code.INPUT_MAPPING, f"a condition over columns cannot use {what}")
