"""A Store on one append-only file of a simulated disk: atomic batches as a database keeps them.

A batch is a frame: length, checksum, the encoded entries. What is written with `sync` is durable
when `write` returns; without, it may be lost with all that follows it. At opening, what comes after
the first frame that is not whole is cut off, as LevelDB does with the end of its log.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from ledger.encoding import decode, encode
from ledger.storage.files import FileSystem
from ledger.storage.memory import MemoryStore
from ledger.storage.store import Reader, WriteBatch

_LENGTH, _CHECKSUM = 4, 32
_HEAD = _LENGTH + _CHECKSUM
FRAME_BYTES_MAX = 2**24


class FileStore:
    """An ordered map of bytes (`ledger.storage.store.Store`) in the file `path`."""

    def __init__(self, path: Path, files: FileSystem) -> None:
        is_new = files.read(path) is None
        self._memory = MemoryStore()
        self._file = files.open(path)
        if is_new:
            files.sync_folder(path.parent)
        self._size = self._replay(files.read(path) or b"")
        self._file.truncate(self._size)
        self._file.sync()

    def _replay(self, data: bytes) -> int:
        """Apply all whole frames; return where they end."""
        position = 0
        while position + _HEAD <= len(data):
            length = int.from_bytes(data[position : position + _LENGTH], "big")
            body = data[position + _HEAD : position + _HEAD + length]
            checksum = data[position + _LENGTH : position + _HEAD]
            if len(body) < length or sha256(body).digest() != checksum:
                break
            entries = decode(body, FRAME_BYTES_MAX, FRAME_BYTES_MAX)
            self._memory.write(dict(entries), sync=False)
            position += _HEAD + length
        return position

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""
        return self._memory.get(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) with start ≤ key < end."""
        return self._memory.scan(start, end, reverse=reverse)

    def write(self, batch: WriteBatch, *, sync: bool) -> None:
        """Append the batch as one frame; an empty one only syncs."""
        if batch:
            body = encode(tuple(batch.items()))
            frame = len(body).to_bytes(_LENGTH, "big") + sha256(body).digest() + body
            self._file.write_at(self._size, frame)
            self._size += len(frame)
        if sync:
            self._file.sync()
        self._memory.write(batch, sync=sync)

    def snapshot(self) -> Reader:
        """Return a copy of this moment."""
        return self._memory.snapshot()

    def close(self) -> None:
        """Release the file."""
        self._file.close()
