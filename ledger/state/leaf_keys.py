"""Which key is behind each leaf of the tree, in the order of the leaves.

A leaf is a pair of hashes, and no hash leads back to its key. A node that gives a part of its state
to another has to find the entries of a part of the tree, so every leaf has one more entry in the
store: `k` key hash → physical key. It is written when the leaf comes and removed when it goes; a
leaf that only changes costs nothing. It is no part of the state, and whoever receives entries
makes it from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ledger.state.tree import BUCKET_BITS, TreeUpdate
from ledger.storage.store import Reader

LEAF_KEYS = b"k"
_SHIFT = 256 - BUCKET_BITS


def leaf_key_writes(update: TreeUpdate, keys: Mapping[bytes, bytes]) -> dict[bytes, bytes | None]:
    """Return the writes after an update of the tree; `keys` are `BlockChanges.keys`."""
    writes: dict[bytes, bytes | None] = {LEAF_KEYS + item: keys[item] for item in update.added}
    writes.update({LEAF_KEYS + item: None for item in update.removed})
    return writes


def bucket_of(key_hash: bytes) -> int:
    """Return the bucket that a leaf is in."""
    return int.from_bytes(key_hash, "big") >> _SHIFT


def bucket_range(index: int) -> tuple[bytes, bytes]:
    """Return where the entries of a bucket's leaves begin in the store, and where they end."""
    low = (index << _SHIFT).to_bytes(32, "big")
    high = ((index + 1 << _SHIFT) - 1).to_bytes(32, "big")
    return LEAF_KEYS + low, LEAF_KEYS + high + b"\x00"


def bucket_keys(reader: Reader, index: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key hash, physical key) of a bucket's leaves, in order."""
    for key, physical in reader.scan(*bucket_range(index)):
        yield key[len(LEAF_KEYS) :], physical
