"""The functions of the language, by name and argument types.

A method has a leading dot in its name here and its target as the first argument. `resolve` gives
the operation that the evaluators run and the type of its result; conversions and the methods of
times come from tables, the functions on quantities know their units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ledger.errors import Code
from ledger.rules import unit_rules
from ledger.rules.times import DURATION_FIELDS, TIMESTAMP_FIELDS
from ledger.rules.types import (
    BOOL,
    BYTES,
    DURATION,
    NUMBER,
    STRING,
    TIMESTAMP,
    Kind,
    Type,
    int_of,
)
from ledger.rules.units import Unit

MAX_ARGUMENTS = 16
FORBIDDEN = {
    "double": "rules count in whole numbers",
    "uint": "write int()",
    "dyn": "every value has a type",
    "type": "every value has a type",
    "matches": "regular expressions have no bound; use contains, startsWith or endsWith",
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """The operation to run and the type that comes of it."""

    operation: str
    type: Type


class Unresolved(Exception):
    """No such function of these arguments; `argument` is the index of the one to blame, or −1."""

    def __init__(self, code: Code, message: str, argument: int) -> None:
        super().__init__(code, message, argument)
        self.code = code
        self.message = message
        self.argument = argument


_FEN = int_of(Unit.FEN)
_BP = int_of(Unit.BP)
_DAYS = int_of(Unit.DAYS)

# (function, kind of the argument) → (operation, type of the result)
_CONVERSIONS: dict[tuple[str, Kind], tuple[str, Type]] = {
    ("int", Kind.STRING): ("int(string)", NUMBER),
    ("int", Kind.TIMESTAMP): ("int(timestamp)", NUMBER),
    ("string", Kind.STRING): ("same", STRING),
    ("string", Kind.INT): ("string(int)", STRING),
    ("string", Kind.BOOL): ("string(bool)", STRING),
    ("string", Kind.BYTES): ("string(bytes)", STRING),
    ("string", Kind.TIMESTAMP): ("string(timestamp)", STRING),
    ("string", Kind.DURATION): ("string(duration)", STRING),
    ("bytes", Kind.BYTES): ("same", BYTES),
    ("bytes", Kind.STRING): ("bytes(string)", BYTES),
    ("bool", Kind.BOOL): ("same", BOOL),
    ("bool", Kind.STRING): ("bool(string)", BOOL),
    ("timestamp", Kind.TIMESTAMP): ("same", TIMESTAMP),
    ("timestamp", Kind.STRING): ("timestamp(string)", TIMESTAMP),
    ("timestamp", Kind.INT): ("timestamp(int)", TIMESTAMP),
    ("duration", Kind.DURATION): ("same", DURATION),
    ("duration", Kind.STRING): ("duration(string)", DURATION),
}
_SIZED = frozenset({Kind.STRING, Kind.BYTES, Kind.LIST, Kind.MAP, Kind.ANY})


def is_known(name: str) -> bool:
    """Return whether there is a function of this name."""
    return name in _RESOLVERS


def known_names() -> list[str]:
    """Return all names, for suggestions."""
    return [name.lstrip(".") for name in _RESOLVERS]


def resolve(name: str, arguments: Sequence[Type]) -> Resolved:
    """Return what `name` does with arguments of these types; raise `Unresolved`."""
    if len(arguments) > MAX_ARGUMENTS:
        message = f"{len(arguments)} arguments, want at most {MAX_ARGUMENTS}"
        raise Unresolved(Code.RULE_LIMIT, message, -1)
    return _RESOLVERS[name](name.lstrip("."), arguments)


def _count(name: str, arguments: Sequence[Type], *want: int) -> None:
    """Refuse a wrong number of arguments; a method's target does not count for the author."""
    if len(arguments) not in want:
        shown = " or ".join(str(number) for number in want)
        noun = "argument" if want == (1,) else "arguments"
        message = f"{name}() wants {shown} {noun}"
        if name in ("yuan", "days") and len(arguments) > 1:
            message += ", a number without commas"
        raise Unresolved(Code.RULE_TYPE, message, -1)


def _convert(name: str, arguments: Sequence[Type]) -> Resolved:
    _count(name, arguments, 1)
    (given,) = arguments
    if name == "int" and given.kind is Kind.INT:
        return Resolved("same", given)
    found = _CONVERSIONS.get((name, given.kind))
    if found is None:
        raise Unresolved(Code.RULE_TYPE, f"{name}() cannot convert this", 0)
    if name == "timestamp" and given.kind is Kind.INT and given != NUMBER:
        raise Unresolved(Code.RULE_UNIT, "timestamp() wants seconds as a bare number", 0)
    return Resolved(*found)


