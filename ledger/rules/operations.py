"""The strict operations of the language, by name; both evaluators call these and nothing else.

Each takes run-time values of the types the checker made sure of, and returns one or raises
`EvalError`. Integers are 64 bits wide: every result is checked (`checked`), division truncates
toward zero, and the basis-point functions compute the exact product first (RULES.md).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ledger.rules import times
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.units import INT_MIN

BP_ONE = 10_000
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_BOOLS = {
    "1": True, "t": True, "true": True, "TRUE": True, "True": True,
    "0": False, "f": False, "false": False, "FALSE": False, "False": False,
}  # fmt: skip


def checked(value: int) -> int:
    """Return `value`; raise `EvalError` OVERFLOW outside 64 bits."""
    if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        return value
    raise EvalError(ErrorKind.OVERFLOW)


def divide(left: int, right: int) -> int:
    """Return left / right truncated toward zero; raise `EvalError` DIV_ZERO or OVERFLOW."""
    if right == 0:
        raise EvalError(ErrorKind.DIV_ZERO)
    quotient = abs(left) // abs(right)
    return checked(quotient if (left < 0) == (right < 0) else -quotient)


def remainder(left: int, right: int) -> int:
    """Return the remainder of `divide`, which has the sign of `left`."""
    if right == 0:
        raise EvalError(ErrorKind.DIV_ZERO)
    if left == INT_MIN and right == -1:
        raise EvalError(ErrorKind.OVERFLOW)  # as CEL has it
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def mul_bp(amount: int, rate: int) -> int:
    """Return amount × rate / 10000: exact product, truncated toward zero."""
    product = amount * rate
    quotient = abs(product) // BP_ONE
    return checked(quotient if product >= 0 else -quotient)


def mul_bp_up(amount: int, rate: int) -> int:
    """Return amount × rate / 10000: exact product, rounded toward plus infinity."""
    return checked(-(-amount * rate // BP_ONE))


def ratio_bp(part: int, whole: int) -> int:
    """Return part / whole in basis points, truncated toward zero."""
    return divide(part * BP_ONE, whole)


def get_item(items: Sequence[Any], index: int) -> Any:
    """Return an item of a list; raise `EvalError` RANGE."""
    if 0 <= index < len(items):
        return items[index]
    raise EvalError(ErrorKind.RANGE)


def get_value(entries: Mapping[Any, Any], key: Any) -> Any:
    """Return a value of a map; raise `EvalError` NO_KEY."""
    if key in entries:
        return entries[key]
    raise EvalError(ErrorKind.NO_KEY)


def parse_int(text: str) -> int:
    """Return the integer that `text` writes in decimal."""
    if _INTEGER.fullmatch(text) is None:
        raise EvalError(ErrorKind.BAD_VALUE)
    return checked(int(text))


def parse_bool(text: str) -> bool:
    """Return the bool that `text` writes in one of CEL's spellings."""
    if text not in _BOOLS:
        raise EvalError(ErrorKind.BAD_VALUE)
    return _BOOLS[text]


def decode_text(data: bytes) -> str:
    """Return the text whose UTF-8 is `data`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise EvalError(ErrorKind.BAD_VALUE) from None


def make_map(*items: Any) -> dict[Any, Any]:
    """Return a map of alternating keys and values; raise `EvalError` REPEATED_KEY."""
    entries: dict[Any, Any] = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        if key in entries:
            raise EvalError(ErrorKind.REPEATED_KEY)
        entries[key] = value
    return entries


def _same(value: Any) -> Any:
    return value


def _time_operations() -> dict[str, Callable[..., Any]]:
    fields: dict[str, Callable[..., Any]] = {
        f"timestamp.{name}": times.get_timestamp_field(name) for name in times.TIMESTAMP_FIELDS
    }
    for name in times.DURATION_FIELDS:
        fields[f"duration.{name}"] = times.get_duration_field(name)
    return fields


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda left, right: checked(left + right),
    "sub": lambda left, right: checked(left - right),
    "mul": lambda left, right: checked(left * right),
    "div": divide,
    "mod": remainder,
    "neg": lambda value: checked(-value),
    "not": operator.not_,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, items: item in items,
    "make_list": lambda *items: items,
    "make_map": make_map,
    "concat": operator.add,
    "item": get_item,
    "value": get_value,
    "has_key": lambda entries, key: key in entries,
    "size": len,
    "contains": lambda text, part: part in text,
    "startsWith": lambda text, part: text.startswith(part),
    "endsWith": lambda text, part: text.endswith(part),
    "least": lambda *values: min(values),
    "greatest": lambda *values: max(values),
    "mul_bp": mul_bp,
    "mul_bp_up": mul_bp_up,
    "ratio_bp": ratio_bp,
    "yuan": lambda value: checked(value * 100),
    "timestamp+": lambda left, right: times.check_timestamp(left + right),
    "timestamp-": lambda left, right: times.check_timestamp(left - right),
    "duration+": lambda left, right: times.check_duration(left + right),
    "duration-": lambda left, right: times.check_duration(left - right),
    "same": _same,
    "int(string)": parse_int,
    "int(timestamp)": lambda value: value // times.SECOND,
    "string(int)": str,
    "string(bool)": lambda value: "true" if value else "false",
    "string(bytes)": decode_text,
    "string(timestamp)": times.format_timestamp,
    "string(duration)": times.format_duration,
    "bytes(string)": str.encode,
    "bool(string)": parse_bool,
    "timestamp(string)": times.parse_timestamp,
    "timestamp(int)": lambda value: times.check_timestamp(value * times.SECOND),
    "duration(string)": times.parse_duration,
    **_time_operations(),
}
