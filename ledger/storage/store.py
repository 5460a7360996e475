"""The Store: an ordered map of bytes with atomic batches; all that the ledger asks of a disk.

The ledger is free of I/O: it reads through a `Reader` and hands its writes back as one `WriteBatch`
a block, which the shell applies with `Store.write(batch, sync=True)`. Keys are ordered bytewise.
A value of None in a batch deletes the key. Implementations: `memory.MemoryStore` (tests, the
simulator) and `leveldb.LevelStore` (nodes); both must pass the same tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeAlias

WriteBatch: TypeAlias = Mapping[bytes, "bytes | None"]


class Reader(Protocol):
    """Read access to an ordered map of bytes."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None; raise `StorageError` (6001) when the disk lies."""
        ...

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start ≤ key < end, in key order or in reverse."""
        ...


class Store(Reader, Protocol):
    """A Reader that can be written, atomically and durably."""

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        """Apply the whole batch or none of it; with `sync` it survives a power cut."""
        ...

    def snapshot(self) -> Reader:
        """Return a view of this moment, for reads while blocks are being written."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...
