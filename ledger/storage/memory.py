"""A Store in memory: for tests, for the simulator, and as scratch space of a small audit.

A dictionary holds the entries; their order is a sorted list that is brought up to date when a scan
asks for it, so that a block's worth of writes costs one merge and point reads cost nothing more.
A snapshot is a copy. Nothing is durable, so `sync` has nothing to do here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from ledger.storage.store import Reader, WriteBatch


class MemoryStore:
    """An ordered map of bytes in memory (`ledger.storage.store.Store`)."""

    def __init__(self, entries: WriteBatch | None = None) -> None:
        self._entries: dict[bytes, bytes] = {}
        self._order: list[bytes] = []
        self._is_ordered = True
        if entries is not None:
            self.write(entries, sync=False)

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""
        return self._entries.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start ≤ key < end, as they stood when the scan began."""
        order = self._ordered()
        keys = order[bisect_left(order, start) : bisect_left(order, end)]
        entries = [(key, self._entries[key]) for key in keys]
        return iter(entries[::-1] if reverse else entries)

    def write(self, batch: WriteBatch, *, sync: bool) -> None:  # noqa: ARG002
        """Apply the whole batch."""
        for key, value in batch.items():
            if value is not None:
                self._is_ordered = self._is_ordered and key in self._entries
                self._entries[key] = value
            elif self._entries.pop(key, None) is not None:
                self._is_ordered = False

    def snapshot(self) -> Reader:
        """Return a copy of this moment."""
        return MemoryStore(self._entries)

    def close(self) -> None:
        """Do nothing: there are no files."""

    def _ordered(self) -> list[bytes]:
        if not self._is_ordered:
            kept = [key for key in self._order if key in self._entries]
            fresh = self._entries.keys() - set(kept)
            # Two ordered runs: the sort merges them in linear time.
            self._order = sorted(kept + sorted(fresh))
            self._is_ordered = True
        return self._order
