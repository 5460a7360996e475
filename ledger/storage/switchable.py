"""The store of a home that may be replaced whole, while others read from it (rule 41).

A state from other nodes is built in a second database of the home, the staging store, which may
take hours and several starts of the node. Then one file says which of the two is the home's: it is
written beside itself, synced and renamed, so a crash at any point leaves the old database in use or
the new one, and never a mixture. Whoever has a snapshot of the old one reads on in it; its files
are removed now and its handle goes with its last reader, because LevelDB must not be closed under a
read. What is left of either at the next start is the staging store again, or removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ledger.errors import Code, LocalError
from ledger.storage.chain_store import HEAD_KEY
from ledger.storage.files import DiskFiles, FileSystem
from ledger.storage.leveldb import LevelStore
from ledger.storage.store import Reader, WriteBatch

DATABASE_NAMES = ("db", "db2")
POINTER_NAME = "database"
_PENDING_NAME = "database.new"


def read_pointer(folder: Path) -> str:
    """Return the name of the database folder that is the home's."""
    data = DiskFiles().read(folder / POINTER_NAME)
    name = DATABASE_NAMES[0] if data is None else data.decode(errors="replace").strip()
    return name if name in DATABASE_NAMES else DATABASE_NAMES[0]


def write_pointer(folder: Path, name: str, files: FileSystem) -> None:
    """Make `name` the home's database, durably and at once (`StorageError` 6002, 6003)."""
    pending = folder / _PENDING_NAME
    file = files.open(pending)
    try:
        file.truncate(0)
        file.write_at(0, f"{name}\n".encode())
        file.sync()
    finally:
        file.close()
    files.rename(pending, folder / POINTER_NAME)
    files.sync_folder(folder)


class SwitchableStore:
    """A `ledger.storage.store.Store` over one of a home's two databases."""

    def __init__(self, folder: Path, *, files: FileSystem | None = None) -> None:
        """Open the home's database; raise `StorageError` (6001–6003) when it cannot be trusted."""
        self._folder = folder
        self._files = DiskFiles() if files is None else files
        self._name = read_pointer(folder)
        self._current = LevelStore(folder / self._name, create=False)
        self._staging: LevelStore | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""
        return self._current.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start ≤ key < end, of the database in use now."""
        return self._current.scan(start, end, reverse=reverse)

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        """Apply the whole batch or none of it."""
        self._current.write(batch, sync=sync)

    def snapshot(self) -> Reader:
        """Return a view of this moment, of the database in use now."""
        return self._current.snapshot()

    def compact(self) -> None:
        """Merge all tables into one level: what was deleted or overwritten leaves the disk."""
        self._current.compact()

    def start_thread(self) -> None:
        """Have the database's thread started now (`LevelStore.start_thread`)."""
        self._current.start_thread()

    def close(self) -> None:
        """Release the files."""
        if self._staging is not None:
            self._staging.close()
        self._current.close()

    def open_staging(self) -> LevelStore:
        """Return the staging store: empty, or as far as an earlier transfer has come."""
        if self._staging is None:
            path = self._folder / self._other
            if (path / "CURRENT").exists() and _is_chain(path):
                shutil.rmtree(path)  # what was in use before the last switch
            self._staging = LevelStore(path)
        return self._staging

    def drop_staging(self) -> None:
        """Remove the staging store, where nobody wants a state any more."""
        if self._staging is not None:
            self._staging.close()
            self._staging = None
        shutil.rmtree(self._folder / self._other, ignore_errors=True)

    def switch(self, last: WriteBatch) -> None:
        """Write what makes the staging store a chain, and use it from now on (6001–6003).

        Nobody may write meanwhile. Blocking: it waits for the disk.
        """
        if self._staging is None:
            raise LocalError(Code.INTERNAL, "switch without a staging store")
        self._staging.write(last, sync=True)
        write_pointer(self._folder, self._other, self._files)
        old, self._name = self._name, self._other
        self._current, self._staging = self._staging, None
        with suppress(OSError):
            shutil.rmtree(self._folder / old)

    @property
    def _other(self) -> str:
        first, second = DATABASE_NAMES
        return second if self._name == first else first


def _is_chain(path: Path) -> bool:
    """Tell whether a database that is not in use holds a chain, and is no staging store."""
    store = LevelStore(path, create=False)
    try:
        return store.get(HEAD_KEY) is not None
    finally:
        store.close()
