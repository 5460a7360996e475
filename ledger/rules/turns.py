"""Turns: where a condition changes its mind while one number moves and all else stays.

A comparison of sums, products, shares, minima and maxima can be solved for a number that stands in
it once on one side: `mul_bp(sales, 800) >= x` turns where sales reach `x` × 10000 / 800, rounded
up. `find_turns` makes a function from facts to all such numbers for one tree and one fact. Between
two neighbouring turns the tree has one value, so that a search need look only at them.

What is not understood (a macro, a conversion, the fact on both sides) has no such function, and is
sought by trying. The functions hold as long as nothing overflows: a caller believes them only where
the tree has a value as things are, and tries what they propose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, TypeAlias

from ledger.rules.closures import build_evaluator
from ledger.rules.tree import Apply, Choose, Fact, HasFact, Logic, Tree, children_of

Facts: TypeAlias = Mapping[str, Any]
# From facts to the least numbers from which on the tree may have another value.
Turns: TypeAlias = Callable[[Facts], list[int]]
# The same of "the tree is at least so much".
_Levels: TypeAlias = Callable[[Facts, int], list[int]]

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_BP_ONE = 10_000


def find_turns(tree: Tree, name: str) -> Turns | None:
    """Return where a boolean tree turns while the fact `name` moves, None if that is not known.

    The function raises `EvalError` where what the fact is compared with has no value.
    """
    if not reads(tree, name) or isinstance(tree, HasFact):
        return _nowhere
    if isinstance(tree, Apply) and tree.operation in _COMPARISONS:
        left, right = tree.arguments
        return _turns_of_comparison(left, right, name)
    if isinstance(tree, Logic | Choose) or (isinstance(tree, Apply) and tree.operation == "not"):
        found = [find_turns(child, name) for child in children_of(tree)]
        known = [item for item in found if item is not None]
        if len(known) == len(found):
            return lambda facts: list(chain.from_iterable(item(facts) for item in known))
    return None


def reads(tree: Tree, name: str) -> bool:
    """Return whether a tree reads a fact or asks for it."""
    if isinstance(tree, Fact | HasFact):
        return tree.name == name
    return any(reads(child, name) for child in children_of(tree))


def _nowhere(facts: Facts) -> list[int]:
    del facts
    return []


def _turns_of_comparison(left: Tree, right: Tree, name: str) -> Turns | None:
    if reads(left, name):
        left, right = right, left
    if reads(left, name):
        return None
    levels = _levels_of(right, name)
    if levels is None:
        return None
    evaluate = build_evaluator(left)

    def turns(facts: Facts) -> list[int]:
        bound = evaluate(facts)
        return [*levels(facts, bound), *levels(facts, bound + 1)]

    return turns


def _levels_of(tree: Tree, name: str) -> _Levels | None:
    """Return where a number reaches a bound while the fact moves."""
    if isinstance(tree, Fact):
        return _reach_alone if tree.name == name else _reach_nowhere
    if not reads(tree, name):
        return _reach_nowhere
    if isinstance(tree, Choose):
        return _levels_of_choice(tree, name)
    if not isinstance(tree, Apply):
        return None
    match tree.operation:
        case "least" | "greatest":
            return _together([_levels_of(item, name) for item in tree.arguments])
        case "same":
            return _levels_of(tree.arguments[0], name)
        case "neg":
            inner = _levels_of(tree.arguments[0], name)
            return None if inner is None else lambda facts, bound: inner(facts, 1 - bound)
        case "add" | "sub":
            return _levels_of_sum(tree, name)
        case "mul" | "mul_bp" | "div" | "ratio_bp" | "yuan":
            return _levels_of_product(tree, name)
        case _:
            return None


def _reach_alone(facts: Facts, bound: int) -> list[int]:
    del facts
    return [bound]


def _reach_nowhere(facts: Facts, bound: int) -> list[int]:
    del facts, bound
    return []


def _together(parts: list[_Levels | None]) -> _Levels | None:
    known = [item for item in parts if item is not None]
    if len(known) < len(parts):
        return None
    return lambda facts, bound: list(chain.from_iterable(item(facts, bound) for item in known))


def _levels_of_choice(tree: Choose, name: str) -> _Levels | None:
    turns = find_turns(tree.condition, name)
    branches = _together([_levels_of(tree.chosen, name), _levels_of(tree.otherwise, name)])
    if turns is None or branches is None:
        return None
    return lambda facts, bound: [*turns(facts), *branches(facts, bound)]


def _levels_of_sum(tree: Apply, name: str) -> _Levels | None:
    left, right = tree.arguments
    is_right = reads(right, name)
    if is_right and reads(left, name):
        return None
    inner = _levels_of(right if is_right else left, name)
    if inner is None:
        return None
    evaluate = build_evaluator(left if is_right else right)
    if tree.operation == "add":
        return lambda facts, bound: inner(facts, bound - evaluate(facts))
    if is_right:  # a - x >= b is x < a - b + 1
        return lambda facts, bound: inner(facts, evaluate(facts) - bound + 1)
    return lambda facts, bound: inner(facts, bound + evaluate(facts))


def _levels_of_product(tree: Apply, name: str) -> _Levels | None:
    """Return where x × k / d reaches a bound, for k and d that are above zero and do not move."""
    left, *others = tree.arguments
    factor: Tree | None = others[0] if others else None
    if factor is not None and reads(factor, name):
        if tree.operation not in ("mul", "mul_bp") or reads(left, name):
            return None
        left, factor = factor, left
    inner = _levels_of(left, name)
    if inner is None:
        return None
    operation = tree.operation
    evaluate = None if factor is None else build_evaluator(factor)

    def levels(facts: Facts, bound: int) -> list[int]:
        value = 1 if evaluate is None else evaluate(facts)
        if value == 0:
            return []
        sign = -1 if value < 0 else 1
        scale, divisor = _SCALES[operation](abs(value))
        # Of a negative factor the product falls: it reaches the bound below a number.
        wanted = bound if sign > 0 else 1 - bound
        least = wanted if divisor == 1 else _before_truncation(wanted, divisor)
        return inner(facts, -(-least // scale))

    return levels


_SCALES: Mapping[str, Callable[[int], tuple[int, int]]] = {
    "mul": lambda value: (value, 1),
    "mul_bp": lambda value: (value, _BP_ONE),
    "div": lambda value: (1, value),
    "ratio_bp": lambda value: (_BP_ONE, value),
    "yuan": lambda value: (100, value),
}


def _before_truncation(bound: int, divisor: int) -> int:
    """Return the least number that is at least `bound` once divided and cut toward zero."""
    return bound * divisor if bound > 0 else (bound - 1) * divisor + 1
