"""A sum over a set of entries that does not depend on order: how a company's entries are proved.

Each entry is hashed to a number of 4,032 bits (SHAKE128, three blocks of its rate), and a set's sum
is the sum of its numbers modulo 2^4032 (AdHash: Bellare and Micciancio, Eurocrypt 1997). An entry
that comes, goes or changes costs one hash each way, whatever the set holds, so a block's sums cost
as much as what it changes; and who holds all entries of a set computes the same sum from nothing.
Two sets with one sum are a generalised birthday problem of about 2^(2·√4032) = 2^127 steps (Wagner,
Crypto 2002), and a second set for a given sum is harder still; sums of 256 bits would not do.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import shake_128

SUM_BYTES = 504
EMPTY_SUM = bytes(SUM_BYTES)
_TAG = b"creditledger/entry-sum/1"
_MODULUS = 1 << (8 * SUM_BYTES)


def entry_number(digest: bytes) -> int:
    """Return the number of an entry, of which `digest` is a collision-free hash."""
    return int.from_bytes(shake_128(_TAG + digest).digest(SUM_BYTES), "big")


def changed_sum(old: bytes, added: Iterable[bytes], removed: Iterable[bytes] = ()) -> bytes:
    """Return the sum after entries came and went, each given by its digest."""
    total = int.from_bytes(old, "big") + sum(map(entry_number, added))
    return ((total - sum(map(entry_number, removed))) % _MODULUS).to_bytes(SUM_BYTES, "big")
