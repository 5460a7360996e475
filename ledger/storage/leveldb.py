"""The Store of a node: LevelDB, opened so that it does not hide damage (PBFT part 4, F54–F57).

LevelDB's defaults trust the disk: corrupt log records are skipped at open, checksums of blocks are
not looked at, writes are not synced. Here `paranoid_checks` is on, every read verifies checksums,
and `write(..., sync=True)` returns only after fsync. A failed write closes the store for writing:
after an fsync error the kernel may hold pages that it calls clean and that the disk never saw, so
only a reopened database tells what survived. Reads go on, for those who must look at the ruins.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import plyvel

from ledger.errors import Code, StorageError
from ledger.storage.files import DISK_FULL_ERRNOS, DiskFiles
from ledger.storage.store import Reader, WriteBatch

_BLOOM_BITS = 10
_WRITE_BUFFER_BYTES = 8 * 1024 * 1024
_CACHE_BYTES = 32 * 1024 * 1024
_MAX_OPEN_FILES = 200
_ABOVE_ALL = b"\xff" * 65  # no key of ours is as long and as high


class _LevelReader:
    """Reads of a database or of one of its snapshots; every read verifies checksums."""

    def __init__(self, handle: plyvel.DB, path: Path) -> None:
        self._handle = handle
        self._path = path

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None; raise `StorageError` (6001, 6002)."""
        try:
            value: bytes | None = self._handle.get(key, verify_checksums=True)
        except (plyvel.Error, OSError) as error:
            raise storage_error(error, self._path) from None
        return value

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start ≤ key < end; raise `StorageError` (6001, 6002).

        A raw iterator, which raises at the first block that cannot be read. The other kind drops
        the error of a range's last block and ends as if nothing more were there (F57, measured).
        """
        if start >= end:
            return
        try:
            cursor = self._handle.raw_iterator(verify_checksums=True)
            try:
                yield from (
                    _backward(cursor, start, end) if reverse else _forward(cursor, start, end)
                )
            finally:
                cursor.close()
        except (plyvel.Error, OSError) as error:
            raise storage_error(error, self._path) from None


def _forward(cursor: Any, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    cursor.seek(start)
    while cursor.valid():
        entry: tuple[bytes, bytes] = cursor.item()
        if entry[0] >= end:
            return
        yield entry
        cursor.next()


def _backward(cursor: Any, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    cursor.seek(end)
    if cursor.valid():
        cursor.prev()
    else:
        cursor.seek_to_last()
    while cursor.valid():
        entry: tuple[bytes, bytes] = cursor.item()
        if entry[0] < start:
            return
        yield entry
        cursor.prev()


class LevelStore(_LevelReader):
    """An ordered map of bytes on disk (`ledger.storage.store.Store`)."""

    def __init__(
        self,
        path: Path | str,
        *,
        create: bool = True,
        write_buffer_bytes: int = _WRITE_BUFFER_BYTES,
    ) -> None:
        """Open the database folder; raise `StorageError` (6001–6003) when it cannot be trusted.

        `write_buffer_bytes` is what is gathered in memory before a table is written of it.
        """
        path = Path(path)
        try:
            database = plyvel.DB(
                os.fspath(path),
                create_if_missing=create,
                paranoid_checks=True,
                bloom_filter_bits=_BLOOM_BITS,
                write_buffer_size=write_buffer_bytes,
                lru_cache_size=_CACHE_BYTES,
                max_open_files=_MAX_OPEN_FILES,
            )
        except (plyvel.Error, OSError) as error:
            raise storage_error(error, path) from None
        # LevelDB renames CURRENT at each open and leaves it to chance when the name is durable.
        DiskFiles().sync_folder(path)
        super().__init__(database, path)
        self._failure: StorageError | None = None

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        """Apply the whole batch or none of it; raise `StorageError` and refuse writes after it."""
        if self._failure is not None:
            raise self._failure
        try:
            with self._handle.write_batch(transaction=True, sync=sync) as pending:
                for key, value in batch.items():
                    if value is None:
                        pending.delete(key)
                    else:
                        pending.put(key, value)
        except (plyvel.Error, OSError) as error:
            self._failure = storage_error(error, self._path)
            raise self._failure from None

    def snapshot(self) -> Reader:
        """Return a view of this moment."""
        return _LevelReader(self._handle.snapshot(), self._path)

    def compact(self) -> None:
        """Merge all tables into one level: what was deleted or overwritten leaves the disk."""
        try:
            # Without bounds plyvel hands over two empty ones, and nothing is merged.
            self._handle.compact_range(start=b"", stop=_ABOVE_ALL)
        except (plyvel.Error, OSError) as error:
            raise storage_error(error, self._path) from None

    def start_thread(self) -> None:
        """Have the library start the thread that merges tables; the process keeps it from then on.

        Else it is started when there is first something to merge, and where the system gives no
        thread at that moment the library ends the process (F48).
        """
        try:
            self._handle.compact_range(start=b"", stop=b"")
        except (plyvel.Error, OSError) as error:
            raise storage_error(error, self._path) from None

    def close(self) -> None:
        """Release the files; snapshots and scans of this store end with it."""
        with suppress(plyvel.Error):
            self._handle.close()


def salvage(path: Path) -> LevelStore:
    """Open what is left of a database that `LevelStore` refuses; its files are changed.

    A manifest is made of the tables and logs that are there. Nothing of it is whole for certain:
    whoever reads it must prove what he takes. Raise `StorageError` (6001, 6002).
    """
    try:
        plyvel.repair_db(os.fspath(path))
    except (plyvel.Error, OSError) as error:
        raise storage_error(error, path) from None
    return LevelStore(path, create=False)


def storage_error(error: Exception, path: Path) -> StorageError:
    """Return the numbered error for what the database or the system said about `path`."""
    detail = error.args[0] if error.args else ""
    # plyvel hands LevelDB's status on as bytes; the system's errors are text already.
    text = detail.decode(errors="replace") if isinstance(detail, bytes) else str(error)
    is_full = isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS
    if is_full or any(os.strerror(number) in text for number in DISK_FULL_ERRNOS):
        return StorageError(
            Code.DISK_FULL, f"no space left for {path}: free space, then start the node again"
        )
    if isinstance(error, plyvel.CorruptionError) or text.startswith("Corruption"):
        return StorageError(
            Code.STORE_CORRUPT,
            f"database {path} is damaged: {text}; audit it, then creditledger repair",
        )
    return StorageError(Code.STORE_IO, f"database {path}: {text}")
