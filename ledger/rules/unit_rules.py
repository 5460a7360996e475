"""The algebra of types and units: what may stand next to what, and what comes of it.

    date - date   days          fen + fen     fen          fen * number  fen
    date ± days   date          days ± days   days         days / number days
    fen * bp      refused       fen / fen     refused      fen < number  refused

A bare number agrees with counts and scores and with nothing else (RULES.md, "Expressions"). What
is refused is a `Mismatch` with a hint of what to write; the checker adds the words and the place.
"""

from __future__ import annotations

from ledger.errors import Code
from ledger.rules.types import (
    BOOL,
    DURATION,
    TIMESTAMP,
    Kind,
    Type,
    int_of,
)
from ledger.rules.units import Unit

ORDERED = frozenset(
    {Kind.BOOL, Kind.INT, Kind.STRING, Kind.BYTES, Kind.TIMESTAMP, Kind.DURATION, Kind.ANY}
)
_DAYS = int_of(Unit.DAYS)
_DATE = int_of(Unit.DATE)
_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod"}


class Mismatch(Exception):
    """Two types that do not go together: the code and a hint, which may be empty."""

    def __init__(self, code: Code, hint: str = "") -> None:
        super().__init__(code, hint)
        self.code = code
        self.hint = hint


def unify(left: Type, right: Type) -> Type | None:
    """Return the type that both are, None if they differ."""
    if left == right or right.kind is Kind.ANY:
        return left
    if left.kind is Kind.ANY:
        return right
    if left.kind is not right.kind:
        return None
    if left.unit is not None and right.unit is not None:
        unit = _same_unit(left.unit, right.unit)
        return int_of(unit) if unit is not None else None
    inner = tuple(unify(a, b) for a, b in zip(left.inner, right.inner, strict=True))
    found = tuple(item for item in inner if item is not None)
    return Type(left.kind, found) if len(found) == len(inner) else None


def _same_unit(left: Unit, right: Unit) -> Unit | None:
    if left is right or (right is Unit.NUMBER and left.is_plain):
        return left
    return right if left is Unit.NUMBER and right.is_plain else None


def compute_mismatch(left: Type, right: Type) -> Mismatch:
    """Return the mismatch of two types that do not unify."""
    if left.kind is Kind.INT and right.kind is Kind.INT:
        return Mismatch(Code.RULE_UNIT)
    return Mismatch(Code.RULE_TYPE)


def join(left: Type, right: Type) -> Type:
    """Return the type that both are; raise `Mismatch`."""
    joined = unify(left, right)
    if joined is None:
        raise compute_mismatch(left, right)
    return joined


def type_of_comparison(operator: str, left: Type, right: Type) -> tuple[str, Type]:
    """Return the operation and the type (bool) of ==, !=, <, <=, > or >=; raise `Mismatch`."""
    joined = join(left, right)
    if operator not in ("==", "!=") and joined.kind not in ORDERED:
        raise Mismatch(Code.RULE_TYPE, f"a {joined} has no order")
    return operator, BOOL


def type_of_arithmetic(operator: str, left: Type, right: Type) -> tuple[str, Type]:
    """Return the operation and the type of + - * / %; raise `Mismatch`."""
    kinds = {left.kind, right.kind}
    if kinds & {Kind.TIMESTAMP, Kind.DURATION}:
        return _time_arithmetic(operator, left, right)
    if kinds & {Kind.STRING, Kind.BYTES, Kind.LIST}:
        if operator != "+":
            raise Mismatch(Code.RULE_TYPE, f"'{operator}' works on numbers")
        return "concat", join(left, right)
    if not kinds <= {Kind.INT, Kind.ANY}:
        raise Mismatch(Code.RULE_TYPE, f"'{operator}' works on numbers")
    left_unit = left.unit or right.unit or Unit.NUMBER
    right_unit = right.unit or left_unit
    return _ARITHMETIC[operator], int_of(_unit_of_arithmetic(operator, left_unit, right_unit))


def _time_arithmetic(operator: str, left: Type, right: Type) -> tuple[str, Type]:
    match operator, left.kind, right.kind:
        case "+" | "-", Kind.DURATION, Kind.DURATION:
            return f"duration{operator}", DURATION
        case "+" | "-", Kind.TIMESTAMP, Kind.DURATION:
            return f"timestamp{operator}", TIMESTAMP
        case "+", Kind.DURATION, Kind.TIMESTAMP:
            return "timestamp+", TIMESTAMP
        case "-", Kind.TIMESTAMP, Kind.TIMESTAMP:
            return "duration-", DURATION
        case _:
            raise Mismatch(Code.RULE_TYPE)


def _unit_of_arithmetic(operator: str, left: Unit, right: Unit) -> Unit:
    if Unit.DATE in (left, right):
        return _unit_of_dates(operator, left, right)
    if operator in "+-":
        unit = _same_unit(left, right)
        if unit is None:
            raise Mismatch(Code.RULE_UNIT)
        return unit
    if operator == "*":
        return _unit_of_product(left, right)
    if right.is_plain and not (left is Unit.NUMBER and right is not Unit.NUMBER):
        return left
    if left.is_plain and right.is_plain:
        return right
    hint = "use ratio_bp(a, b) for a share in basis points" if left is right else ""
    raise Mismatch(Code.RULE_UNIT, hint)


def _unit_of_product(left: Unit, right: Unit) -> Unit:
    unit = _same_unit(left, right) if left.is_plain else None
    if unit is not None:
        return unit
    if left.is_plain != right.is_plain:
        return right if left.is_plain else left
    if {left, right} == {Unit.FEN, Unit.BP}:
        raise Mismatch(Code.RULE_UNIT, "use mul_bp(amount, rate) to take a share of an amount")
    raise Mismatch(Code.RULE_UNIT, "one of the factors must be a mere number")


def _unit_of_dates(operator: str, left: Unit, right: Unit) -> Unit:
    if operator == "-" and left is right:
        return Unit.DAYS
    if operator in "+-" and (left, right) == (Unit.DATE, Unit.DAYS):
        return Unit.DATE
    if operator == "+" and (left, right) == (Unit.DAYS, Unit.DATE):
        return Unit.DATE
    hint = "a date goes with days(n), or minus another date"
    raise Mismatch(Code.RULE_UNIT, hint)


def hint_for_number(unit: Unit | None, number: int | None) -> str:
    """Return what to write instead of a bare number next to a quantity of `unit`."""
    shown = "n" if number is None else str(number)
    if unit is Unit.FEN:
        return f"write yuan({shown})"
    if unit is Unit.DAYS:
        return f"write days({shown})"
    if unit is Unit.BP:
        return 'give the rate as a parameter, such as rate = "5.00%", and write p.rate'
    if unit is Unit.DATE:
        return (
            "compare a date with a date, declared under [params] as in since = 2020-01-31, or "
            "as_of - date with days(n)"
        )
    return ""
