"""The first evaluator: a tree of closures, one for each node.

It handles everything, missing facts included, and is what runs when a fact is absent; when all
are there the generated code of `codegen` runs instead, and the tests hold the two against each
other. Macro variables live in `frame`, a list with one slot for each macro around a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.limits import MAX_HEIGHT
from ledger.rules.operations import OPERATIONS
from ledger.rules.tree import (
    Apply,
    Choose,
    Constant,
    Fact,
    HasFact,
    Local,
    Logic,
    Loop,
    Tree,
)
from ledger.rules.types import Kind

Closure: TypeAlias = Callable[[Mapping[str, Any], list[Any]], Any]


def build_evaluator(tree: Tree) -> Callable[[Mapping[str, Any]], Any]:
    """Return the function from facts to the value of `tree`; it raises `EvalError`."""
    closure = _build(tree)

    def evaluate(facts: Mapping[str, Any]) -> Any:
        return closure(facts, [None] * MAX_HEIGHT)

    return evaluate


def _build(tree: Tree) -> Closure:
    match tree:
        case Constant():
            value = tree.value
            return lambda _facts, _frame: value
        case Fact():
            return _build_fact(tree.name)
        case HasFact():
            name = tree.name
            return lambda facts, _frame: name in facts
        case Local():
            slot = tree.slot
            return lambda _facts, frame: frame[slot]
        case Apply():
            return _build_operation(tree)
        case Logic():
            return _build_logic(tree.absorbing, _build(tree.left), _build(tree.right))
        case Choose():
            condition, chosen = _build(tree.condition), _build(tree.chosen)
            otherwise = _build(tree.otherwise)
            return lambda facts, frame: (
                chosen(facts, frame) if condition(facts, frame) else otherwise(facts, frame)
            )
        case Loop():
            return _build_loop(tree)


def _build_fact(name: str) -> Closure:
    def read(facts: Mapping[str, Any], _frame: list[Any]) -> Any:
        if name in facts:
            return facts[name]
        raise EvalError(ErrorKind.MISSING, name)

    return read


def _build_operation(tree: Apply) -> Closure:
    function = OPERATIONS[tree.operation]
    arguments = [_build(argument) for argument in tree.arguments]
    if len(arguments) == 1:
        (only,) = arguments
        return lambda facts, frame: function(only(facts, frame))
    if len(arguments) == 2:
        left, right = arguments
        return lambda facts, frame: function(left(facts, frame), right(facts, frame))
    return lambda facts, frame: function(*[argument(facts, frame) for argument in arguments])


def _build_logic(absorbing: bool, left: Closure, right: Closure) -> Closure:
    def evaluate(facts: Mapping[str, Any], frame: list[Any]) -> bool:
        found: bool
        try:
            found = left(facts, frame)
        except EvalError as error:
            first = error
        else:
            if found is not absorbing:
                found = right(facts, frame)
            return found
        try:
            found = right(facts, frame)
        except EvalError:
            raise first from None
        if found is not absorbing:
            raise first
        return found

    return evaluate


def _build_loop(tree: Loop) -> Closure:
    subject = _build(tree.subject)
    condition = _build(tree.condition) if tree.condition is not None else None
    result = _build(tree.result) if tree.result is not None else None
    if tree.subject.type.kind is Kind.MAP:
        keys = subject

        def subject(facts: Mapping[str, Any], frame: list[Any]) -> Any:
            return sorted(keys(facts, frame))

    if tree.macro in ("all", "exists") and condition is not None:
        return _build_quantifier(tree.macro == "exists", tree.slot, subject, condition)
    selected = _build_selection(tree.slot, subject, condition, result)
    if tree.macro == "exists_one":
        return lambda facts, frame: sum(1 for _ in selected(facts, frame)) == 1
    return lambda facts, frame: tuple(selected(facts, frame))


def _build_quantifier(absorbing: bool, slot: int, subject: Closure, condition: Closure) -> Closure:
    def evaluate(facts: Mapping[str, Any], frame: list[Any]) -> bool:
        first: EvalError | None = None
        for item in subject(facts, frame):
            frame[slot] = item
            try:
                found: bool = condition(facts, frame)
            except EvalError as error:
                first = first or error
                continue
            if found is absorbing:
                return found
        if first is not None:
            raise first
        return not absorbing

    return evaluate


def _build_selection(
    slot: int, subject: Closure, condition: Closure | None, result: Closure | None
) -> Closure:
    def select(facts: Mapping[str, Any], frame: list[Any]) -> Iterable[Any]:
        for item in subject(facts, frame):
            frame[slot] = item
            if condition is None or condition(facts, frame):
                yield item if result is None else result(facts, frame)

    return select
