"""The log of a member's own votes and its guard (PBFT.md rules 43–46, F53–F59).

A replica that forgets a vote may contradict it, so votes are durable before they are sent. They
stand in an append-only log: each record is numbered and hash-chained to the one before, so a lost,
changed or moved record shows. A log alone cannot tell that its own end is missing; the guard can.
It is a small file with two slots, written in turn, each twice: (segment, number, hash) of the last
record. `append` writes and syncs the log, then the guard; only then may the messages be sent.

Opened after a crash, one of these holds:

    log ends where the guard says      whole
    log goes on past the guard         those records were never sent; they are honoured
    a torn record past the guard       it was never sent; it is cut off
    log ends before the guard          votes were sent that are gone: VOTE_LOG_BEHIND_GUARD
    a wrong record up to the guard     VOTE_LOG_CORRUPT, with its offset
    a slot of the guard unreadable     whole if the log is past the other slot, else BEHIND_GUARD:
                                       a torn slot was written after the log, so the log is longer

After the last two no vote is given under this key again (rule 46). `prune` starts a new segment
with the records that are still needed: written, synced, renamed, folder synced, guard moved, and
only then is the old segment removed. After any failed write or sync the log refuses everything:
what the disk holds is known only after it is opened again (F54).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from ledger.chain.hashes import tagged_hash
from ledger.errors import Code, LocalError, StorageError
from ledger.storage.files import File, FileSystem
from ledger.storage.vote_guard import (
    COPY_BYTES,
    SLOT_BYTES,
    Guard,
    read_guard,
    write_guard,
)

T = TypeVar("T")

IDENTITY_TAG = b"creditledger/vote-log-of/1"
_RECORD_TAG = b"creditledger/vote-log-record/1"
_MAGIC = b"creditledger/vl1"
_HASH = 32
# A segment's header: magic, segment, number and hash before its first record, kept count,
# identity, and the checksum over all of it.
_HEADER_BYTES = 16 + 4 + 8 + _HASH + 4 + _HASH + _HASH
# A record: length, number, hash; then the payload.
_FRAME_BYTES = 4 + 8 + _HASH
MAX_RECORD_BYTES = 64 * 1024 * 1024

GUARD_NAME = "guard"
_SUFFIX = ".log"
_TEMPORARY = ".new"


class LogState(Enum):
    """How a log and its guard fit together; the last two end voting under the key."""

    WHOLE = "whole"
    AHEAD = "ahead of its guard"
    BEHIND = "behind its guard"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class _Segment:
    """What a segment file holds; `reason` says why reading stopped before the file's end."""

    segment: int
    start_number: int
    start_hash: bytes
    kept: int
    identity: bytes
    records: tuple[bytes, ...]
    hashes: tuple[bytes, ...]
    end: int
    reason: str | None
    is_cut: bool

    @property
    def number(self) -> int:
        """The number of the last record."""
        return self.start_number + len(self.records)

    def hash_at(self, number: int) -> bytes | None:
        """Return the chained hash after record `number`, None where the segment has it not."""
        if number == self.start_number:
            return self.start_hash
        index = number - self.start_number - 1
        return self.hashes[index] if 0 <= index < len(self.hashes) else None

    def offset_of(self, number: int) -> int:
        """Return where the records after `number` begin; 0 where it is not in this segment."""
        index = number - self.start_number
        if not 0 <= index <= len(self.records):
            return 0
        return _HEADER_BYTES + sum(_FRAME_BYTES + len(item) for item in self.records[:index])


@dataclass(frozen=True, slots=True)
class LogReport:
    """What reading a vote log found: its state, and for people file, offset and reason."""

    state: LogState
    reason: str
    file: str
    offset: int
    records: tuple[bytes, ...] = ()
    damaged_copies: tuple[int, ...] = ()

    def raise_if_lost(self) -> None:
        """Raise `StorageError` (6201, 6202) when no vote may be given under this key again."""
        if self.state is LogState.BEHIND:
            raise StorageError(
                Code.VOTE_LOG_BEHIND_GUARD,
                f"vote log is behind its guard: {self.reason}; this key must not vote again, "
                "rejoin under a new key",
            )
        if self.state is LogState.CORRUPT:
            raise StorageError(
                Code.VOTE_LOG_CORRUPT,
                f"vote log is damaged: {self.file} at offset {self.offset}: {self.reason}; "
                "this key must not vote again, rejoin under a new key",
            )


