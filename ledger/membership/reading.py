"""Reading a canonical value whose shape is fixed: every problem is refused with its place.

A place is a path such as `members[2].node.address`. A missing or unknown key and a wrong type are
GENESIS_MALFORMED (7001): the document is not of this shape. What is of the right shape and still
makes no sense is GENESIS_INVALID (7002), by `invalid`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ledger.errors import Code, Refused
from ledger.transactions.fields import find_unsafe_character, name_type


def malformed(place: str, got: str, want: str) -> NoReturn:
    """Raise `Refused` 7001."""
    raise Refused(Code.GENESIS_MALFORMED, f"{place or 'document'}: got {got}, want {want}")


def invalid(place: str, sentence: str) -> NoReturn:
    """Raise `Refused` 7002."""
    raise Refused(Code.GENESIS_INVALID, f"{place or 'document'}: {sentence}")


class Reading:
    """One map of the document, and where it stands."""

    __slots__ = ("_map", "place")

    def __init__(self, place: str, value: object, keys: Sequence[str]) -> None:
        self.place = place
        if not isinstance(value, Mapping):
            malformed(place, name_type(value), "map")
        for key in keys:
            if key not in value:
                malformed(place, f"no key {key}", f"keys {', '.join(sorted(keys))}")
        for key in value:
            if key not in keys:
                malformed(place, "an unknown key", f"keys {', '.join(sorted(keys))}")
        self._map: Mapping[str, Any] = value

    def at(self, key: str) -> str:
        """Return the place of a key."""
        return f"{self.place}.{key}" if self.place else key

    def raw(self, key: str) -> Any:
        """Return the value of a key as it came."""
        return self._map[key]

    def text(self, key: str, *, minimum: int = 1, maximum: int = 256) -> str:
        """Return a safe text of `minimum` to `maximum` characters."""
        value = self._typed(key, str, "str")
        if not minimum <= len(value) <= maximum:
            malformed(self.at(key), f"{len(value)} characters", f"{minimum} to {maximum}")
        unsafe = find_unsafe_character(value)
        if unsafe is not None:
            malformed(self.at(key), f"character {unsafe}", "text that can be shown")
        return str(value)

    def integer(self, key: str, *, minimum: int, maximum: int) -> int:
        """Return an integer from `minimum` to `maximum`."""
        value: int = self._typed(key, int, "int")
        if not minimum <= value <= maximum:
            malformed(self.at(key), str(value), f"{minimum} to {maximum}")
        return value

    def flag(self, key: str) -> bool:
        """Return a bool."""
        return bool(self._typed(key, bool, "bool"))

    def data(self, key: str, *, minimum: int, maximum: int) -> bytes:
        """Return a byte string of `minimum` to `maximum` bytes."""
        value = self._typed(key, bytes, "bytes")
        if not minimum <= len(value) <= maximum:
            malformed(self.at(key), f"{len(value)} bytes", f"{minimum} to {maximum}")
        return bytes(value)

    def items(self, key: str, *, minimum: int = 0, maximum: int) -> list[tuple[str, Any]]:
        """Return (place, value) of each item of a list."""
        value = self._map[key]
        if type(value) not in (tuple, list):
            malformed(self.at(key), name_type(value), "list")
        if not minimum <= len(value) <= maximum:
            malformed(self.at(key), f"{len(value)} items", f"{minimum} to {maximum}")
        return [(f"{self.at(key)}[{index}]", item) for index, item in enumerate(value)]

    def texts(self, key: str, *, minimum: int = 0, maximum: int) -> tuple[str, ...]:
        """Return a list of distinct safe texts."""
        found = []
        for place, item in self.items(key, minimum=minimum, maximum=maximum):
            if type(item) is not str or find_unsafe_character(item) is not None or len(item) > 256:
                malformed(place, name_type(item), "text of at most 256 characters")
            if item in found:
                invalid(place, f"{item} stands twice")
            found.append(item)
        return tuple(found)

    def _typed(self, key: str, kind: type, want: str) -> Any:
        value = self._map[key]
        if type(value) is not kind:
            malformed(self.at(key), name_type(value), want)
        return value
