"""Merkle trees of RFC 9162 (section 2): roots, inclusion and consistency proofs, a growing log.

Leaves are hashed with the prefix 0x00 and nodes with 0x01; a tree of n leaves splits at the
largest power of two below n. `Frontier` is the compact form of an append-only log: the roots of
its complete subtrees, from which the root and every later root follow. Hashes are 32 bytes;
proofs are lists of hashes, nearest first; a proof that does not verify raises `Refused` (1304).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import Code, Refused

EMPTY_ROOT = sha256(b"").digest()
_HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def compute_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, level by level; an odd one out moves up unchanged."""
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def _next_level(level: list[bytes]) -> list[bytes]:
    paired = [
        sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)
    ]
    if len(level) % 2:
        paired.append(level[-1])
    return paired


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree over `leaves` (RFC 9162, 2.1.3.1)."""
    return Levels(leaves).path(index)


class Levels:
    """A whole tree, hashed once: the audit paths of many of its leaves."""

    __slots__ = ("_levels",)

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            self._levels.append(_next_level(self._levels[-1]))

    def path(self, index: int) -> list[bytes]:
        """Return the audit path of leaf `index` (RFC 9162, 2.1.3.1); raise `Refused` (1304)."""
        size = len(self._levels[0])
        if not 0 <= index < size:
            raise Refused(Code.PROOF_INVALID, f"leaf {index} of a tree of {size}")
        path: list[bytes] = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index //= 2
        return path


def verify_inclusion(
    root: bytes, size: int, index: int, leaf: bytes, path: Sequence[bytes]
) -> None:
    """Raise unless `path` proves leaf hash `leaf` at `index` under `root` (RFC 9162, 2.1.3.2)."""
    if root_from_inclusion(size, index, leaf, path) != root:
        raise Refused(Code.PROOF_INVALID, "inclusion proof leads to another root")


def root_from_inclusion(size: int, index: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Return the root that `path` leads to from leaf hash `leaf`; raise for a wrong length."""
    if not 0 <= index < size:
        raise Refused(Code.PROOF_INVALID, f"leaf {index} of a tree of {size}")
    if len(leaf) != _HASH_BYTES or any(len(item) != _HASH_BYTES for item in path):
        raise Refused(Code.PROOF_INVALID, "inclusion proof holds what is not a hash of 32 bytes")
    node, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Refused(Code.PROOF_INVALID, "inclusion proof is too long")
        if node & 1 or node == last:
            current = node_hash(sibling, current)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise Refused(Code.PROOF_INVALID, "inclusion proof is too short")
    return current


def consistency_path(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the first `old_size` leaves are unchanged (RFC 9162, 2.1.4.1)."""
    if not 0 < old_size <= len(leaves):
        raise Refused(Code.PROOF_INVALID, f"old size {old_size} of a tree of {len(leaves)}")
    path: list[bytes] = []
    start, end, is_whole = 0, len(leaves), True
    size = old_size
    while size != end - start:
        split = 1 << (end - start - 1).bit_length() - 1
        if size <= split:
            path.append(compute_root(leaves[start + split : end]))
            end = start + split
        else:
            path.append(compute_root(leaves[start : start + split]))
            start, size, is_whole = start + split, size - split, False
    if not is_whole:
        path.append(compute_root(leaves[start:end]))
    return path[::-1]


def verify_consistency(
    old_root: bytes, old_size: int, new_root: bytes, new_size: int, path: Sequence[bytes]
) -> None:
    """Raise unless `path` proves that the old tree is a prefix of the new (RFC 9162, 2.1.4.2).

    An empty old tree is refused as well: every tree begins with it, so nothing is proven.
    """
    if not 0 < old_size <= new_size:
        raise Refused(Code.PROOF_INVALID, f"old size {old_size}, want 1 to {new_size}")
    if old_size == new_size:
        if path:
            raise Refused(Code.PROOF_INVALID, "consistency proof must be empty here")
        if old_root != new_root:
            raise Refused(Code.PROOF_INVALID, "same size, other root")
        return
    steps = list(path)
    if old_size & (old_size - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise Refused(Code.PROOF_INVALID, "consistency proof is empty")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise Refused(Code.PROOF_INVALID, "consistency proof is too long")
        if node & 1 or node == last:
            first = node_hash(step, first)
            second = node_hash(step, second)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            second = node_hash(second, step)
        node >>= 1
        last >>= 1
    if last or first != old_root or second != new_root:
        raise Refused(Code.PROOF_INVALID, "consistency proof leads to other roots")


@dataclass(frozen=True, slots=True)
class Frontier:
    """An append-only log by its size and the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def appended(self, leaves: Sequence[bytes]) -> Frontier:
        """Return the log with these leaf hashes appended."""
        peaks, size = list(self.peaks), self.size
        for leaf in leaves:
            current, carry = leaf, size
            while carry & 1:
                current = node_hash(peaks.pop(), current)
                carry >>= 1
            peaks.append(current)
            size += 1
        return Frontier(size, tuple(peaks))

    def root(self) -> bytes:
        """Return the root of the log at its size."""
        if not self.peaks:
            return EMPTY_ROOT
        current = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            current = node_hash(peak, current)
        return current
