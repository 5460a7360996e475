"""A copy of a running world, so that schedules which begin alike share their beginning.

What cannot change is shared: numbers, bytes, text, paths, classes, and frozen dataclasses and
tuples, which hold only such things here. All else is copied, each object once, so that two names
of one table are two names of one copy; a function that has closed over something is copied with
it. `test_twins` holds a run from a copy against one from the start.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from pathlib import PosixPath
from types import BuiltinFunctionType, CellType, FunctionType, MethodType
from typing import Any

Memo = dict[int, Any]
_SHARED: set[type] = {
    int,
    bool,
    bytes,
    str,
    float,
    tuple,
    frozenset,
    type(None),
    type,
    PosixPath,
    BuiltinFunctionType,
}


def clone(value: Any, memo: Memo) -> Any:
    """Return a copy of `value` that shares nothing mutable with it; `memo` is of one copying."""
    kind = type(value)
    if kind in _SHARED:
        return value
    known = memo.get(id(value))
    if known is not None:
        return known
    copier = _COPIERS.get(kind)
    if copier is None:
        copier = _COPIERS[kind] = _choose(kind)
    return copier(value, memo)


def _choose(kind: type) -> Callable[[Any, Memo], Any]:
    parameters = getattr(kind, "__dataclass_params__", None)
    is_frozen = is_dataclass(kind) and parameters is not None and parameters.frozen
    if is_frozen or issubclass(kind, Enum | tuple | type):
        _SHARED.add(kind)
        return lambda value, memo: value
    names = tuple(
        name for base in reversed(kind.__mro__) for name in getattr(base, "__slots__", ())
    )
    if names:
        return lambda value, memo: _clone_slots(kind, names, value, memo)
    if not hasattr(kind, "__dict__") or kind.__module__ == "builtins":
        raise TypeError(f"cannot copy a {kind.__name__}")
    return lambda value, memo: _clone_object(kind, value, memo)


def _clone_slots(kind: type, names: tuple[str, ...], value: Any, memo: Memo) -> Any:
    copy = memo[id(value)] = kind.__new__(kind)
    for name in names:
        item = getattr(value, name)
        setattr(copy, name, item if type(item) in _SHARED else clone(item, memo))
    return copy


def _clone_object(kind: type, value: Any, memo: Memo) -> Any:
    copy = memo[id(value)] = kind.__new__(kind)
    table = copy.__dict__
    for name, item in value.__dict__.items():
        table[name] = item if type(item) in _SHARED else clone(item, memo)
    return copy


def _clone_dict(value: dict[Any, Any], memo: Memo) -> Any:
    copy = memo[id(value)] = {}
    for key, item in value.items():
        copy[key] = item if type(item) in _SHARED else clone(item, memo)
    return copy


def _clone_default_dict(value: defaultdict[Any, Any], memo: Memo) -> Any:
    copy: Any = defaultdict(value.default_factory)
    memo[id(value)] = copy
    for key, item in value.items():
        copy[key] = clone(item, memo)
    return copy


def _clone_counter(value: Counter[Any], memo: Memo) -> Any:
    copy = memo[id(value)] = value.copy()
    return copy


def _clone_list(value: list[Any], memo: Memo) -> Any:
    copy = memo[id(value)] = [
        item if type(item) in _SHARED else clone(item, memo) for item in value
    ]
    return copy


def _clone_set(value: set[Any], memo: Memo) -> Any:
    copy = memo[id(value)] = set(value)
    return copy


def _clone_deque(value: deque[Any], memo: Memo) -> Any:
    items = (item if type(item) in _SHARED else clone(item, memo) for item in value)
    copy = memo[id(value)] = deque(items, value.maxlen)
    return copy


def _clone_method(value: MethodType, memo: Memo) -> Any:
    return MethodType(value.__func__, clone(value.__self__, memo))


def _clone_function(value: FunctionType, memo: Memo) -> Any:
    if not value.__closure__:
        return value
    cells = tuple(CellType(clone(cell.cell_contents, memo)) for cell in value.__closure__)
    copy = FunctionType(
        value.__code__, value.__globals__, value.__name__, value.__defaults__, cells
    )
    memo[id(value)] = copy
    return copy


_COPIERS: dict[type, Callable[[Any, Memo], Any]] = {
    dict: _clone_dict,
    defaultdict: _clone_default_dict,
    Counter: _clone_counter,
    list: _clone_list,
    set: _clone_set,
    deque: _clone_deque,
    MethodType: _clone_method,
    FunctionType: _clone_function,
}
