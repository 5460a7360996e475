"""The few file operations on which durability rests, behind a seam (PBFT.md F53–F56).

What must survive a power cut is written through a `FileSystem`, so that a test can put a simulated
one in its place and lose, tear or refuse any write, fsync or rename. `DiskFiles` is the real one.
Every failure of the system is a `StorageError`: 6003 when the disk is full, else 6002.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Protocol

from ledger.errors import Code, StorageError

# The disk itself, a user's quota of it, or the process's limit: nothing more can be written.
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class File(Protocol):
    """An open file."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`; not durable until `sync`."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes; not durable until `sync`."""
        ...

    def sync(self) -> None:
        """Return when the content is on the disk."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class FileSystem(Protocol):
    """Files and folders; changes of names are durable after `sync_folder`."""

    def read(self, path: Path) -> bytes | None:
        """Return the whole content, or None when there is no such file."""
        ...

    def open(self, path: Path) -> File:
        """Open for writing, created empty when it is not there."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Give the file another name, in place of what had it, at once or not at all."""
        ...

    def remove(self, path: Path) -> None:
        """Remove the file; nothing happens when it is not there."""
        ...

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, in order; none when it is not there."""
        ...

    def make_folder(self, path: Path) -> None:
        """Create the folder where it is not there."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Return when the names in the folder are on the disk."""
        ...


def file_error(error: OSError, path: Path) -> StorageError:
    """Return the numbered error for what the system said about `path`."""
    if error.errno in DISK_FULL_ERRNOS:
        return StorageError(
            Code.DISK_FULL, f"no space left for {path}: free space, then start the node again"
        )
    return StorageError(Code.STORE_IO, f"{path}: {os.strerror(error.errno or 0).lower()}")


class _DiskFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write_at(self, offset: int, data: bytes) -> None:
        try:
            done = 0
            view = memoryview(data)
            while done < len(data):
                done += os.pwrite(self._descriptor, view[done:], offset + done)
        except OSError as error:
            raise file_error(error, self._path) from None

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise file_error(error, self._path) from None

    def sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise file_error(error, self._path) from None

    def close(self) -> None:
        os.close(self._descriptor)


class DiskFiles:
    """The file system of the machine."""

    def read(self, path: Path) -> bytes | None:
        """Return the whole content, or None when there is no such file."""
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise file_error(error, path) from None

    def open(self, path: Path) -> File:
        """Open for writing, created empty when it is not there."""
        try:
            return _DiskFile(path)
        except OSError as error:
            raise file_error(error, path) from None

    def rename(self, source: Path, target: Path) -> None:
        """Give the file another name, in place of what had it."""
        try:
            os.replace(source, target)
        except OSError as error:
            raise file_error(error, target) from None

    def remove(self, path: Path) -> None:
        """Remove the file if it is there."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise file_error(error, path) from None

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, in order; none when it is not there."""
        try:
            return sorted(os.listdir(folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise file_error(error, folder) from None

    def make_folder(self, path: Path) -> None:
        """Create the folder, with those above it, where it is not there."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise file_error(error, path) from None

    def sync_folder(self, path: Path) -> None:
        """Return when the names in the folder are on the disk."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise file_error(error, path) from None
