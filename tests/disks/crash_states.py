"""The states in which a crash may leave a folder, computed from a recording (ALICE, F53, F56, F58).

`Disk` replays a recording: each file is an inode with what is on the disk for certain and the
writes that are not there yet; names are pending until the folder, or the file that has them, is
synced. After any operation `states()` yields what the next start may find:

    kept          everything reached the disk
    lost          nothing did that was not synced
    files N       the unsynced writes of the first N files, or of all but the first N
    torn N        the last write stops at the Nth sector of 512 bytes
    names N       the first N unsynced changes of names, and all data

That is what ext4, XFS and btrfs may leave: bytes at the end of a file come in order, without holes;
a synced file keeps the name under which it was created; changes of names reach the disk in order.
`holes()` yields what a disk without any order may leave besides:

    without N     the Nth unsynced write is missing, all others are there, later ones included
    only N        it alone is there
    tail N        the last write lacks its sectors before the Nth
    zeros         the file has grown for the last write, whose bytes never came
    no name N     the Nth unsynced change of a name is missing, all others are there

Below `strict_folder` a name is kept only by a sync of the folder, not by one of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.disks.recording import Kind, Operation

SECTOR = 512

Write = tuple[int, bytes | None]
Tree = dict[str, bytes]
_Pending = tuple["_Inode", Write]
_Cut = tuple[str, list[_Pending], "_Inode", int, bytes, bytes]


@dataclass(slots=True, eq=False)
class _Inode:
    durable: bytes = b""
    pending: list[Write] = field(default_factory=list)

    def content(self, writes: Iterable[Write]) -> bytes:
        data = bytearray(self.durable)
        for offset, written in writes:
            _apply(data, offset, written)
        return bytes(data)


@dataclass(frozen=True, slots=True)
class _NameChange:
    """`name` gets `inode`, or goes; `source` is the name it had before a rename."""

    name: str
    inode: _Inode | None
    source: str = ""

    def apply(self, names: dict[str, _Inode]) -> None:
        names.pop(self.source, None)
        if self.inode is None:
            names.pop(self.name, None)
        else:
            names[self.name] = self.inode


@dataclass(frozen=True, slots=True)
class State:
    """Files by path below the folder, and the words for what is missing of them.

    The files are computed when they are asked for, and only until the disk goes on.
    """

    words: str
    make: Callable[[], Tree]

    @property
    def files(self) -> Tree:
        """The files by path."""
        return self.make()

    def write(self, folder: Path) -> Path:
        """Write the files below a new folder."""
        for path, data in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return folder


class Disk:
    """A folder as the operations of a recording change it."""

    def __init__(self, files: Tree, *, strict_folder: str = "votes/") -> None:
        self._now = {path: _Inode(data) for path, data in files.items()}
        self._durable = dict(self._now)
        self._changes: list[_NameChange] = []
        self._last: tuple[_Inode, Write] | None = None
        self._strict_folder = strict_folder

    def apply(self, operation: Operation) -> None:
        """Do what a process did; what failed changed nothing, and spoils what it should sync."""
        self._last = None
        if operation.is_mark:
            return
        if operation.has_failed:
            if operation.kind is Kind.SYNC:
                self._lose(operation.path)
            return
        match operation.kind:
            case Kind.CREATE:
                self._change(_NameChange(operation.path, _Inode()))
            case Kind.RENAME:
                # LevelDB's diary LOG is written past the library; it holds no data.
                inode = self._now.get(operation.path, _Inode())
                self._change(_NameChange(operation.second, inode, operation.path))
            case Kind.UNLINK:
                self._change(_NameChange(operation.path, None))
            case Kind.WRITE | Kind.TRUNCATE:
                inode = self._now[operation.path]
                is_write = operation.kind is Kind.WRITE
                write = (operation.offset, operation.data if is_write else None)
                inode.pending.append(write)
                self._last = (inode, write)
            case Kind.SYNC:
                self._sync(self._now[operation.path])
            case Kind.FOLDER:
                self._sync_folder(operation.path)

    def current(self) -> Tree:
        """Return what the process itself reads."""
        return {path: inode.content(inode.pending) for path, inode in self._now.items()}

    def states(self) -> Iterator[State]:
        """Yield what a file system that keeps appended bytes and names in order may leave."""
        yield State("kept", self.current)
        yield State("lost", partial(self._state, self._durable, ()))
        pending = self._pending()
        inodes = list(dict.fromkeys(inode for inode, _ in pending))
        for count in range(len(inodes) + 1):
            chosen = inodes[:count]
            first = [entry for entry in pending if entry[0] in chosen]
            yield State(f"files {count}", partial(self._state, self._now, first))
            rest = [entry for entry in pending if entry[0] not in chosen]
            yield State(f"files not {count}", partial(self._state, self._now, rest))
        for count in range(len(self._changes)):
            names = dict(self._durable)
            for change in self._changes[:count]:
                change.apply(names)
            yield State(f"names {count}", partial(self._state, names, pending))
        for words, before, inode, offset, head, _ in self._cuts(pending):
            yield State(words, partial(self._state, self._now, [*before, (inode, (offset, head))]))

    def holes(self) -> Iterator[State]:
        """Yield what may be left besides by a disk that keeps no order at all."""
        pending = self._pending()
        for index in range(len(pending)):
            kept = pending[:index] + pending[index + 1 :]
            yield State(f"without {index}", partial(self._state, self._now, kept))
            yield State(
                f"only {index}", partial(self._state, self._now, pending[index : index + 1])
            )
        for index in range(len(self._changes)):
            names = dict(self._durable)
            for change in self._changes[:index] + self._changes[index + 1 :]:
                change.apply(names)
            yield State(f"no name {index}", partial(self._state, names, pending))
        for words, before, inode, offset, head, tail in self._cuts(pending):
            late = (offset + len(head), tail)
            yield State(f"{words} tail", partial(self._state, self._now, [*before, (inode, late)]))
            zeros = (offset, bytes(len(head) + len(tail)))
            if offset >= len(inode.durable):
                yield State("zeros", partial(self._state, self._now, [*before, (inode, zeros)]))

    def _cuts(self, pending: list[_Pending]) -> Iterator[_Cut]:
        """Yield the last write in two parts, at each sector's edge."""
        if self._last is None or self._last[1][1] is None:
            return
        inode, (offset, data) = self._last
        before = [entry for entry in pending if entry != self._last]
        for cut in range(SECTOR - offset % SECTOR, len(data or b""), SECTOR):
            words = f"torn {(offset + cut) // SECTOR}"
            yield words, before, inode, offset, (data or b"")[:cut], (data or b"")[cut:]

    def _change(self, change: _NameChange) -> None:
        change.apply(self._now)
        self._changes.append(change)

    def _pending(self) -> list[tuple[_Inode, Write]]:
        inodes = list(dict.fromkeys(self._now.values()))
        return [(inode, write) for inode in inodes for write in inode.pending]

    def _state(self, names: dict[str, _Inode], kept: Iterable[tuple[_Inode, Write]]) -> Tree:
        writes: dict[_Inode, list[Write]] = {}
        for inode, write in kept:
            writes.setdefault(inode, []).append(write)
        return {path: inode.content(writes.get(inode, ())) for path, inode in names.items()}

    def _sync(self, inode: _Inode) -> None:
        inode.durable = inode.content(inode.pending)
        inode.pending.clear()
        created = [
            index
            for index, change in enumerate(self._changes)
            if change.inode is inode
            and not change.source
            and not change.name.startswith(self._strict_folder)
        ]
        if created:
            self._settle(created[-1] + 1)

    def _sync_folder(self, folder: str) -> None:
        prefix = "" if folder == "." else f"{folder}/"
        inside = [
            index
            for index, change in enumerate(self._changes)
            if change.name.startswith(prefix) and "/" not in change.name[len(prefix) :]
        ]
        for index in inside:
            self._changes[index].apply(self._durable)
        self._changes = [c for i, c in enumerate(self._changes) if i not in inside]

    def _settle(self, count: int) -> None:
        """Make the first `count` changes of names durable: they reach the disk in order."""
        for change in self._changes[:count]:
            change.apply(self._durable)
        del self._changes[:count]

    def _lose(self, path: str) -> None:
        """Forget a file's unsynced writes: the system calls their pages clean (CuttleFS)."""
        inode = self._now.get(path)
        if inode is not None:
            inode.pending.clear()


def _apply(data: bytearray, offset: int, written: bytes | None) -> None:
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    if written is None:
        del data[offset:]
    else:
        data[offset : offset + len(written)] = written
