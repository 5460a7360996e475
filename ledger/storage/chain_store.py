"""The chain in a Store: which key holds what of each block, and reading it back.

Heights, positions and indices are big-endian, so that the store's order is the chain's:

    bH height → header                     bT height → time, hashes, signed transactions
    bR height → results                    bC height → certificate
    bE epoch  → the change that began the epoch, where its block is not here (snapshots)
    bI tx id  → (height, position, code)   bM name   → facts about the store (head, base, …)
    x height position index → one body of a record, which can be erased without touching the rest

`block_writes` is pure: execution merges it with the state's writes, and the shell applies all of
them as one synced batch, so that a block is there wholly or not at all. A certificate comes later,
with `certificate_writes`. Other prefixes belong to the state ("s…"), its tree ("t") and the keys of
its leaves ("k"). A chain that was begun at a snapshot (rule 41) says so in its base: it holds all
blocks above the snapshot's height, those of the history before it without bodies, and no others.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from ledger.chain.batch import Batch
from ledger.chain.block import (
    Result,
    StoredBlock,
    StoredTransaction,
    decode_results,
    decode_transactions,
    encode_results,
    encode_transactions,
)
from ledger.chain.certificate import Certificate, decode_certificate
from ledger.chain.epochs import EpochChange, decode_change
from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.chain.header import Header, decode_header
from ledger.encoding import decode, encode, encode_own
from ledger.errors import Code, Refused, StorageError
from ledger.storage.store import Reader
from ledger.transactions.envelope import Transaction, transaction_from_parts

HEADERS = b"bH"
TRANSACTIONS = b"bT"
RESULTS = b"bR"
CERTIFICATES = b"bC"
EPOCH_CHANGES = b"bE"
FATES = b"bI"
META = b"bM"
BODIES = b"x"
HEAD_KEY = META + b"head"
GENESIS_KEY = META + b"genesis"
BASE_KEY = META + b"base"
ERASURE_KEY = META + b"erasure"


def height_key(prefix: bytes, height: int) -> bytes:
    """Return the key of a block's part."""
    return prefix + height.to_bytes(8, "big")


def body_key(height: int, position: int, index: int) -> bytes:
    """Return the key of body `index` of transaction `position` of block `height`."""
    return (
        BODIES + height.to_bytes(8, "big") + position.to_bytes(4, "big") + index.to_bytes(4, "big")
    )


def block_writes(
    header: Header,
    batch: Batch,
    transactions: Sequence[Transaction],
    results: Sequence[Result],
    late_repeats: Container[int] = (),
) -> dict[bytes, bytes | None]:
    """Return the writes that store an executed block and move the head to it.

    The fate of an id is written with its first occurrence; a DUPLICATE changes none, and neither
    do the positions `late_repeats`, EXPIRED though the id was executed before (rule 14).
    """
    height = header.height
    stored = [
        StoredTransaction(item.unsigned, item.signature, len(item.attachments))
        for item in transactions
    ]
    writes: dict[bytes, bytes | None] = {
        height_key(HEADERS, height): header.encoded(),
        height_key(TRANSACTIONS, height): encode_transactions(
            batch.time_ms, batch.transactions, stored
        ),
        height_key(RESULTS, height): encode_results(results),
        HEAD_KEY: encode(height),
    }
    for position, (item, (code, _)) in enumerate(zip(transactions, results, strict=True)):
        if code != Code.DUPLICATE and position not in late_repeats:
            writes[FATES + item.id] = encode_own((height, position, int(code)))
        for index, body in enumerate(item.attachments):
            writes[body_key(height, position, index)] = body
    return writes


def genesis_writes(genesis: bytes, header: Header) -> dict[bytes, bytes | None]:
    """Return the writes that store the genesis document and its header, height 0, as the head."""
    return {
        GENESIS_KEY: genesis,
        height_key(HEADERS, 0): header.encoded(),
        HEAD_KEY: encode(0),
    }


def certificate_writes(certificate: Certificate) -> dict[bytes, bytes | None]:
    """Return the write that stores a block's certificate."""
    return {height_key(CERTIFICATES, certificate.height): certificate.encoded()}


