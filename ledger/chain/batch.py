"""Batches: what a PRE-PREPARE proposes, and the digest that PREPARE and COMMIT vote on.

A batch is a time and the list of the hashes of signed transactions, for one height. Its digest
covers the chain, the height, the time and the Merkle root of the hashes; view, proposer and votes
stay out, so that it survives view changes unchanged (rule 16). The null batch fills a gap in a new
view: no transactions, no time, a digest of its own (rule 15).
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.chain import merkle
from ledger.chain.hashes import BATCH_TAG, HASH_BYTES, NULL_TAG, tagged_hash
from ledger.errors import Code, Refused

MAX_BATCH_TRANSACTIONS = 4096
_TIME_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """A proposed block: `time_ms` (None: the null batch) and hashes of signed transactions."""

    height: int
    time_ms: int | None
    transactions: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.height < 1 or self.height > _TIME_MAX:
            raise Refused(Code.BLOCK_INVALID, f"batch height {self.height} is out of range")
        if self.time_ms is None:
            if self.transactions:
                raise Refused(Code.BLOCK_INVALID, "null batch with transactions")
        elif not 0 <= self.time_ms <= _TIME_MAX:
            raise Refused(Code.BLOCK_INVALID, f"batch time {self.time_ms} is out of range")
        if len(self.transactions) > MAX_BATCH_TRANSACTIONS:
            raise Refused(
                Code.BLOCK_INVALID,
                f"{len(self.transactions)} transactions, want at most {MAX_BATCH_TRANSACTIONS}",
            )
        if any(len(item) != HASH_BYTES for item in self.transactions):
            raise Refused(Code.BLOCK_INVALID, "transaction hash is not 32 bytes")
        if len(set(self.transactions)) != len(self.transactions):
            raise Refused(Code.BLOCK_INVALID, "a transaction stands twice in the batch")

    @property
    def is_null(self) -> bool:
        """Tell whether this is the null batch of its height."""
        return self.time_ms is None

    def digest(self, chain_id: bytes) -> bytes:
        """Return the 32-byte digest that the votes name (DESIGN 3)."""
        if self.time_ms is None:
            return tagged_hash(NULL_TAG, chain_id, self.height.to_bytes(8, "big"))
        root = transactions_root(self.transactions)
        return digest_from_root(chain_id, self.height, self.time_ms, root)


def digest_from_root(chain_id: bytes, height: int, time_ms: int, root: bytes) -> bytes:
    """Return the digest of a batch by the Merkle root of its hashes, as a receipt knows it."""
    numbers = height.to_bytes(8, "big") + time_ms.to_bytes(8, "big")
    return tagged_hash(BATCH_TAG, chain_id, numbers, root)


def null_batch(height: int) -> Batch:
    """Return the batch that a new view puts where nothing was prepared (rule 30)."""
    return Batch(height, None, ())


def transactions_root(signed_hashes: tuple[bytes, ...]) -> bytes:
    """Return the Merkle root over the hashes of the signed transactions, in batch order."""
    return merkle.compute_root([merkle.leaf_hash(item) for item in signed_hashes])
