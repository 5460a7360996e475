"""The worst-case cost of an expression, known when it is registered (RULES.md, "Expressions").

Every node costs one unit; what works on text or on lists costs more by the greatest size that its
arguments can have, and a macro costs its body once for every possible item. Sizes follow from
literals and from the limits on facts, so the bound holds for all facts, and evaluation is charged
the whole of it before it starts: nothing can run out half-way.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.rules.limits import MAX_LIST_ITEMS, MAX_TEXT_CHARACTERS
from ledger.rules.tree import Apply, Choose, Constant, Fact, Local, Logic, Loop, Tree
from ledger.rules.types import Kind, Type

_ELEMENTS_A_UNIT = 16
_SCALAR_KINDS = frozenset({Kind.BOOL, Kind.INT, Kind.TIMESTAMP, Kind.DURATION, Kind.ANY})
_CONVERTED_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class _Shape:
    """How many elements a value can have, and the total of elements nested in it."""

    length: int
    weight: int
    item: _Shape | None = None


_ONE = _Shape(1, 1)


def compute_cost(tree: Tree) -> int:
    """Return the worst-case units of evaluating `tree`."""
    return _measure(tree, ())[0]


def _measure(tree: Tree, scope: tuple[_Shape, ...]) -> tuple[int, _Shape]:
    """Return the units and the shape of a node; `scope` holds the shapes of macro variables."""
    match tree:
        case Constant():
            return 1, _shape_of_value(tree.value)
        case Fact():
            return 1, _shape_of_type(tree.type)
        case Local():
            return 1, scope[tree.slot]
        case Logic():
            left, right = _measure(tree.left, scope)[0], _measure(tree.right, scope)[0]
            return left + right + 1, _ONE
        case Choose():
            return _measure_choice(tree, scope)
        case Loop():
            return _measure_loop(tree, scope)
        case Apply():
            return _measure_operation(tree, scope)
        case _:
            return 1, _ONE


def _measure_choice(tree: Choose, scope: tuple[_Shape, ...]) -> tuple[int, _Shape]:
    condition, _ = _measure(tree.condition, scope)
    chosen, chosen_shape = _measure(tree.chosen, scope)
    otherwise, otherwise_shape = _measure(tree.otherwise, scope)
    return condition + max(chosen, otherwise) + 1, _either(chosen_shape, otherwise_shape)


def _measure_loop(tree: Loop, scope: tuple[_Shape, ...]) -> tuple[int, _Shape]:
    units, subject = _measure(tree.subject, scope)
    item = subject.item or _ONE
    inner = (*scope[: tree.slot], item)
    body, result = 1, item
    if tree.condition is not None:
        body += _measure(tree.condition, inner)[0]
    if tree.result is not None:
        more, result = _measure(tree.result, inner)
        body += more
    shape = _ONE
    if tree.macro in ("map", "filter"):
        shape = _Shape(subject.length, subject.length * result.weight, result)
    return units + subject.length * body + 1, shape


def _measure_operation(tree: Apply, scope: tuple[_Shape, ...]) -> tuple[int, _Shape]:
    measured = [_measure(argument, scope) for argument in tree.arguments]
    units = sum(cost for cost, _ in measured) + 1
    shapes = [shape for _, shape in measured]
    total = sum(shape.weight for shape in shapes)
    if tree.operation == "size":
        return units, _ONE
    if all(argument.type.kind in _SCALAR_KINDS for argument in tree.arguments):
        return units, _shape_of_result(tree, shapes)
    return units + total // _ELEMENTS_A_UNIT, _shape_of_result(tree, shapes)


def _shape_of_result(tree: Apply, shapes: list[_Shape]) -> _Shape:
    if tree.type.kind in _SCALAR_KINDS:
        return _ONE
    if tree.operation in ("make_list", "make_map"):
        return _shape_of_container(tree.operation, shapes)
    if tree.operation == "concat":
        left, right = shapes
        item = _either(left.item, right.item) if left.item and right.item else None
        item = item or left.item or right.item
        return _Shape(left.length + right.length, left.weight + right.weight, item)
    if tree.operation == "same":
        return shapes[0]
    if tree.operation in ("item", "value"):
        return _Shape(shapes[0].weight, shapes[0].weight, shapes[0].item)
    # A conversion: UTF-8 has at most four bytes a character.
    length = 4 * shapes[0].length + _CONVERTED_CHARACTERS
    return _Shape(length, length)


def _shape_of_container(operation: str, shapes: list[_Shape]) -> _Shape:
    items = shapes[::2] if operation == "make_map" else shapes
    item: _Shape | None = None
    for shape in items:
        item = shape if item is None else _either(item, shape)
    return _Shape(len(items), sum(shape.weight for shape in shapes), item)


def _either(left: _Shape, right: _Shape) -> _Shape:
    item = left.item or right.item
    if left.item is not None and right.item is not None:
        item = _either(left.item, right.item)
    return _Shape(max(left.length, right.length), max(left.weight, right.weight), item)


def _shape_of_value(value: object) -> _Shape:
    if isinstance(value, str | bytes):
        return _Shape(len(value), max(1, len(value)))
    if isinstance(value, tuple):
        return _shape_of_container("make_list", [_shape_of_value(item) for item in value])
    return _ONE


def _shape_of_type(kind: Type) -> _Shape:
    if kind.kind in (Kind.STRING, Kind.BYTES):
        return _Shape(MAX_TEXT_CHARACTERS, MAX_TEXT_CHARACTERS)
    if kind.inner:
        item = _shape_of_type(kind.inner[0])
        weight = sum(_shape_of_type(inner).weight for inner in kind.inner)
        return _Shape(MAX_LIST_ITEMS, MAX_LIST_ITEMS * weight, item)
    return _ONE
