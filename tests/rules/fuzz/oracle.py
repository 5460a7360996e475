"""Google's evaluator, `cel-expr-python`, asked the same question as ours; for tests only.

`Oracle.ask` evaluates the plain CEL of a pair on facts and returns the value, or the kinds of error
that it may be (it tells a missing fact and a missing key alike). mul_bp and ratio_bp are written
here once more, with fractions, so that ours are held against something.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from ledger.rules.failures import ErrorKind
from ledger.rules.types import Kind, Type
from tests.rules.fuzz.expressions import KINDS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSENT = frozenset({ErrorKind.MISSING, ErrorKind.NO_KEY})
_OVERFLOW = frozenset({ErrorKind.OVERFLOW})
_WORDS: Mapping[str, frozenset[ErrorKind]] = {
    "Key not found in map": _ABSENT,
    "divide by zero": frozenset({ErrorKind.DIV_ZERO}),
    "modulus by zero": frozenset({ErrorKind.DIV_ZERO}),
    "integer overflow": _OVERFLOW,
}


class Oracle:
    """The oracle with the facts of all kinds declared; raises `ImportError` if it is absent."""

    def __init__(self) -> None:
        cel = importlib.import_module("cel_expr_python.cel")
        math = importlib.import_module("cel_expr_python.ext.ext_math")
        self._error = cel.Type.ERROR
        self._env = cel.NewEnv(
            variables={
                prefix: cel.Type.Map(cel.Type.STRING, _type_of(cel, kind))
                for prefix, kind in KINDS.items()
            },
            extensions=[math.ExtMath()],
            functions=[
                _declare(cel, "mul_bp", lambda amount, rate: int(Fraction(amount * rate, 10_000))),
                _declare(
                    cel, "mul_bp_up", lambda amount, rate: _ceil(Fraction(amount * rate, 10_000))
                ),
                _declare(cel, "ratio_bp", lambda part, whole: int(Fraction(part * 10_000, whole))),
            ],
        )

    def compile(self, text: str) -> Any:
        """Return the compiled expression; raise `RuntimeError` if it is refused."""
        return self._env.compile(text)

    def ask(self, expression: Any, facts: Mapping[str, Any]) -> Any:
        """Return the value, or the frozenset of the error kinds that its error may be.

        None is no answer: a key given twice ends its evaluation, whatever would absorb the error.
        """
        data: dict[str, dict[str, Any]] = {prefix: {} for prefix in KINDS}
        for name, value in facts.items():
            prefix, _, key = name.partition(".")
            data[prefix][key] = _to_python(KINDS[prefix], value)
        try:
            result = expression.eval(data=data)
        except RuntimeError as error:
            if "duplicate key" not in str(error):
                raise
            return None
        value = result.plain_value()
        if result.type() == self._error:
            return _kinds_of(str(value))
        return _from_python(value)


def _ceil(value: Fraction) -> int:
    return -int(-value // 1)


def _declare(cel: Any, name: str, run: Any) -> Any:
    integer = cel.Type.INT
    overload = cel.Overload(f"{name}_int_int", integer, [integer, integer], False, run)
    return cel.FunctionDecl(name, [overload])


def _type_of(cel: Any, kind: Type) -> Any:
    if kind.kind is Kind.LIST:
        return cel.Type.List(_type_of(cel, kind.inner[0]))
    if kind.kind is Kind.MAP:
        return cel.Type.Map(_type_of(cel, kind.inner[0]), _type_of(cel, kind.inner[1]))
    return getattr(cel.Type, kind.kind.upper())


def _to_python(kind: Type, value: Any) -> Any:
    if kind.kind is Kind.TIMESTAMP:
        return _EPOCH + timedelta(microseconds=value // 1000)
    if kind.kind is Kind.DURATION:
        return timedelta(microseconds=value // 1000)
    return list(value) if kind.kind is Kind.LIST else value


def _from_python(value: Any) -> Any:
    if isinstance(value, bytearray):
        return bytes(value)
    return tuple(value) if isinstance(value, list) else value


def _kinds_of(message: str) -> frozenset[ErrorKind]:
    for words, kinds in _WORDS.items():
        if words in message:
            return kinds
    return frozenset(ErrorKind) - _ABSENT