def log_identity(chain_id: bytes, public_key: bytes) -> bytes:
    """Return what ties a log to one chain and one node key."""
    return tagged_hash(IDENTITY_TAG, chain_id, public_key)


def segment_name(segment: int) -> str:
    """Return the file name of a segment."""
    return f"votes-{segment:08d}{_SUFFIX}"


class VoteLog:
    """An open vote log; made by `create_vote_log` and `open_vote_log`."""

    def __init__(
        self,
        folder: Path,
        files: FileSystem,
        segment: _Segment,
        generation: int,
    ) -> None:
        self._folder = folder
        self._files = files
        self._identity = segment.identity
        self._segment = segment.segment
        self._number = segment.number
        self._hash = segment.hash_at(segment.number) or segment.start_hash
        self._size = segment.end
        self._generation = generation
        self._failure: StorageError | None = None
        self._log = files.open(folder / segment_name(segment.segment))
        self._guard = files.open(folder / GUARD_NAME)

    @property
    def number(self) -> int:
        """The number of the last record; they count from 1 over all segments."""
        return self._number

    @property
    def size_bytes(self) -> int:
        """The size of the segment, for the owner to decide when to prune."""
        return self._size

    def append(self, records: Sequence[bytes]) -> None:
        """Make the records durable, in order; when it returns their messages may be sent.

        One sync of the log and one of the guard for the whole group. Raise `StorageError`
        (6002, 6003), and for ever after it.
        """
        if records:
            self._guarded(lambda: self._append(records))

    def read(self) -> list[bytes]:
        """Return the records of the segment, those kept by `prune` first."""
        name = segment_name(self._segment)
        data = self._guarded(lambda: self._files.read(self._folder / name)) or b""
        segment = _parse_segment(data)
        if isinstance(segment, str) or segment.number != self._number:
            raise StorageError(Code.VOTE_LOG_CORRUPT, f"vote log {name} changed under this node")
        return list(segment.records)

    def prune(self, keep: Sequence[bytes]) -> None:
        """Start a new segment that holds `keep`; what is below a stable checkpoint goes (rule 20).

        Raise `StorageError` (6002, 6003), and for ever after it.
        """
        self._guarded(lambda: self._prune(keep))

    def close(self) -> None:
        """Release the files."""
        self._failure = StorageError(Code.STORE_IO, "vote log is closed")
        self._log.close()
        self._guard.close()

    def _guarded(self, action: Callable[[], T]) -> T:
        if self._failure is not None:
            raise self._failure
        try:
            return action()
        except StorageError as error:
            self._failure = error
            raise

    def _append(self, records: Sequence[bytes]) -> None:
        data, number, last_hash = _frames(self._number, self._hash, records)
        self._log.write_at(self._size, data)
        self._log.sync()
        self._size += len(data)
        self._number, self._hash = number, last_hash
        self._move_guard()

    def _move_guard(self) -> None:
        self._generation += 1
        guard = Guard(self._generation, self._segment, self._number, self._hash)
        write_guard(self._guard, guard)

    def _repair_guard(self, damaged: Sequence[int]) -> None:
        """Write damaged copies anew from the whole one of their slot, which is not touched."""
        data = self._files.read(self._folder / GUARD_NAME) or b""
        for slot in read_guard(data)[0]:
            start = slot.generation % 2 * SLOT_BYTES
            for offset in damaged:
                if start <= offset < start + SLOT_BYTES:
                    self._guard.write_at(offset, slot.encoded()[:COPY_BYTES])
        self._guard.sync()

    def _prune(self, keep: Sequence[bytes]) -> None:
        old = self._folder / segment_name(self._segment)
        header = _header(self._segment + 1, self._number, self._hash, len(keep), self._identity)
        frames, number, last_hash = _frames(self._number, self._hash, keep)
        new = _start_segment(self._files, self._folder, self._segment + 1, header + frames)
        self._log.close()
        self._log = new
        self._segment += 1
        self._size = len(header) + len(frames)
        self._number, self._hash = number, last_hash
        self._move_guard()
        self._files.remove(old)


