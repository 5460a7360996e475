"""The catalogue in the state: categories as genesis gave them, read once for each catalogue.

`PureCache` remembers what is computed from hashed sources; its owner decides how long it lives, and
execution and queries never share one (rule 53). `CatalogueState` reads CATEGORIES through it, under
the digest of the whole catalogue that SETTINGS holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any, TypeVar

from ledger.credit.categories import compute_event_types
from ledger.encoding import encode
from ledger.errors import Code, Rejected
from ledger.membership.catalogue import Category, category_from_value
from ledger.rules.schema import EventTypes
from ledger.state.overlay import Overlay
from ledger.state.tables import CATEGORIES, SETTINGS

T = TypeVar("T")

_DIGEST_KEY = b"~catalogue"
_CACHE_LIMIT = 8_192
_EMPTY = bytes(32)


class PureCache:
    """Computed things by the hashes of their sources; forgets everything when it grows too big."""

    def __init__(self) -> None:
        self._items: dict[tuple[Any, ...], Any] = {}

    def get(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """Return what `make` gives for `key`, made once; an error is not remembered."""
        found: T | None = self._items.get(key)
        if found is None:
            found = make()
            if len(self._items) >= _CACHE_LIMIT:
                self._items.clear()
            self._items[key] = found
        return found


class CatalogueState:
    """The catalogue of one state."""

    __slots__ = ("_cache", "_state")

    def __init__(self, state: Overlay, cache: PureCache) -> None:
        self._state = state
        self._cache = cache

    def digest(self) -> bytes:
        """Return the digest that changes with any category."""
        found: bytes | None = self._state.get(SETTINGS, _DIGEST_KEY)
        return _EMPTY if found is None else found

    def category(self, category_id: str) -> Category:
        """Return a category; raise `Rejected` (2101)."""
        key = ("category", self.digest(), category_id)
        return self._cache.get(key, lambda: self._load(category_id))

    def categories(self) -> tuple[Category, ...]:
        """Return every category, by id."""
        return self._cache.get(("categories", self.digest()), self._load_all)

    def events(self) -> EventTypes:
        """Return the record schemas as rules see them."""
        key = ("events", self.digest())
        return self._cache.get(key, lambda: compute_event_types(self.categories()))

    def put(self, values: Iterable[Mapping[str, Any]]) -> None:
        """Keep the categories of the genesis document."""
        digest = self.digest()
        for value in values:
            self._state.put(CATEGORIES, value["id"].encode(), value)
            digest = sha256(digest + sha256(encode(value)).digest()).digest()
        self._state.put(SETTINGS, _DIGEST_KEY, digest)

    def _load(self, category_id: str) -> Category:
        value = self._state.get(CATEGORIES, category_id.encode())
        if value is None:
            raise Rejected(Code.CATEGORY_UNKNOWN, f"category {category_id} is not known")
        return category_from_value(f"category {category_id}", value)

    def _load_all(self) -> tuple[Category, ...]:
        return tuple(
            category_from_value(f"category {key.decode()}", value)
            for key, value in self._state.scan(CATEGORIES, b"")
        )