def epoch_change_writes(change: EpochChange) -> dict[bytes, bytes | None]:
    """Return the write that keeps a change of epochs whose last block is not stored here."""
    return {height_key(EPOCH_CHANGES, change.epoch): change.encoded()}


def base_writes(height: int, first: int) -> dict[bytes, bytes | None]:
    """Return the write that lets a chain stand by itself from certified block `height` on.

    `first` is the lowest block held; bodies of records are all there above `height` alone.
    """
    return {BASE_KEY: encode((height, first))}


def erasure_writes(count: int, executed: int) -> dict[bytes, bytes | None]:
    """Return the write that says how many bodies were deleted, all above block `executed`."""
    return {ERASURE_KEY: encode((count, executed))}


class ChainStore:
    """Reads of the chain. What is stored and does not parse is `StorageError` (6001)."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def reader(self) -> Reader:
        """The store that is read, or a snapshot of it."""
        return self._reader

    def height(self) -> int | None:
        """Return the height of the last block, None in an empty store."""
        data = self._reader.get(HEAD_KEY)
        if data is None:
            return None
        try:
            height = decode(data)
        except Refused as error:
            raise _damaged("head", error) from None
        if type(height) is not int or height < 0:
            raise StorageError(Code.STORE_CORRUPT, "stored head is not a height")
        return height

    def head(self) -> Header | None:
        """Return the header of the last block, None in an empty store."""
        height = self.height()
        if height is None:
            return None
        header = self.header(height)
        if header is None:
            raise StorageError(Code.STORE_CORRUPT, f"header of the head, block {height}, is gone")
        return header

    def base(self) -> tuple[int, int] | None:
        """Return (snapshot's height, lowest block held) of a chain begun at one, else None."""
        return self._two_integers(BASE_KEY, "base")

    def erasure(self) -> tuple[int, int] | None:
        """Return (bodies deleted, last block below which none was) of a home that deleted some."""
        return self._two_integers(ERASURE_KEY, "erasure")

    def bodiless_height(self) -> int:
        """Return the height up to which bodies were never here; above it only erased ones lack."""
        base, erasure = self.base(), self.erasure()
        if erasure is not None:
            return erasure[1]
        return 0 if base is None else base[0]

    def _two_integers(self, key: bytes, what: str) -> tuple[int, int] | None:
        data = self._reader.get(key)
        if data is None:
            return None
        try:
            found = decode(data)
        except Refused as error:
            raise _damaged(what, error) from None
        if type(found) is not tuple or [type(item) for item in found] != [int, int]:
            raise StorageError(Code.STORE_CORRUPT, f"stored {what} is not two heights")
        return found[0], found[1]

    def missing_height(self, count: int) -> int | None:
        """Return the highest of the last `count` heights without a header, None if all have one.

        A block is written as one batch, so a lost batch is a lost header (F57, F58).
        """
        head, base = self.height(), self.base()
        if head is None:
            return None
        lowest = max(0 if base is None else base[1], head + 1 - count)
        low, high = height_key(HEADERS, lowest), height_key(HEADERS, head + 1)
        expected = head
        for key, _ in self._reader.scan(low, high, reverse=True):
            if key != height_key(HEADERS, expected):
                return expected
            expected -= 1
        return expected if expected >= lowest else None

    def genesis(self) -> bytes | None:
        """Return the genesis document, None in an empty store."""
        return self._reader.get(GENESIS_KEY)

    def chain_id(self) -> bytes | None:
        """Return the chain id, the hash of the genesis document."""
        document = self.genesis()
        return None if document is None else tagged_hash(GENESIS_TAG, document)

    def header(self, height: int) -> Header | None:
        """Return a block's header, or None."""
        data = self._reader.get(height_key(HEADERS, height))
        if data is None:
            return None
        try:
            header = decode_header(data)
        except Refused as error:
            raise _damaged(f"header of block {height}", error) from None
        if header.height != height:
            raise StorageError(
                Code.STORE_CORRUPT, f"header of block {height} says height {header.height}"
            )
        return header

    def block(self, height: int) -> StoredBlock | None:
        """Return a block from 1 on, or None."""
        header = self.header(height)
        transactions = self._reader.get(height_key(TRANSACTIONS, height))
        results = self._reader.get(height_key(RESULTS, height))
        if header is None or transactions is None or results is None:
            return None
        try:
            time_ms, hashes, stored = decode_transactions(transactions)
            decoded = decode_results(results)
        except Refused as error:
            raise _damaged(f"block {height}", error) from None
        return StoredBlock(header, time_ms, hashes, stored, decoded)

    def signed_transactions(self, height: int) -> tuple[StoredTransaction, ...] | None:
        """Return the signed transactions of a block, or None: half the work of `block`."""
        data = self._reader.get(height_key(TRANSACTIONS, height))
        if data is None:
            return None
        try:
            return decode_transactions(data)[2]
        except Refused as error:
            raise _damaged(f"transactions of block {height}", error) from None

    def certificate(self, height: int) -> Certificate | None:
        """Return a block's certificate, or None while it has none."""
        data = self._reader.get(height_key(CERTIFICATES, height))
        if data is None:
            return None
        try:
            return decode_certificate(data)
        except Refused as error:
            raise _damaged(f"certificate of block {height}", error) from None

    def epoch_change(self, epoch: int) -> EpochChange | None:
        """Return the change that began `epoch` where it was stored by itself, else None."""
        data = self._reader.get(height_key(EPOCH_CHANGES, epoch))
        if data is None:
            return None
        try:
            return decode_change(data)
        except Refused as error:
            raise _damaged(f"change to epoch {epoch}", error) from None

    def last_certificate(self) -> Certificate | None:
        """Return the certificate of the highest block that has one."""
        low, high = height_key(CERTIFICATES, 0), height_key(CERTIFICATES, 2**64 - 1)
        for key, _ in self._reader.scan(low, high, reverse=True):
            return self.certificate(int.from_bytes(key[len(CERTIFICATES) :], "big"))
        return None

    def body(self, height: int, position: int, index: int) -> bytes | None:
        """Return one body of a record, or None when there is none or it was erased."""
        return self._reader.get(body_key(height, position, index))

    def bodies(self, height: int, position: int, count: int) -> tuple[bytes, ...]:
        """Return the first `count` bodies of a transaction; raise where one is gone (6001)."""
        found = tuple(self.body(height, position, index) for index in range(count))
        whole = tuple(body for body in found if body is not None)
        if len(whole) != count:
            raise StorageError(
                Code.STORE_CORRUPT,
                f"body {found.index(None)} of block {height}, transaction {position}, is gone",
            )
        return whole

    def has_bodies(self, block: StoredBlock) -> bool:
        """Tell whether every body of a block is here."""
        height = block.header.height
        return all(
            self.body(height, position, index) is not None
            for position, item in enumerate(block.transactions)
            for index in range(item.attachment_count)
        )

    def transactions(self, block: StoredBlock) -> tuple[Transaction, ...]:
        """Return the block's transactions with their bodies, as they came (`Refused` 12xx)."""
        height = block.header.height
        return tuple(
            transaction_from_parts(
                item.unsigned,
                item.signature,
                self.bodies(height, position, item.attachment_count),
            )
            for position, item in enumerate(block.transactions)
        )

    def fate(self, tx_id: bytes) -> tuple[int, int, int] | None:
        """Return (height, position, code) of a transaction id, or None (rule 14)."""
        data = self._reader.get(FATES + tx_id)
        if data is None:
            return None
        try:
            fate = decode(data)
        except Refused as error:
            raise _damaged(f"fate of {tx_id.hex()}", error) from None
        if type(fate) is not tuple or [type(item) for item in fate] != [int, int, int]:
            raise StorageError(Code.STORE_CORRUPT, f"stored fate of {tx_id.hex()} is malformed")
        return fate[0], fate[1], fate[2]


def _damaged(what: str, error: Refused) -> StorageError:
    return StorageError(Code.STORE_CORRUPT, f"stored {what} is damaged: {error.message}")
