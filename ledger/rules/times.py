"""Timestamps and durations of CEL as integers of nanoseconds, by integer arithmetic alone.

A timestamp counts from 1970-01-01 UTC and lies in the years 1 to 9999 (RFC 3339, UTC or a numeric
offset; there are no named zones). A duration fits in 64 bits. Text is read and written as the CEL
specification says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.units import INT_MAX, INT_MIN

SECOND = 10**9
_DAY_SECONDS = 86_400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_TIMESTAMP_MIN = (1 - EPOCH_ORDINAL) * _DAY_SECONDS * SECOND
_TIMESTAMP_END = (date(9999, 12, 31).toordinal() + 1 - EPOCH_ORDINAL) * _DAY_SECONDS * SECOND

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_ZONE = re.compile(r"([+-]?)([0-9]{2}):([0-9]{2})")
_DURATION = re.compile(r"([+-]?)((?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:h|ms|m|s|us|µs|μs|ns))+|0)")
_DURATION_PART = re.compile(r"([0-9]*)\.?([0-9]*)(h|ms|m|s|us|µs|μs|ns)")
_UNITS = {
    "h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND,
    "ms": 10**6, "us": 1000, "µs": 1000, "μs": 1000, "ns": 1,
}  # fmt: skip


def check_timestamp(value: int) -> int:
    """Return `value`; raise `EvalError` OVERFLOW outside the years 1 to 9999."""
    if not _TIMESTAMP_MIN <= value < _TIMESTAMP_END:
        raise EvalError(ErrorKind.OVERFLOW)
    return value


def check_duration(value: int) -> int:
    """Return `value`; raise `EvalError` OVERFLOW outside 64 bits of nanoseconds."""
    if not INT_MIN <= value <= INT_MAX:
        raise EvalError(ErrorKind.OVERFLOW)
    return value


def parse_timestamp(text: str) -> int:
    """Return the timestamp of RFC 3339 text; raise `EvalError` BAD_VALUE or OVERFLOW."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise EvalError(ErrorKind.BAD_VALUE)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if hour > 23 or minute > 59 or second > 59:
        raise EvalError(ErrorKind.BAD_VALUE)
    try:
        days = date(year, month, day).toordinal() - EPOCH_ORDINAL
    except ValueError:
        raise EvalError(ErrorKind.BAD_VALUE) from None
    seconds = days * _DAY_SECONDS + hour * 3600 + minute * 60 + second
    nanoseconds = int((match.group(7) or "0").ljust(9, "0"))
    return check_timestamp((seconds - _zone_seconds(match.group(8))) * SECOND + nanoseconds)


def format_timestamp(value: int) -> str:
    """Return RFC 3339 text in UTC, with 0, 3, 6 or 9 digits of a second."""
    day, seconds, nanoseconds = _split(value)
    fraction = _format_fraction(nanoseconds)
    hour, minute, second = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{day.year:04}-{day.month:02}-{day.day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"


def parse_duration(text: str) -> int:
    """Return the duration of text such as "1h30m", "-1.5s"; raise `EvalError`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise EvalError(ErrorKind.BAD_VALUE)
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(match.group(2)):
        # More than 20 digits is out of range whatever the unit, and is not worth converting;
        # thousands of zeros before them would be more than Python converts.
        significant = whole.lstrip("0")
        if len(significant) > 20:
            raise EvalError(ErrorKind.OVERFLOW)
        digits = fraction[:20]
        total += int(significant or "0") * _UNITS[unit]
        total += int(digits or "0") * _UNITS[unit] // 10 ** len(digits)
    return check_duration(-total if match.group(1) == "-" else total)


def format_duration(value: int) -> str:
    """Return a duration as seconds with 0, 3, 6 or 9 digits of a second, such as "-1.500s"."""
    seconds, nanoseconds = divmod(abs(value), SECOND)
    return f"{'-' if value < 0 else ''}{seconds}{_format_fraction(nanoseconds)}s"


def _format_fraction(nanoseconds: int) -> str:
    """Return the part of a second as protobuf's JSON writes it, "" for none."""
    fraction = f".{nanoseconds:09}" if nanoseconds else ""
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return fraction


def check_zone(zone: str) -> None:
    """Raise `EvalError` BAD_VALUE unless `zone` is "UTC" or an offset such as "+08:00"."""
    _zone_seconds(zone)


def _zone_seconds(zone: str) -> int:
    if zone in ("Z", "z", "UTC"):
        return 0
    match = _ZONE.fullmatch(zone)
    if match is None or int(match.group(2)) > 23 or int(match.group(3)) > 59:
        raise EvalError(ErrorKind.BAD_VALUE)
    seconds = int(match.group(2)) * 3600 + int(match.group(3)) * 60
    return -seconds if match.group(1) == "-" else seconds


def _split(value: int) -> tuple[date, int, int]:
    """Return the day, the second of the day and the nanosecond."""
    seconds, nanoseconds = divmod(value, SECOND)
    days, seconds = divmod(seconds, _DAY_SECONDS)
    ordinal = days + EPOCH_ORDINAL
    # An offset may lead out of the calendar at either end of it.
    if not 1 <= ordinal <= date.max.toordinal():
        raise EvalError(ErrorKind.OVERFLOW)
    return date.fromordinal(ordinal), seconds, nanoseconds


_DATE_FIELDS: dict[str, Callable[[date], int]] = {
    "getFullYear": lambda day: day.year,
    "getMonth": lambda day: day.month - 1,
    "getDate": lambda day: day.day,
    "getDayOfMonth": lambda day: day.day - 1,
    "getDayOfWeek": lambda day: day.isoweekday() % 7,
    "getDayOfYear": lambda day: day.toordinal() - date(day.year, 1, 1).toordinal(),
}
# Nanoseconds of one, and how many make the next greater one.
_CLOCK_FIELDS = {
    "getHours": (3600 * SECOND, 24),
    "getMinutes": (60 * SECOND, 60),
    "getSeconds": (SECOND, 60),
    "getMilliseconds": (10**6, 1000),
}
_DURATION_FIELDS: dict[str, tuple[int, int]] = {
    "getHours": (3600 * SECOND, 0),
    "getMinutes": (60 * SECOND, 0),
    "getSeconds": (SECOND, 0),
    "getMilliseconds": (10**6, 1000),
}
TIMESTAMP_FIELDS = frozenset({*_DATE_FIELDS, *_CLOCK_FIELDS})
DURATION_FIELDS = frozenset(_DURATION_FIELDS)


def get_timestamp_field(field: str) -> Callable[..., int]:
    """Return the function of a timestamp, and perhaps a numeric zone, that reads `field`."""
    unit, modulus = _CLOCK_FIELDS.get(field, (1, 1))
    read_date = _DATE_FIELDS.get(field)

    def get(value: int, zone: str = "UTC") -> int:
        day, seconds, nanoseconds = _split(value + _zone_seconds(zone) * SECOND)
        if read_date is not None:
            return read_date(day)
        return (seconds * SECOND + nanoseconds) // unit % modulus

    return get


def get_duration_field(field: str) -> Callable[[int], int]:
    """Return the function of a duration that reads `field`, truncated toward zero."""
    unit, modulus = _DURATION_FIELDS[field]

    def get(value: int) -> int:
        count = abs(value) // unit
        if modulus:
            count %= modulus
        return -count if value < 0 else count

    return get
