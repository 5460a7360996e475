"""What the SDK's types are made of: acts to send, questions to ask, and how answers are read.

An `Act[A]` is the body of one transaction kind and an `Ask[A]` the parameters of one query, each a
frozen dataclass whose fields are the fields of the body; one that is None is left out. `A` is what
comes back, and `read` makes it of a node's answer by the type hints of its fields: a field that is
missing or of another type is refused (5002), one that this SDK does not know is passed over, so
that a client keeps working when nodes learn to say more.

Units are in the names: `_fen` 1/100 CNY, `_bp` basis points, `_ms` milliseconds since 1970 UTC,
`_day` days since 1970-01-01 (with `from_day`, `to_day` both included).
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from ledger.errors import Code, LocalError, Refused

A = TypeVar("A")


class _Message(Generic[A]):
    """A dataclass whose fields are those of a body or of parameters."""

    __slots__ = ()

    def body(self) -> dict[str, Any]:
        """Return the fields that are not None, by name."""
        named = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in named.items() if value is not None}


class Act(_Message[A]):
    """One transaction to be; `kind` is its kind, A what its result says."""

    __slots__ = ()
    kind: ClassVar[str]

    def attachments(self) -> tuple[bytes, ...]:
        """Return what travels beside the signed bytes."""
        return ()


class Ask(_Message[A]):
    """One question to be; `name` is the query's name, A what it answers."""

    __slots__ = ()
    name: ClassVar[str]


def answer_type(message: type[_Message[Any]]) -> Any:
    """Return the A of a class of acts or questions; raise `LocalError` (8004) without one."""
    for owner in message.__mro__:
        for base in vars(owner).get("__orig_bases__", ()):
            if get_origin(base) in (Act, Ask):
                return get_args(base)[0]
    raise LocalError(Code.INPUT_USAGE, f"{message.__name__} does not say what it is answered with")


def read(kind: Any, value: Any, where: str = "answer") -> Any:
    """Return `value` as the type hint `kind` says; raise `Refused` (5002) where it is another."""
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, where)
    if origin is tuple:
        return _read_tuple(get_args(kind), value, where)
    if origin is not None and issubclass(origin, Mapping):
        _check(isinstance(value, Mapping), "map", value, where)
        inner = get_args(kind)[1]
        return {name: read(inner, item, f"{where}.{name}") for name, item in value.items()}
    if is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    _check(type(value) is kind, kind.__name__, value, where)
    return value


def _read_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    plain = [kind for kind in kinds if kind is not type(None)]
    for kind in plain[:-1]:
        if type(value) is kind:
            return value
    return read(plain[-1], value, where)


def _read_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    _check(type(value) is tuple, "list", value, where)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(read(kinds[0], item, f"{where}[{n}]") for n, item in enumerate(value))
    _check(len(value) == len(kinds), f"list of {len(kinds)}", value, where)
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(read(kind, item, f"{where}[{n}]") for n, (kind, item) in pairs)


def _read_dataclass(kind: Any, value: Any, where: str) -> Any:
    _check(isinstance(value, Mapping), "map", value, where)
    hints = _hints(kind)
    given: dict[str, Any] = {}
    for item in fields(kind):
        if item.name in value:
            given[item.name] = read(hints[item.name], value[item.name], f"{where}.{item.name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise Refused(Code.FRAME_MALFORMED, f"{where} has no field {item.name}")
    return kind(**given)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _check(is_right: bool, want: str, value: Any, where: str) -> None:
    if not is_right:
        got = type(value).__name__
        raise Refused(Code.FRAME_MALFORMED, f"{where}: got {got}, want {want}")
