"""Bodies of what is executed already: a proposal may hold them again (rules 14, 17, 20)."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import trio

from consensus import effects as fx
from consensus.events import BatchExecuted, RequestReceived
from ledger.chain.batch import Batch
from ledger.errors import Code
from ledger.execution import execute_block
from ledger.storage.chain_store import TRANSACTIONS, ChainStore, body_key, height_key
from network.runtime.blocks import BlockKeeper
from network.runtime.door import Door
from network.runtime.executed import BLOCKS_MAX, ExecutedBodies
from network.runtime.mempool import Mempool
from tests.ledger.test_records import line
from tests.ledger_harness import Harness, company_code


class CountedReads:
    """A store that counts how often each key is read."""

    def __init__(self, harness: Harness) -> None:
        self._store = harness.store
        self.counts: Counter[bytes] = Counter()

    def get(self, key: bytes) -> bytes | None:
        """Return the value, and count."""
        self.counts[key] += 1
        return self._store.get(key)

    def scan(self, *arguments, **options):
        """Read a range; not counted."""
        return self._store.scan(*arguments, **options)


class Keeper:
    """A real block keeper on a chain in memory, with a real door, and nobody to ask."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.posted: list[object] = []
        self.asked: list[object] = []
        chain, self.mempool = ChainStore(harness.store), Mempool()
        chain_id = harness.genesis.chain_id
        clock = lambda: harness.head.time_ms  # noqa: E731
        self.door = Door(chain_id, chain, self.mempool, clock, self.posted.append)
        self.door.enter(0, 4, 1024, lambda: 100)
        peers = SimpleNamespace(connected={2}, send=lambda to, frame: self.asked.append(frame))
        quiet = SimpleNamespace(
            bind=lambda keeper: None,
            get_epochs=lambda: None,
            read=lambda header, writes: False,
        )
        self.keeper = BlockKeeper(
            harness.store, chain, self._execute, self.mempool, self.door, peers, quiet, quiet,
            self.posted.append,
        )  # fmt: skip

    def _execute(self, parent, batch, transactions, digests):
        return execute_block(self.harness.store, parent, batch, transactions)

    def order(self, *transactions) -> fx.Execute:
        """Return the order to execute the next block of these."""
        head = self.keeper.head
        hashes = tuple(item.signed_hash for item in transactions)
        batch = Batch(head.height + 1, head.time_ms + 1000, hashes)
        return fx.Execute(batch, batch.digest(head.chain_id))


def test_executed_body_is_found_in_the_last_blocks_also_after_a_restart():
    harness = Harness()
    first = harness.submit("D02", "C044", [line(1), line(2)], "line")
    harness.block(harness.bind(company_code(1)), first)
    bodies = ExecutedBodies(ChainStore(harness.store))
    held = bodies.get(first.signed_hash)
    assert held is not None
    assert held.transaction == first
    assert held.wire == first.encoded()
    for height in range(2, BLOCKS_MAX + 2):
        bodies.add(height, ())
    assert bodies.get(first.signed_hash) is None
    assert bodies.get(bytes(32)) is None


def test_block_is_read_once_for_all_that_is_asked_of_it():
    # Once for each body, as it was: a slow member's question for 500 bodies of one block held the
    # loop of every other member for seconds, and the primary was taken for dead.
    harness = Harness()
    asked = [harness.bind(company_code(number)) for number in range(40)]
    harness.block(*asked[:20])
    harness.block(*asked[20:])
    reads = CountedReads(harness)
    bodies = ExecutedBodies(ChainStore(reads))
    reads.counts.clear()
    hashes = [
        item.signed_hash for pair in zip(asked[:20], asked[20:], strict=True) for item in pair
    ]
    assert bodies.read(bodies.find([*hashes, bytes(32)]), 10**6) == [
        item.encoded() for item in asked
    ]
    keys = [height_key(TRANSACTIONS, height) for height in (1, 2)]
    assert [reads.counts[key] for key in keys] == [1, 1]
    for item in asked:
        assert bodies.get(item.signed_hash) is not None
    assert [reads.counts[key] for key in keys] == [2, 2]


def test_only_what_fits_is_read_out_of_the_chain():
    harness = Harness()
    asked = [harness.bind(company_code(number)) for number in range(3)]
    harness.block(*asked)
    bodies = ExecutedBodies(ChainStore(harness.store))
    places = bodies.find([item.signed_hash for item in asked])
    size = sum(len(item.encoded()) for item in asked)
    assert len(bodies.read(places, size)) == 3
    assert len(bodies.read(places, size - 1)) == 2
    assert bodies.read(places, 0) == []


def test_transaction_with_an_erased_body_is_not_held():
    harness = Harness()
    first = harness.submit("D02", "C044", [line(1), line(2)], "line")
    second = harness.submit("D02", "C044", [line(3)], "line")
    harness.block(harness.bind(company_code(1)), first, second)
    harness.store.write({body_key(1, 1, 1): None}, sync=False)
    bodies = ExecutedBodies(ChainStore(harness.store))
    assert bodies.get(first.signed_hash) is None
    places = bodies.find([first.signed_hash, second.signed_hash])
    assert bodies.read(places, 10**6) == [second.encoded()]


def test_proposal_that_repeats_what_is_executed_is_announced_and_executed():  # rule 20
    harness = Harness()
    bind = harness.bind(company_code(1))
    harness.block(bind)
    keeper = Keeper(harness)
    keeper.keeper.find_bodies(fx.FetchRequests((bind.signed_hash,), (2,)))
    (announced,) = keeper.posted
    assert isinstance(announced, RequestReceived)
    assert announced.request.hash == bind.signed_hash
    assert keeper.asked == []
    trio.run(keeper.keeper._execute_ordered, keeper.order(bind))
    assert isinstance(keeper.posted[-1], BatchExecuted)
    block = ChainStore(harness.store).block(2)
    assert block is not None
    assert [code for code, _ in block.results] == [Code.DUPLICATE]


def test_executed_body_that_was_asked_for_is_taken_in():
    harness = Harness()
    body = harness.bind(company_code(1)).body
    bind = harness.sign("D01", "company.bind", body, expires_in_ms=3_600_000)
    harness.block(bind)
    keeper = Keeper(harness)
    for _ in range(BLOCKS_MAX):
        harness.block()
    old = Keeper(harness)
    old.keeper.find_bodies(fx.FetchRequests((bind.signed_hash,), (2,)))
    assert len(old.asked) == 1
    looked = old.door._first_look(bind.encoded(), 2)
    assert getattr(looked, "signed_hash", None) == bind.signed_hash
    again = old.door._first_look(bind.encoded(), 2)
    assert getattr(again, "signed_hash", None) is None  # asked for once, taken once
    assert keeper.mempool.find(bind.signed_hash) is not None
