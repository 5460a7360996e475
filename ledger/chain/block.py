"""A block as it is kept: header, batch, signed transactions, results; and what must agree in it.

The header certifies everything else: the batch digest binds time and hashes, each hash binds one
transaction's signed bytes, the results root binds the results. `verify_block` checks all of that
without state, so that a block from a peer, from a disk or from an auditor's copy is told apart
from a changed one, and the error names the block, the transaction and the part that is wrong.
Bodies of records are not here: they are stored beside the block and can be erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.chain import merkle
from ledger.chain.batch import Batch
from ledger.chain.hashes import SIGNED_TRANSACTION_TAG, TRANSACTION_TAG, tagged_hash
from ledger.chain.header import Header
from ledger.encoding import Value, decode, encode
from ledger.errors import Code, Refused

Result: TypeAlias = "tuple[int, Value]"

# A full batch of the largest transactions; a stored value is bounded by what was accepted.
MAX_STORED_BYTES = 2**30


class BlockError(Refused):
    """A block that is not what its header certifies: where, and which part."""

    def __init__(
        self,
        part: str,
        reason: str,
        *,
        height: int,
        position: int | None = None,
        transaction_id: bytes | None = None,
    ) -> None:
        self.part = part
        self.reason = reason
        self.height = height
        self.position = position
        self.transaction_id = transaction_id
        super().__init__(Code.BLOCK_INVALID, f"{self.place}: {part}: {reason}")

    @property
    def place(self) -> str:
        """The block and, where it is known, the transaction's position and id."""
        place = f"block {self.height}"
        if self.position is not None:
            place += f", transaction {self.position}"
        if self.transaction_id is not None:
            place += f" ({self.transaction_id.hex()})"
        return place


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """A transaction in a block: the signed bytes, and how many bodies lie beside it."""

    unsigned: bytes
    signature: bytes
    attachment_count: int

    @property
    def id(self) -> bytes:
        """The 32-byte transaction id."""
        return tagged_hash(TRANSACTION_TAG, self.unsigned)

    @property
    def signed_hash(self) -> bytes:
        """The 32-byte hash that the batch lists (rule 17)."""
        return tagged_hash(SIGNED_TRANSACTION_TAG, self.signature, self.unsigned)


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One block; `time_ms` is the batch's time, None for the null batch (rule 15)."""

    header: Header
    time_ms: int | None
    hashes: tuple[bytes, ...]
    transactions: tuple[StoredTransaction, ...]
    results: tuple[Result, ...]

    def batch(self) -> Batch:
        """Return the batch; raise `Refused` (1303) when there is none of this shape."""
        return Batch(self.header.height, self.time_ms, self.hashes)


def result_leaf(result: Result) -> bytes:
    """Return the leaf hash of one result, (code, data)."""
    return merkle.leaf_hash(encode((result[0], result[1])))


def results_root(results: Sequence[Result]) -> bytes:
    """Return the Merkle root over the results of a block, in the order of its transactions."""
    return merkle.compute_root([result_leaf(result) for result in results])


def encode_results(results: Sequence[Result]) -> bytes:
    """Return the bytes in which a block's results are stored."""
    return encode(tuple((code, data) for code, data in results))


def decode_results(data: bytes) -> tuple[Result, ...]:
    """Return the results of stored bytes; raise `Refused` (10xx, 1303)."""
    value = decode(data, max_bytes=MAX_STORED_BYTES)
    if type(value) is not tuple:
        raise Refused(Code.BLOCK_INVALID, "results are not a list")
    for index, item in enumerate(value):
        if type(item) is not tuple or len(item) != 2 or type(item[0]) is not int or item[0] < 0:
            raise Refused(Code.BLOCK_INVALID, f"result {index} is not a code and data")
    return value


def encode_transactions(
    time_ms: int | None, hashes: Sequence[bytes], transactions: Sequence[StoredTransaction]
) -> bytes:
    """Return the bytes in which a block's batch and signed transactions are stored."""
    parts = tuple((item.unsigned, item.signature, item.attachment_count) for item in transactions)
    return encode((time_ms, tuple(hashes), parts))


