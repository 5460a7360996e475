"""The giving side of state transfer: one retained snapshot that answers queries (rule 41).

Every answer is read from a view of the store as it stood when the block of the snapshot had been
written, so blocks that come later do not change it and wait for nothing. A piece ends with the item
that brings it to `PIECE_BYTES`, so that whoever asked can tell a piece that ends early from a lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.chain.header import Header
from ledger.encoding import encode
from ledger.errors import Code, Refused, StorageError
from ledger.snapshots.limits import PIECE_BYTES
from ledger.snapshots.places import (
    company_entries,
    get_body_places,
    subtree_nodes,
    top_nodes,
)
from ledger.snapshots.queries import (
    BucketsQuery,
    CompaniesQuery,
    HistoryQuery,
    NodesQuery,
    OfferQuery,
    Query,
    TopQuery,
)
from ledger.state.leaf_keys import bucket_keys
from ledger.state.tree import node_key
from ledger.storage.chain_store import HEADERS, RESULTS, TRANSACTIONS, height_key
from ledger.storage.store import Reader


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after the block of `header`, readable while the chain goes on."""

    header: Header
    reader: Reader

    def answer(self, query: Query) -> bytes:
        """Return the piece that is asked for; raise `Refused` (5104) where it is not here."""
        match query:
            case TopQuery():
                return encode(self._nodes(top_nodes()))
            case NodesQuery(subtree=subtree):
                return encode(self._nodes(subtree_nodes(subtree)))
            case BucketsQuery(buckets=buckets):
                return encode(_filled(buckets, self._bucket))
            case CompaniesQuery(companies=companies, after=after):
                return encode(self._companies(companies, after))
            case HistoryQuery(height=height):
                return encode(_filled(range(height, 0, -1), self._block))
            case OfferQuery():
                raise Refused(Code.REQUEST_UNKNOWN, "an offer is not asked of one snapshot")

    def _nodes(self, places: Iterable[tuple[int, int]]) -> tuple[bytes, ...]:
        return tuple(self.reader.get(node_key(*place)) or b"" for place in places)

    def _bucket(self, index: int) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((key, self._value(key)) for _, key in bucket_keys(self.reader, index))

    def _value(self, key: bytes) -> bytes:
        value = self.reader.get(key)
        if value is None:
            raise StorageError(Code.STORE_CORRUPT, f"state entry {key.hex()} is gone")
        return value

    def _companies(self, companies: Sequence[bytes], after: bytes) -> tuple[Any, ...]:
        """Return (entries, is_whole) of each company until the piece is full."""
        parts: list[tuple[Any, bool]] = []
        size = 0
        for company in companies:
            entries: list[Any] = []
            for key, value in company_entries(self.reader, company, after):
                if size >= PIECE_BYTES:
                    parts.append((tuple(entries), False))
                    return tuple(parts)
                bodies = self._bodies(key, value)
                entries.append((key, value, bodies))
                size += len(key) + len(value) + sum(map(len, bodies))
            parts.append((tuple(entries), True))
            after = b""
            if size >= PIECE_BYTES:
                break
        return tuple(parts)

    def _bodies(self, key: bytes, value: bytes) -> tuple[bytes, ...]:
        places = [place for place in get_body_places(key, value) if place is not None]
        return tuple(self._value(place.key) for place in places)

    def _block(self, height: int) -> tuple[bytes, bytes, bytes]:
        header, transactions, results = (
            self.reader.get(height_key(part, height)) for part in (HEADERS, TRANSACTIONS, RESULTS)
        )
        if header is None or transactions is None or results is None:
            raise Refused(Code.NOT_HELD, f"block {height} is not held")
        return header, transactions, results


def _filled(places: Sequence[int], read: Callable[[int], Any]) -> tuple[Any, ...]:
    """Return what lies at these places, in order, until a piece is full or something is missing."""
    items: list[Any] = []
    size = 0
    for place in places:
        try:
            item = read(place)
        except Refused:
            if not items:
                raise
            break
        items.append(item)
        size += _size(item)
        if size >= PIECE_BYTES:
            break
    return tuple(items)


def _size(item: Any) -> int:
    return len(item) if type(item) is bytes else sum(map(_size, item))
