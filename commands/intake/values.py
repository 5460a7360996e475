"""From what a cell says to the stored value of a field, exactly or not at all.

The stored value is fixed by the catalogue: a decimal times 10**scale (fen for CNY), a rate in basis
points, a date, month or quarter as days since 1970 of its first day, text as it stands. `Form` is
how the cell writes it; the default is how the catalogue does. Nothing goes through a float: a
decimal with more places than its unit holds is refused, not rounded. What is wrong is a `CellError`
that says what came and what was wanted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ledger.membership.catalogue import FieldSpec, FieldType

FEN_SCALE = 2
MAX_SHOWN = 40
_EPOCH = date(1970, 1, 1).toordinal()
_DECIMAL = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,9}))?")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_GROUPED = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_MONTH = re.compile(r"([0-9]{4})-?([0-9]{2})")
_QUARTER = re.compile(r"([0-9]{4})-?Q([1-4])")
_FLAGS = {
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    "yes": True,
    "no": False,
    "是": True,
    "否": False,
}
_DATE_TOKENS = {"YYYY": "(?P<y>[0-9]{4})", "MM": "(?P<m>[0-9]{2})", "DD": "(?P<d>[0-9]{2})"}


class CellError(Exception):
    """A cell that has no value of its field: what came, and what was wanted."""

    def __init__(self, got: object, want: str) -> None:
        shown = str(got)
        if len(shown) > MAX_SHOWN:
            shown = shown[:MAX_SHOWN] + "…"
        super().__init__(f"got {shown!r}, want {want}")


class Form(StrEnum):
    """How a cell writes a value where it is not as the catalogue does."""

    CATALOGUE = "catalogue"  # a decimal in the field's unit
    FEN = "fen"  # a whole number of fen, for money
    YUAN = "yuan"  # a decimal number of yuan, for money (also where the unit is CNY 10k)
    SCALED = "scaled"  # the whole number that is stored


Converter = Callable[[Any], Any]


def make_converter(spec: FieldSpec, form: str, separator: str) -> Converter:
    """Return the function from a cell to the stored value; raise `ValueError` for a wrong form.

    `form` is one of `Form`, or for dates a pattern of YYYY, MM and DD such as "DD.MM.YYYY";
    `separator` parts the items of a list.
    """
    if spec.type in (FieldType.DECIMAL, FieldType.RATIO):
        return _decimal_converter(spec, form)
    if spec.type is FieldType.DATE and form != Form.CATALOGUE:
        return _date_converter(form)
    if form != Form.CATALOGUE:
        raise ValueError(f"a {spec.type} field has no form {form!r}")
    if spec.type is FieldType.LIST:
        return lambda cell: _list(cell, separator)
    return _PLAIN.get(spec.type, _text)


def _decimal_converter(spec: FieldSpec, form: str) -> Converter:
    if form == Form.CATALOGUE:
        return lambda cell: parse_decimal(cell, spec.scale)
    if form == Form.SCALED:
        return parse_integer
    if not spec.is_money:
        raise ValueError(f"field {spec.name} is no amount in CNY, so has no form {form!r}")
    if form == Form.FEN:
        return parse_integer
    if form == Form.YUAN:
        return lambda cell: parse_decimal(cell, FEN_SCALE)
    raise ValueError(f"form {form!r}, want one of {', '.join(Form)}")


def parse_decimal(cell: Any, scale: int) -> int:
    """Return a decimal text times 10**scale, exactly; raise `CellError`."""
    text = str(cell).strip() if isinstance(cell, str | int | Decimal) else ""
    want = f"a decimal number with at most {scale} places"
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    match = _DECIMAL.fullmatch(text)
    if match is None or type(cell) is bool:
        raise CellError(cell, want)
    sign, whole, places = match[1], match[2], (match[3] or "").rstrip("0")
    if len(places) > scale:
        raise CellError(cell, want)
    number = int(whole + places.ljust(scale, "0"))
    return -number if sign else number


def parse_integer(cell: Any) -> int:
    """Return a whole number; raise `CellError`."""
    text = str(cell).strip() if isinstance(cell, str | int) and type(cell) is not bool else ""
    if not _INTEGER.fullmatch(text):
        raise CellError(cell, "a whole number")
    return int(text)


def parse_date(cell: Any) -> int:
    """Return days since 1970 of YYYY-MM-DD or of a date; raise `CellError`."""
    if isinstance(cell, datetime):
        return cell.date().toordinal() - _EPOCH
    if isinstance(cell, date):
        return cell.toordinal() - _EPOCH
    text = cell.strip() if isinstance(cell, str) else ""
    if len(text) != 10:
        raise CellError(cell, "a date like 2020-01-31")
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        raise CellError(cell, "a date like 2020-01-31") from None


def _date_converter(pattern: str) -> Converter:
    if any(pattern.count(token) != 1 for token in _DATE_TOKENS):
        raise ValueError(f"date pattern {pattern!r}, want YYYY, MM and DD once each")
    expression = re.escape(pattern)
    for token, group in _DATE_TOKENS.items():
        expression = expression.replace(token, group)
    compiled = re.compile(expression)

    def convert(cell: Any) -> int:
        match = compiled.fullmatch(cell.strip()) if isinstance(cell, str) else None
        if match is None:
            raise CellError(cell, f"a date like {pattern}")
        return _first_day(cell, int(match["y"]), int(match["m"]), int(match["d"]))

    return convert


def _first_day(cell: Any, year: int, month: int, day: int = 1) -> int:
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise CellError(cell, "a day that exists") from None


def parse_month(cell: Any) -> int:
    """Return the first day of YYYY-MM, YYYYMM or of any date in it; raise `CellError`."""
    if isinstance(cell, date):
        return _first_day(cell, cell.year, cell.month)
    text = cell.strip() if isinstance(cell, str) else ""
    match = _MONTH.fullmatch(text)
    if match is None:
        if len(text) == 10:
            return parse_month(date.fromordinal(parse_date(text) + _EPOCH))
        raise CellError(cell, "a month like 2020-01")
    return _first_day(cell, int(match[1]), int(match[2]))


def parse_quarter(cell: Any) -> int:
    """Return the first day of YYYY-Qn, or of the quarter a month lies in; raise `CellError`."""
    match = _QUARTER.fullmatch(cell.strip()) if isinstance(cell, str) else None
    if match is not None:
        return _first_day(cell, int(match[1]), 3 * int(match[2]) - 2)
    first = date.fromordinal(parse_month(cell) + _EPOCH)
    return _first_day(cell, first.year, first.month - (first.month - 1) % 3)


def parse_year_day(cell: Any) -> int:
    """Return the first day of a year; raise `CellError`."""
    year = parse_integer(cell)
    if not 1900 <= year <= 2199:
        raise CellError(cell, "a year from 1900 to 2199")
    return _first_day(cell, year, 1)


def _flag(cell: Any) -> bool:
    if type(cell) is bool:
        return cell
    text = cell.strip().lower() if isinstance(cell, str) else ""
    if text not in _FLAGS:
        raise CellError(cell, "true or false")
    return _FLAGS[text]


def _text(cell: Any) -> str:
    if not isinstance(cell, str | int) or type(cell) is bool:
        raise CellError(cell, "text")
    return str(cell).strip()


def _list(cell: Any, separator: str) -> tuple[str, ...]:
    if isinstance(cell, list | tuple):
        return tuple(_text(item) for item in cell)
    return tuple(part.strip() for part in _text(cell).split(separator) if part.strip())


_PLAIN: dict[FieldType, Converter] = {
    FieldType.INT: parse_integer,
    FieldType.YEAR: parse_integer,
    FieldType.DATE: parse_date,
    FieldType.MONTH: parse_month,
    FieldType.QUARTER: parse_quarter,
    FieldType.BOOL: _flag,
}
