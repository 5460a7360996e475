"""What the library of `shim.c` wrote down: the operations on the files of one folder, in order."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

_HEAD = struct.Struct("<IBBHIIQ")
_MAGIC = 0x4B534944
MARKS = "marks"


class Kind(IntEnum):
    """What was done; the numbers are those of `shim.c`."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    RENAME = 5
    UNLINK = 6
    FOLDER = 7


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: `path` below the folder; `offset` is the size for TRUNCATE.

    `has_failed`: the process was told that it failed, or told so falsely that it did not.
    """

    kind: Kind
    path: str
    second: str
    offset: int
    data: bytes
    has_failed: bool

    @property
    def is_mark(self) -> bool:
        """Tell whether a program said here what it has promised."""
        return self.kind is Kind.WRITE and self.path == MARKS


def read_recording(path: Path) -> list[Operation]:
    """Return the operations of a recording; a process that was killed leaves whole ones."""
    data = path.read_bytes()
    found: list[Operation] = []
    position = 0
    while position < len(data):
        magic, kind, failed, first, second, size, offset = _HEAD.unpack_from(data, position)
        assert magic == _MAGIC, f"recording {path} is damaged at {position}"
        position += _HEAD.size
        name = data[position : position + first].decode()
        position += first
        other = data[position : position + second].decode()
        position += second
        content = data[position : position + size]
        position += size
        found.append(Operation(Kind(kind), name, other, offset, content, bool(failed)))
    return found