def decode_transactions(
    data: bytes,
) -> tuple[int | None, tuple[bytes, ...], tuple[StoredTransaction, ...]]:
    """Return (time, hashes, transactions) of stored bytes; raise `Refused` (10xx, 1303)."""
    value = decode(data, max_bytes=MAX_STORED_BYTES)
    if type(value) is not tuple or len(value) != 3:
        raise Refused(Code.BLOCK_INVALID, "transactions are not a list of time, hashes and bytes")
    time_ms, hashes, parts = value
    if time_ms is not None and type(time_ms) is not int:
        raise Refused(Code.BLOCK_INVALID, "batch time is not an integer")
    if type(hashes) is not tuple or any(type(item) is not bytes for item in hashes):
        raise Refused(Code.BLOCK_INVALID, "hashes are not a list of bytes")
    if type(parts) is not tuple:
        raise Refused(Code.BLOCK_INVALID, "transactions are not a list")
    return time_ms, hashes, tuple(_stored(index, part) for index, part in enumerate(parts))


def _stored(index: int, part: Any) -> StoredTransaction:
    if type(part) is not tuple or [type(item) for item in part] != [bytes, bytes, int]:
        raise Refused(
            Code.BLOCK_INVALID, f"transaction {index} is not bytes, a signature and a count"
        )
    if not 0 <= part[2] < 2**32:
        raise Refused(Code.BLOCK_INVALID, f"transaction {index} has {part[2]} bodies")
    return StoredTransaction(*part)


def verify_block(block: StoredBlock, parent: Header) -> None:
    """Raise `BlockError` (1303) unless the block follows `parent` and is what its header says.

    Checks chain, height, parent hash, time (rule 15), batch digest, the hash of each signed
    transaction, results root and counts. Signatures, bodies, state and certificate are apart.
    """
    verify_header_follows(block.header, parent)
    verify_batch(block, parent)
    verify_transaction_hashes(block)
    verify_results(block)


def verify_header_follows(header: Header, parent: Header) -> None:
    """Raise `BlockError` unless `header` names `parent` as the block before it."""
    if header.chain_id != parent.chain_id:
        raise BlockError("header", "is of another chain", height=header.height)
    if header.height != parent.height + 1:
        raise BlockError(
            "header", f"height {header.height}, want {parent.height + 1}", height=header.height
        )
    if header.parent_hash != parent.hash():
        reason = f"parent {header.parent_hash.hex()}, want {parent.hash().hex()}"
        raise BlockError("header", reason, height=header.height)


def verify_batch(block: StoredBlock, parent: Header) -> None:
    """Raise `BlockError` unless time, hashes and count are those that the header certifies."""
    header = block.header
    try:
        digest = block.batch().digest(header.chain_id)
    except Refused as error:
        raise BlockError("batch", error.message, height=header.height) from None
    if digest != header.batch_digest:
        reason = f"time and hashes give digest {digest.hex()}, want {header.batch_digest.hex()}"
        raise BlockError("batch", reason, height=header.height)
    time_ms = max(parent.time_ms, block.time_ms or 0)
    if header.time_ms != time_ms:
        raise BlockError(
            "header", f"time {header.time_ms} ms, want {time_ms}", height=header.height
        )
    for what, count in (
        ("header", header.transaction_count),
        ("transactions", len(block.transactions)),
    ):
        if count != len(block.hashes):
            raise BlockError(what, f"count {count}, want {len(block.hashes)}", height=header.height)


def verify_transaction_hashes(block: StoredBlock) -> None:
    """Raise `BlockError` unless each transaction's signed bytes hash to its place in the batch."""
    for position, (item, want) in enumerate(zip(block.transactions, block.hashes, strict=True)):
        if item.signed_hash != want:
            raise BlockError(
                "transaction",
                f"signed bytes hash to {item.signed_hash.hex()}, want {want.hex()}",
                height=block.header.height,
                position=position,
                transaction_id=item.id,
            )


def verify_results(block: StoredBlock) -> None:
    """Raise `BlockError` unless the results are those that the header certifies."""
    header = block.header
    if len(block.results) != header.transaction_count:
        reason = f"count {len(block.results)}, want {header.transaction_count}"
        raise BlockError("results", reason, height=header.height)
    root = results_root(block.results)
    if root != header.results_root:
        reason = f"root {root.hex()}, want {header.results_root.hex()}"
        raise BlockError("results", reason, height=header.height)