def create_vote_log(folder: Path, files: FileSystem, identity: bytes) -> VoteLog:
    """Create the log of a key that has never voted; raise `LocalError` where one is there."""
    files.make_folder(folder)
    names = files.names(folder)
    if GUARD_NAME in names or any(name.endswith(_SUFFIX) for name in names):
        raise LocalError(Code.VOTE_LOG_CORRUPT, f"{folder} holds a vote log already")
    header = _header(1, 0, identity, 0, identity)
    _start_segment(files, folder, 1, header).close()
    guard = files.open(folder / GUARD_NAME)
    # A guard of a log without records may be torn: nothing was sent, and the home is incomplete.
    guard.write_at(0, Guard(0, 1, 0, identity).encoded() + bytes(SLOT_BYTES))
    guard.sync()
    guard.close()
    files.sync_folder(folder)
    return open_vote_log(folder, files, identity)


def open_vote_log(folder: Path, files: FileSystem, identity: bytes) -> VoteLog:
    """Open a log and bring its guard up to it; raise `StorageError` (6201, 6202) if votes are lost.

    What was written past the guard is kept, a torn end is cut off, remains of an interrupted
    `prune` are removed.
    """
    report, segment, guard = _examine(folder, files, identity)
    report.raise_if_lost()
    if segment is None or guard is None:
        raise LocalError(Code.INTERNAL, "vote log without a segment was not refused")
    _settle(folder, files, segment, guard)
    opened = VoteLog(folder, files, segment, guard.generation)
    if report.state is LogState.AHEAD or segment.segment > guard.segment:
        # The slot that is written now is the older one, or the one that was torn.
        opened._move_guard()
    elif report.damaged_copies:
        opened._repair_guard(report.damaged_copies)
    for name in files.names(folder):
        if name not in (GUARD_NAME, segment_name(segment.segment)):
            files.remove(folder / name)
    return opened


def _settle(folder: Path, files: FileSystem, segment: _Segment, guard: Guard) -> None:
    """Make durable what was found past the guard, and cut off what is torn.

    It is written again: after a sync that failed the system may hold bytes that it shows, calls
    clean and will never write (F54). What the guard names was synced without an error.
    """
    path = folder / segment_name(segment.segment)
    data = files.read(path) or b""
    known = segment.offset_of(guard.number)
    log = files.open(path)
    log.write_at(known, data[known : segment.end])
    log.truncate(segment.end)
    log.sync()
    log.close()
    files.sync_folder(folder)


def inspect_vote_log(folder: Path, files: FileSystem, identity: bytes | None = None) -> LogReport:
    """Read a log and its guard without changing anything; `identity` None takes any owner's."""
    return _examine(folder, files, identity)[0]


def _examine(
    folder: Path, files: FileSystem, identity: bytes | None
) -> tuple[LogReport, _Segment | None, Guard | None]:
    slots, damaged = read_guard(files.read(folder / GUARD_NAME) or b"")
    if not slots:
        return LogReport(LogState.CORRUPT, "no slot can be read", GUARD_NAME, 0), None, None
    guard = max(slots, key=lambda slot: slot.generation)
    segment = _find_segment(folder, files, guard)
    if isinstance(segment, LogReport):
        return segment, None, None
    report = _compare(segment, guard, identity, is_alone=len(slots) == 1 and guard.generation > 0)
    if damaged:
        report = LogReport(
            report.state, report.reason, report.file, report.offset, report.records, damaged
        )
    return report, segment, guard


def _compare(
    segment: _Segment, guard: Guard, identity: bytes | None, *, is_alone: bool
) -> LogReport:
    """Return how a segment and the newest readable slot fit; `is_alone`: the other is torn."""
    name = segment_name(segment.segment)
    if identity is not None and segment.identity != identity:
        return LogReport(LogState.CORRUPT, "log of another key or another chain", name, 0)
    if segment.number < guard.number or len(segment.records) < segment.kept:
        reason = f"last record is {segment.number}, guard says {guard.number}"
        if segment.reason is not None and not segment.is_cut:
            return LogReport(LogState.CORRUPT, segment.reason, name, segment.end)
        return LogReport(LogState.BEHIND, reason, name, segment.end, segment.records)
    if segment.hash_at(guard.number) != guard.last_hash:
        return LogReport(
            LogState.CORRUPT, f"record {guard.number} is not the one the guard names", name, 0
        )
    tail = "" if segment.reason is None else f"; then {segment.reason}, never sent"
    if segment.number > guard.number:
        reason = f"{segment.number - guard.number} records never sent{tail}"
        return LogReport(LogState.AHEAD, reason, name, segment.end, segment.records)
    if is_alone and segment.segment == guard.segment:
        reason = "the newer slot may be the unreadable one, and the log is not past the other"
        return LogReport(LogState.BEHIND, reason, GUARD_NAME, 0, segment.records)
    return LogReport(LogState.WHOLE, f"whole{tail}", name, segment.end, segment.records)


