"""How values are typed in and shown: amounts, rates, dates, identifiers.

Inside, money is integer fen, rates integer basis points, dates integer days and times integer
milliseconds since 1970-01-01 (UTC). People write 1,120,000.00, 5.50%, 2020-01-10. Nothing passes
through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    # Generic only in later versions of click.
    _ParamType = click.ParamType

_EPOCH = date(1970, 1, 1)
_AMOUNT = re.compile(r"(?:CNY *)?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.([0-9]{1,2}))?")
_RATE = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))? *%?")
_ID = re.compile(r"[0-9a-f]{64}")
_COMPANY = re.compile(r"[0-9A-Za-z]{1,64}")
_MAX_FEN = 2**62


def amount(fen: int | None) -> str:
    """Return "1,120,000.00" for 112000000 fen, "-" for None."""
    if fen is None:
        return "-"
    sign = "-" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    return f"{sign}{yuan:,}.{rest:02d}"


def scaled(figure: int, decimals: int) -> str:
    """Return "12,345.678" for 12345678 with 3 decimals, and "12,345" where none is left."""
    sign = "-" if figure < 0 else ""
    whole, rest = divmod(abs(figure), 10**decimals)
    return f"{sign}{whole:,}" + (f".{rest:0{decimals}d}" if rest else "")


def rate(basis_points: int | None) -> str:
    """Return "5.50%" for 550 basis points, "-" for None."""
    if basis_points is None:
        return "-"
    sign = "-" if basis_points < 0 else ""
    percent, rest = divmod(abs(basis_points), 100)
    return f"{sign}{percent}.{rest:02d}%"


def day(days: int | None) -> str:
    """Return "2020-01-10" for days since 1970-01-01, "-" for None or what no calendar has."""
    if days is None or not -719_162 <= days <= 2_932_896:
        return "-" if days is None else str(days)
    return (_EPOCH + timedelta(days=days)).isoformat()


def moment(time_ms: int | None) -> str:
    """Return "2020-01-10 09:30:00.123" (UTC) for milliseconds since 1970, "-" for None."""
    if time_ms is None:
        return "-"
    seconds, rest = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:03d}"


def short(value: bytes | str) -> str:
    """Return the first 12 hexadecimal digits of a hash."""
    return (value.hex() if isinstance(value, bytes) else value)[:12]


def parse_amount(text: str) -> int:
    """Return fen of "1,400,000.00", "1400000" or "CNY 1400000.00"; raise `ValueError`."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"amount {text!r}, want for example 1,400,000.00")
    fen = int(match[1].replace(",", "")) * 100 + int((match[2] or "").ljust(2, "0"))
    if fen > _MAX_FEN:
        raise ValueError(f"amount {text!r} is too large")
    return fen


def parse_rate(text: str) -> int:
    """Return basis points of "7.20%" or "7.2"; raise `ValueError`."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"rate {text!r}, want for example 7.20%")
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def parse_day(text: str) -> int:
    """Return days since 1970-01-01 of "2020-01-10"; raise `ValueError`."""
    try:
        return (date.fromisoformat(text.strip()) - _EPOCH).days
    except ValueError:
        raise ValueError(f"date {text!r}, want for example 2020-01-10") from None


def now_ms() -> int:
    """Return the wall clock in milliseconds since 1970."""
    return int(datetime.now(UTC).timestamp() * 1000)


def parse_id(text: str) -> bytes:
    """Return the 32 bytes of 64 hexadecimal digits; raise `ValueError`."""
    if _ID.fullmatch(text.strip().lower()) is None:
        raise ValueError(f"id {text!r}, want 64 hexadecimal digits")
    return bytes.fromhex(text.strip())


def parse_company(text: str) -> str:
    """Return a company's code in capitals; its check characters are the ledger's to judge."""
    code = text.strip().upper()
    if _COMPANY.fullmatch(code) is None:
        raise ValueError(f"company {text!r}, want a unified social credit code")
    return code


class ValueType(_ParamType):
    """A click type around one of the parsers above."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value; a default is one already."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


AMOUNT = ValueType("amount", parse_amount)
RATE = ValueType("rate", parse_rate)
DAY = ValueType("date", parse_day)
ID = ValueType("id", parse_id)
COMPANY = ValueType("company", parse_company)


def json_ready(value: Any) -> Any:
    """Return a canonical value as JSON can show it: bytes become hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [json_ready(item) for item in value]
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    return value
