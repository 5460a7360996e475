"""A file system in memory that crashes: unsynced writes and names are lost, kept or torn.

Every operation that changes something counts; at the chosen one the machine stops (`Crash`), and
`after_crash` returns what a disk may hold then: what was synced for certain, and of the rest each
write, sector by sector, and each change of a name as the dice fall. A lying disk says that it has
synced and has not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ledger.errors import Code, StorageError

SECTOR = 512


class Crash(Exception):
    """The machine stopped."""


@dataclass(slots=True)
class _Content:
    """A file's content: what is on the disk, and the writes that are not there yet."""

    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def current(self) -> bytes:
        data = bytearray(self.durable)
        for offset, written in self.pending:
            _apply(data, offset, written)
        return bytes(data)


def _apply(data: bytearray, offset: int, written: bytes | None) -> None:
    if written is None:
        del data[offset:]
        data.extend(bytes(offset - len(data)))
        return
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(written)] = written


class SimulatedFiles:
    """`ledger.storage.files.FileSystem` in memory, with faults."""

    def __init__(self) -> None:
        self.operations = 0
        self.crash_at: int | None = None
        self.fail_at: int | None = None
        self.fail_code = Code.STORE_IO
        self.is_lying = False
        self._names: dict[Path, _Content] = {}
        self._durable_names: dict[Path, _Content] = {}
        self._pending_names: list[Callable[[dict[Path, _Content]], None]] = []

    def step(self) -> None:
        """Count one changing operation, and crash or fail at the chosen one."""
        self.operations += 1
        if self.operations == self.crash_at:
            raise Crash
        if self.operations == self.fail_at:
            raise StorageError(self.fail_code, "simulated failure")

    def read(self, path: Path) -> bytes | None:
        content = self._names.get(path)
        return None if content is None else content.current()

    def open(self, path: Path) -> _SimulatedFile:
        if path not in self._names:
            self.step()
            content = _Content()
            self._names[path] = content
            self._pending_names.append(lambda names: names.__setitem__(path, content))
        return _SimulatedFile(self, self._names[path])

    def rename(self, source: Path, target: Path) -> None:
        self.step()
        content = self._names.pop(source)
        self._names[target] = content

        def change(names: dict[Path, _Content]) -> None:
            names.pop(source, None)
            names[target] = content

        self._pending_names.append(change)

    def remove(self, path: Path) -> None:
        if path in self._names:
            self.step()
            del self._names[path]
            self._pending_names.append(lambda names: names.pop(path, None) and None)

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in self._names if path.parent == folder)

    def make_folder(self, path: Path) -> None:
        """Folders are always there."""

    def sync_folder(self, path: Path) -> None:
        self.step()
        if self.is_lying:
            return
        self._durable_names = dict(self._names)
        self._pending_names.clear()

    def overwrite(self, path: Path, data: bytes) -> None:
        """Damage a file behind the program's back."""
        self._names[path] = _Content(data)

    def drop(self, path: Path) -> None:
        """Lose a file behind the program's back."""
        del self._names[path]

    def after_crash(self, dice: Random) -> SimulatedFiles:
        """Return a file system as the next start may find it."""
        after = SimulatedFiles()
        names = dict(self._durable_names)
        for change in self._pending_names[: dice.randint(0, len(self._pending_names))]:
            change(names)
        mode = dice.choice(("lost", "kept", "torn"))
        for path, content in names.items():
            data = bytearray(content.durable)
            for offset, written in content.pending:
                _tear(data, offset, written, mode, dice)
            after._names[path] = _Content(bytes(data))
        after._durable_names = dict(after._names)
        return after


def _tear(data: bytearray, offset: int, written: bytes | None, mode: str, dice: Random) -> None:
    if mode == "kept" or (mode == "torn" and written is None and dice.random() < 0.5):
        _apply(data, offset, written)
    elif mode == "torn" and written is not None:
        end = offset + len(written)
        for start in range(offset - offset % SECTOR, end, SECTOR):
            low, high = max(start, offset), min(start + SECTOR, end)
            if dice.random() < 0.5:
                _apply(data, low, written[low - offset : high - offset])


class _SimulatedFile:
    def __init__(self, files: SimulatedFiles, content: _Content) -> None:
        self._files = files
        self._content = content

    def write_at(self, offset: int, data: bytes) -> None:
        self._content.pending.append((offset, data))
        self._files.step()

    def truncate(self, size: int) -> None:
        if size != len(self._content.current()):
            self._content.pending.append((size, None))
            self._files.step()

    def sync(self) -> None:
        self._files.step()
        if self._files.is_lying:
            return
        self._content.durable = self._content.current()
        self._content.pending.clear()

    def close(self) -> None:
        """Nothing is held."""
