"""Reading the body of a transaction: each field asked for by name and type, the rest refused.

A handler opens `Fields(body)`, takes what it knows, and closes with `done()`, which refuses every
field that nobody asked for. What does not fit is `Rejected` with BODY_MALFORMED and a sentence that
names the field, what came and what was wanted. Text is safe to show (F80): no control characters,
none that reorder or hide what a reader sees. The forbidden characters are listed here rather than
asked of `unicodedata`, whose tables differ between versions of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ledger.errors import Code, Refused, Rejected
from ledger.transactions.envelope import check_name

MAX_TEXT = 256
MAX_AMOUNT_FEN = 10**15
COMPANY_CODE_LENGTH = 18
FIRST_DAY = -25_567  # 1900-01-01
LAST_DAY = 84_006  # 2200-01-01
MAX_INTEGER = 2**63 - 1

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff0-\uffff\U000e0000-\U000e0fff]"
)


def find_unsafe_character(text: str) -> str | None:
    """Return the first character that may not stand in text, as "U+0000", or None."""
    if text.isascii() and text.isprintable():
        return None
    match = _UNSAFE.search(text)
    return None if match is None else f"U+{ord(match.group()):04X}"


def name_type(value: object) -> str:
    """Return the wire type of a decoded value, as error sentences call it."""
    names = {"NoneType": "nothing", "dict": "map", "tuple": "list"}
    name = type(value).__name__
    return names.get(name, name)


def _malformed(name: str, got: str, want: str) -> Rejected:
    return Rejected(Code.BODY_MALFORMED, f"field {name}: got {got}, want {want}")


class Fields:
    """The fields of one body (or of a map inside it, then `prefix` is "outer.")."""

    __slots__ = ("_asked", "_body", "_prefix")

    def __init__(self, body: Mapping[str, Any], prefix: str = "") -> None:
        self._body = body
        self._prefix = prefix
        self._asked: set[str] = set()

    def has(self, name: str) -> bool:
        """Tell whether the field is there and not None; it counts as asked for."""
        self._asked.add(name)
        return self._body.get(name) is not None

    def text(self, name: str, *, minimum: int = 1, maximum: int = MAX_TEXT) -> str:
        """Return a text of `minimum` to `maximum` safe characters."""
        value = self._take(name, str, "str")
        if not minimum <= len(value) <= maximum:
            raise self._bad(name, f"{len(value)} characters", f"{minimum} to {maximum}")
        unsafe = find_unsafe_character(value)
        if unsafe is not None:
            raise self._bad(name, f"character {unsafe}", "text that can be shown")
        return str(value)

    def identifier(self, name: str) -> str:
        """Return a name of 1 to 64 characters A-Z a-z 0-9 . _ -."""
        value = self._take(name, str, "str")
        try:
            check_name("it", value)
        except Refused:
            raise self._bad(name, "another text", "1 to 64 of A-Z a-z 0-9 . _ -") from None
        return str(value)

    def company(self, name: str) -> str:
        """Return what may be a company's code: an identifier of 18 characters."""
        value = self.identifier(name)
        if len(value) != COMPANY_CODE_LENGTH:
            raise self._bad(name, f"{len(value)} characters", f"a code of {COMPANY_CODE_LENGTH}")
        return value

    def choice(self, name: str, allowed: Iterable[str]) -> str:
        """Return one of the allowed texts."""
        value = self._take(name, str, "str")
        choices = sorted(allowed)
        if value not in choices:
            raise self._bad(name, "another text", f"one of {', '.join(choices)}")
        return str(value)

    def integer(self, name: str, *, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
        """Return an integer from `minimum` to `maximum`."""
        value: int = self._take(name, int, "int")
        if not minimum <= value <= maximum:
            raise self._bad(name, str(value), f"{minimum} to {maximum}")
        return value

    def amount(self, name: str, *, minimum: int = 1) -> int:
        """Return an amount in fen, at most 10^15; AMOUNT_NOT_POSITIVE below `minimum` (2409)."""
        value: int = self._take(name, int, "int")
        if value < minimum:
            text = f"field {self._prefix}{name}: got {value} fen, want at least {minimum}"
            raise Rejected(Code.AMOUNT_NOT_POSITIVE, text)
        if value > MAX_AMOUNT_FEN:
            text = f"field {self._prefix}{name}: got {value} fen, want at most {MAX_AMOUNT_FEN}"
            raise Rejected(Code.AMOUNT_TOO_LARGE, text)
        return value

    def day(self, name: str) -> int:
        """Return a date in days since 1970-01-01, from 1900 to 2199."""
        return self.integer(name, minimum=FIRST_DAY, maximum=LAST_DAY)

    def time_ms(self, name: str) -> int:
        """Return a time in milliseconds since 1970 UTC."""
        return self.integer(name, minimum=0, maximum=2**53)

    def flag(self, name: str) -> bool:
        """Return a bool."""
        return bool(self._take(name, bool, "bool"))

    def bytes_(self, name: str, *, minimum: int = 0, maximum: int) -> bytes:
        """Return a byte string of `minimum` to `maximum` bytes."""
        value = self._take(name, bytes, "bytes")
        if not minimum <= len(value) <= maximum:
            raise self._bad(name, f"{len(value)} bytes", f"{minimum} to {maximum}")
        return bytes(value)

    def bytes32(self, name: str) -> bytes:
        """Return a byte string of 32 bytes: a hash or a public key."""
        value = self._take(name, bytes, "bytes")
        if len(value) != 32:
            raise self._bad(name, f"{len(value)} bytes", "32")
        return bytes(value)

    def texts(self, name: str, *, minimum: int = 1, maximum: int = 256) -> tuple[str, ...]:
        """Return a list of `minimum` to `maximum` distinct safe texts of up to 256 characters."""
        value = self._take(name, tuple, "list")
        if not minimum <= len(value) <= maximum:
            raise self._bad(name, f"{len(value)} items", f"{minimum} to {maximum}")
        for item in value:
            if type(item) is not str:
                raise self._bad(name, f"an item of type {name_type(item)}", "str")
            if not 1 <= len(item) <= MAX_TEXT or find_unsafe_character(item) is not None:
                raise self._bad(name, "an unfit item", f"text of 1 to {MAX_TEXT} characters")
        if len(set(value)) != len(value):
            raise self._bad(name, "an item twice", "distinct items")
        return tuple(value)

    def map(self, name: str) -> Fields:
        """Return the fields of a map inside; close it with its own `done()`."""
        value = self._take(name, dict, "map")
        return Fields(value, f"{self._prefix}{name}.")

    def raw(self, name: str) -> Any:
        """Return the value as it came, None when absent; the caller checks it."""
        self._asked.add(name)
        return self._body.get(name)

    def optional_text(self, name: str, *, maximum: int = MAX_TEXT) -> str | None:
        """Return `text(name)`, or None when the field is absent."""
        return self.text(name, maximum=maximum) if self.has(name) else None

    def optional_identifier(self, name: str) -> str | None:
        """Return `identifier(name)`, or None when the field is absent."""
        return self.identifier(name) if self.has(name) else None

    def optional_company(self, name: str) -> str | None:
        """Return `company(name)`, or None when the field is absent."""
        return self.company(name) if self.has(name) else None

    def optional_integer(
        self, name: str, *, minimum: int = 0, maximum: int = MAX_INTEGER
    ) -> int | None:
        """Return `integer(name)`, or None when the field is absent."""
        return self.integer(name, minimum=minimum, maximum=maximum) if self.has(name) else None

    def optional_day(self, name: str) -> int | None:
        """Return `day(name)`, or None when the field is absent."""
        return self.day(name) if self.has(name) else None

    def optional_bytes32(self, name: str) -> bytes | None:
        """Return `bytes32(name)`, or None when the field is absent."""
        return self.bytes32(name) if self.has(name) else None

    def done(self) -> None:
        """Refuse every field that was not asked for."""
        if len(self._asked) == len(self._body) and self._asked == self._body.keys():
            return
        for name in sorted(self._body.keys() - self._asked):
            shown = name if find_unsafe_character(name) is None and len(name) <= 64 else "?"
            raise _malformed(self._prefix + shown, "a field of no meaning", "it left out")

    def _take(self, name: str, kind: type, want: str) -> Any:
        self._asked.add(name)
        value = self._body.get(name)
        if type(value) is not kind:
            raise self._bad(name, name_type(value), want)
        return value

    def _bad(self, name: str, got: str, want: str) -> Rejected:
        return _malformed(self._prefix + name, got, want)