def _size(name: str, arguments: Sequence[Type]) -> Resolved:
    _count(name, arguments, 1)
    if arguments[0].kind not in _SIZED:
        raise Unresolved(Code.RULE_TYPE, "size() wants text, bytes, a list or a map", 0)
    return Resolved("size", NUMBER)


def _text_test(name: str, arguments: Sequence[Type]) -> Resolved:
    if len(arguments) != 2:
        raise Unresolved(Code.RULE_TYPE, f"{name}() wants 1 argument", -1)
    for index, given in enumerate(arguments):
        if given.kind not in (Kind.STRING, Kind.ANY):
            raise Unresolved(Code.RULE_TYPE, f"{name}() wants text", index)
    return Resolved(name, BOOL)


def _time_field(name: str, arguments: Sequence[Type]) -> Resolved:
    target = arguments[0].kind
    if target is Kind.DURATION and name in DURATION_FIELDS and len(arguments) == 1:
        return Resolved(f"duration.{name}", NUMBER)
    if target in (Kind.TIMESTAMP, Kind.ANY) and len(arguments) in (1, 2):
        if len(arguments) == 2 and arguments[1].kind is not Kind.STRING:
            raise Unresolved(Code.RULE_TYPE, f"{name}() wants an offset such as '+08:00'", 1)
        return Resolved(f"timestamp.{name}", NUMBER)
    raise Unresolved(Code.RULE_TYPE, f"{name}() wants a timestamp", 0)


def _yuan(name: str, arguments: Sequence[Type]) -> Resolved:
    _count(name, arguments, 1)
    _want_plain(name, arguments)
    return Resolved("yuan", _FEN)


def _days(name: str, arguments: Sequence[Type]) -> Resolved:
    _count(name, arguments, 1)
    _want_plain(name, arguments)
    return Resolved("same", _DAYS)


def _want_plain(name: str, arguments: Sequence[Type]) -> None:
    unit = arguments[0].unit
    if unit is None or not unit.is_plain:
        code = Code.RULE_TYPE if unit is None else Code.RULE_UNIT
        raise Unresolved(code, f"{name}() wants a mere number", 0)


def _mul_bp(name: str, arguments: Sequence[Type]) -> Resolved:
    _count(name, arguments, 2)
    for index, (given, want) in enumerate(zip(arguments, (_FEN, _BP), strict=True)):
        if given != want:
            words = "first money (fen), then a rate (basis points)"
            raise Unresolved(Code.RULE_UNIT, f"{name}() wants {words}", index)
    return Resolved(name, _FEN)


def _ratio_bp(name: str, arguments: Sequence[Type]) -> Resolved:
    _count(name, arguments, 2)
    _join_numbers(name, arguments)
    return Resolved(name, _BP)


def _extreme(name: str, arguments: Sequence[Type]) -> Resolved:
    if not arguments:
        raise Unresolved(Code.RULE_TYPE, f"{name}() wants at least 1 argument", -1)
    return Resolved(name.removeprefix("math."), _join_numbers(name, arguments))


def _join_numbers(name: str, arguments: Sequence[Type]) -> Type:
    joined = arguments[0]
    for index, given in enumerate(arguments):
        if given.kind is not Kind.INT:
            raise Unresolved(Code.RULE_TYPE, f"{name}() wants numbers", index)
        unified = unit_rules.unify(joined, given)
        if unified is None:
            message = f"{name}() wants quantities of one unit"
            raise Unresolved(Code.RULE_UNIT, message, index)
        joined = unified
    return joined


_RESOLVERS: dict[str, Callable[[str, Sequence[Type]], Resolved]] = {
    **dict.fromkeys(("int", "string", "bytes", "bool", "timestamp", "duration"), _convert),
    "size": _size,
    ".size": _size,
    **dict.fromkeys((".contains", ".startsWith", ".endsWith"), _text_test),
    **{f".{name}": _time_field for name in sorted(TIMESTAMP_FIELDS | DURATION_FIELDS)},
    "yuan": _yuan,
    "days": _days,
    "mul_bp": _mul_bp,
    "mul_bp_up": _mul_bp,
    "ratio_bp": _ratio_bp,
    "math.least": _extreme,
    "math.greatest": _extreme,
}
NAMESPACED = frozenset({"math.least", "math.greatest"})