def _find_segment(folder: Path, files: FileSystem, guard: Guard) -> _Segment | LogReport:
    """Return the guard's segment, or the next one when `prune` was interrupted after its rename."""
    following = files.read(folder / segment_name(guard.segment + 1))
    if following is not None:
        segment = _parse_segment(following)
        if not isinstance(segment, str) and segment.hash_at(guard.number) == guard.last_hash:
            return segment
    name = segment_name(guard.segment)
    data = files.read(folder / name)
    if data is None:
        return LogReport(LogState.BEHIND, f"{name} is gone", name, 0)
    segment = _parse_segment(data)
    if isinstance(segment, str):
        return LogReport(LogState.CORRUPT, segment, name, 0)
    if segment.segment != guard.segment:
        return LogReport(LogState.CORRUPT, f"holds segment {segment.segment}", name, 0)
    return segment


def _start_segment(files: FileSystem, folder: Path, segment: int, data: bytes) -> File:
    """Write a segment under a temporary name, sync, rename, sync the folder; return it open."""
    target = folder / segment_name(segment)
    temporary = target.with_name(target.name + _TEMPORARY)
    files.remove(temporary)
    file = files.open(temporary)
    file.write_at(0, data)
    file.sync()
    files.rename(temporary, target)
    files.sync_folder(folder)
    return file


def _header(segment: int, number: int, last_hash: bytes, kept: int, identity: bytes) -> bytes:
    head = b"".join(
        (
            _MAGIC,
            segment.to_bytes(4, "big"),
            number.to_bytes(8, "big"),
            last_hash,
            kept.to_bytes(4, "big"),
            identity,
        )
    )
    return head + sha256(head).digest()


def _frames(number: int, last_hash: bytes, records: Sequence[bytes]) -> tuple[bytes, int, bytes]:
    """Return the bytes of records chained after (number, last_hash), and the new end."""
    parts: list[bytes] = []
    for record in records:
        if len(record) > MAX_RECORD_BYTES:
            raise LocalError(
                Code.INTERNAL, f"vote record of {len(record)} bytes, want at most 67108864"
            )
        number += 1
        last_hash = _chained(last_hash, number, record)
        parts += (len(record).to_bytes(4, "big"), number.to_bytes(8, "big"), last_hash, record)
    return b"".join(parts), number, last_hash


def _chained(last_hash: bytes, number: int, record: bytes) -> bytes:
    return tagged_hash(_RECORD_TAG, last_hash, number.to_bytes(8, "big"), record)


def _parse_segment(data: bytes) -> _Segment | str:
    """Return what the file holds up to its first wrong record, or why it is no segment at all."""
    head, checksum = data[: _HEADER_BYTES - _HASH], data[_HEADER_BYTES - _HASH : _HEADER_BYTES]
    if not head.startswith(_MAGIC) or sha256(head).digest() != checksum:
        return "header of the segment is damaged"
    start = int.from_bytes(head[20:28], "big")
    records: list[bytes] = []
    hashes: list[bytes] = []
    last_hash, position, reason, is_cut = head[28:60], _HEADER_BYTES, None, False
    start_hash = last_hash
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + _FRAME_BYTES + length
        number = start + len(records) + 1
        if position + _FRAME_BYTES > len(data) or end > len(data):
            reason, is_cut = f"record {number} is cut off", True
            break
        record = data[position + _FRAME_BYTES : end]
        if data[position + 4 : position + 12] != number.to_bytes(8, "big"):
            reason = f"record {number} has another number"
            break
        last_hash = _chained(last_hash, number, record)
        if data[position + 12 : position + _FRAME_BYTES] != last_hash:
            reason = f"record {number} does not hash to what it says"
            break
        records.append(record)
        hashes.append(last_hash)
        position = end
    return _Segment(
        segment=int.from_bytes(head[16:20], "big"),
        start_number=start,
        start_hash=start_hash,
        kept=int.from_bytes(head[60:64], "big"),
        identity=head[64:96],
        records=tuple(records),
        hashes=tuple(hashes),
        end=position,
        reason=reason,
        is_cut=is_cut,
    )
