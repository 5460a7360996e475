"""State transfer between two stores, whole and honest (rule 41, F25)."""

from __future__ import annotations

import pytest

from ledger.chain.batch import Batch
from ledger.errors import Code
from ledger.execution import ExecutionCaches, execute_block
from ledger.storage.chain_store import ChainStore
from tests.snapshots.support import SnapshotChain, own_entries, transfer


def grown(blocks: int, seed: int = 1) -> SnapshotChain:
    chain = SnapshotChain(seed)
    for _ in range(blocks):
        chain.mixed_block()
    return chain


@pytest.mark.parametrize("seed", [1, 2])
def test_transferred_node_has_the_same_state_and_executes_the_same_blocks(seed):
    """Rule 41: 200 mixed blocks after the transfer, byte for byte."""
    chain = grown(60, seed)
    store = transfer(chain, chain.snapshot().answer)
    assert own_entries(store) == own_entries(chain.store)
    head, caches = chain.head, ExecutionCaches()
    for _ in range(200):
        chain.mixed_block()
        block = ChainStore(chain.store).block(chain.head.height)
        transactions = ChainStore(chain.store).transactions(block)
        batch = Batch(block.header.height, block.time_ms, block.hashes)
        executed = execute_block(store, head, batch, transactions, caches=caches)
        assert executed.header == block.header
        assert executed.results == block.results
        store.write(executed.writes, sync=True)
        head = executed.header
    assert own_entries(store) == own_entries(chain.store)
    assert {Code.OK, Code.DUPLICATE, Code.EXPIRED} <= chain.codes
