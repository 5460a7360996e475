"""The guard of a vote log: which record was the last when messages were last allowed to leave.

A small file with two slots that are written in turn, so that a torn write spoils the newer one at
most, and each slot twice in sectors of its own, so that a flipped bit spoils none. A slot says
(generation, segment, number, hash); the higher generation counts (PBFT.md rule 45).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from ledger.storage.files import File

_MAGIC = b"creditledger/vl1"
_HASH = 32
# Disks write sectors of 512 bytes whole or not at all; a copy never shares one with another.
COPY_BYTES = 512
_COPIES = 2
SLOT_BYTES = _COPIES * COPY_BYTES
GUARD_BYTES = 2 * SLOT_BYTES


@dataclass(frozen=True, slots=True)
class Guard:
    """One slot: which record was the last when messages were last allowed to leave."""

    generation: int
    segment: int
    number: int
    last_hash: bytes

    def encoded(self) -> bytes:
        """Return the bytes of the slot: its copies, each with a checksum, in sectors of its own."""
        head = b"".join(
            (
                _MAGIC,
                self.generation.to_bytes(8, "big"),
                self.segment.to_bytes(4, "big"),
                self.number.to_bytes(8, "big"),
                self.last_hash,
            )
        )
        copy = (head + sha256(head).digest()).ljust(COPY_BYTES, b"\x00")
        return copy * _COPIES


def read_guard(data: bytes) -> tuple[list[Guard], tuple[int, ...]]:
    """Return the readable slots, and the offsets of copies that cannot be read."""
    slots: list[Guard] = []
    damaged: list[int] = []
    for slot in range(2):
        copies = [
            (offset, _parse_copy(data[offset : offset + COPY_BYTES], slot))
            for offset in range(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES, COPY_BYTES)
        ]
        whole = [guard for _, guard in copies if guard is not None]
        if whole:
            slots.append(max(whole, key=lambda guard: guard.generation))
        damaged += [offset for offset, guard in copies if guard is None]
    is_new = len(slots) == 1 and slots[0].generation == 0
    if is_new and data[SLOT_BYTES:] == bytes(SLOT_BYTES):
        damaged = [offset for offset in damaged if offset < SLOT_BYTES]
    return slots, tuple(damaged)


def _parse_copy(copy: bytes, slot: int) -> Guard | None:
    head_bytes = len(_MAGIC) + 8 + 4 + 8 + _HASH
    head, checksum = copy[:head_bytes], copy[head_bytes : head_bytes + _HASH]
    padding = copy[head_bytes + _HASH :]
    if not head.startswith(_MAGIC) or sha256(head).digest() != checksum or any(padding):
        return None
    numbers = head[len(_MAGIC) :]
    guard = Guard(
        int.from_bytes(numbers[:8], "big"),
        int.from_bytes(numbers[8:12], "big"),
        int.from_bytes(numbers[12:20], "big"),
        numbers[20:],
    )
    # A whole copy in the other slot's place was misdirected by the disk (F58).
    return guard if guard.generation % 2 == slot else None


def write_guard(file: File, guard: Guard) -> None:
    """Write the slot whose turn it is, and sync; the other one stays as it is."""
    file.write_at(guard.generation % 2 * SLOT_BYTES, guard.encoded())
    file.sync()
