"""What the members order: a genesis, 500 signed transactions, and the ledger that executes them.

The ledger is pure, so a block is executed once for all runs and remembered by its parent and its
batch. What a restart reads from its disk is compared at the end, entry by entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

from ledger.chain.batch import Batch
from ledger.chain.header import Header
from ledger.execution import ExecutedBlock, execute_block, execute_genesis
from ledger.storage.store import Reader, WriteBatch
from ledger.transactions.envelope import Transaction
from tests.ledger_harness import Harness, company_code, key_of

TRANSACTIONS = 500
BATCH = 10
TTL_MS = 500_000

_harness = Harness()
CHAIN_ID = _harness.genesis.chain_id
GENESIS_TIME_MS = _harness.head.time_ms
_executed: dict[tuple[bytes, bytes], ExecutedBlock] = {}


@cache
def genesis_writes() -> WriteBatch:
    """Return what a new store holds."""
    return execute_genesis(_harness.genesis).writes


@cache
def transactions() -> dict[bytes, Transaction]:
    """Return the 500 transactions by the hash that batches list; each binds a company."""
    made = {}
    for number in range(TRANSACTIONS):
        company = company_code(number)
        body = {
            "company": company,
            "public_key": key_of(company).public_key,
            "name": f"company {number}",
        }
        item = _harness.sign("D01", "company.bind", body, expires_in_ms=TTL_MS)
        made[item.signed_hash] = item
    return made


@lru_cache(4096)
def block_hash(header: Header) -> bytes:
    """Return the hash of a header; the same few are asked for again and again."""
    return header.hash()


def execute(
    store: Reader, parent: Header, batch: Batch, items: Sequence[Transaction]
) -> ExecutedBlock:
    """Return the block that the ledger makes of a batch."""
    key = (block_hash(parent), batch.digest(CHAIN_ID))
    known = _executed.get(key)
    if known is None:
        known = _executed[key] = execute_block(store, parent, batch, items, caches=_harness.caches)
    return known
