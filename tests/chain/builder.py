"""A small certified chain with real keys, made without execution: for tests of blocks and storage.

Transactions are of a kind that no handler knows; results and state roots are made up, but every
hash, signature and certificate is real.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.chain.batch import Batch, null_batch
from ledger.chain.block import Result, StoredBlock, StoredTransaction, results_root
from ledger.chain.certificate import (
    Certificate,
    checkpoint_signing_input,
    quorum,
)
from ledger.chain.hashes import ZERO_HASH
from ledger.chain.header import Header
from ledger.chain.merkle import EMPTY_ROOT
from ledger.keys import SigningKey
from ledger.transactions.envelope import Transaction, sign_transaction

CHAIN_ID = bytes(range(32))
START_MS = 1_600_000_000_000
NODE_KEYS = tuple(SigningKey(bytes([i]) * 32) for i in range(1, 5))
VALIDATORS = tuple((f"D{i:02d}", key.public_key) for i, key in enumerate(NODE_KEYS, start=1))
CLIENT = SigningKey(b"\x09" * 32)


def genesis_header() -> Header:
    """Return a header of height 0."""
    return Header(
        1,
        CHAIN_ID,
        0,
        ZERO_HASH,
        START_MS,
        ZERO_HASH,
        EMPTY_ROOT,
        bytes([7]) * 32,
        bytes([8]) * 32,
        0,
        0,
    )


def transaction(number: int, attachments: tuple[bytes, ...] = ()) -> Transaction:
    """Return a signed transaction; different numbers have different ids."""
    return sign_transaction(
        CLIENT,
        chain_id=CHAIN_ID,
        sender="D02",
        nonce=number.to_bytes(16, "big"),
        expires_at_ms=START_MS + 3_600_000,
        kind="test.nothing",
        body={"number": number},
        attachments=attachments,
    )


def certify(header: Header, signers: range | None = None) -> Certificate:
    """Return the header's certificate, of the first Q members unless told otherwise."""
    block_hash = header.hash()
    chosen = range(quorum(len(NODE_KEYS))) if signers is None else signers
    votes = tuple(
        (
            i,
            NODE_KEYS[i].sign(checkpoint_signing_input(CHAIN_ID, 0, header.height, block_hash, i)),
        )
        for i in chosen
    )
    return Certificate(0, header.height, block_hash, votes)


def results_of(transactions: list[Transaction]) -> tuple[Result, ...]:
    """Return made-up results, each other than the next."""
    return tuple((0, {"number": item.body["number"]}) for item in transactions)


@dataclass(slots=True)
class ChainBuilder:
    """Grows a chain block by block."""

    headers: list[Header] = field(default_factory=lambda: [genesis_header()])

    def add(self, transactions: list[Transaction]) -> tuple[StoredBlock, Batch]:
        """Return the next block with these transactions; without any it is the null batch."""
        parent = self.headers[-1]
        height = parent.height + 1
        batch = null_batch(height)
        if transactions:
            hashes = tuple(item.signed_hash for item in transactions)
            batch = Batch(height, parent.time_ms + 5, hashes)
        results = results_of(transactions)
        header = Header(
            1,
            CHAIN_ID,
            height,
            parent.hash(),
            max(parent.time_ms, batch.time_ms or 0),
            batch.digest(CHAIN_ID),
            results_root(results),
            parent.state_root,
            parent.members_root,
            0,
            len(transactions),
        )
        self.headers.append(header)
        stored = tuple(
            StoredTransaction(item.unsigned, item.signature, len(item.attachments))
            for item in transactions
        )
        block = StoredBlock(header, batch.time_ms, batch.transactions, stored, results)
        return block, batch
