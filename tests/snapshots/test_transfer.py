"""State transfer between two stores, whole and honest (rule 41, F25)."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from ledger.chain.batch import Batch
from ledger.credit.records import RecordEntry, RecordStatus
from ledger.encoding import encode_own
from ledger.errors import Code
from ledger.execution import execute_block
from ledger.snapshots.places import BodyPlace, get_body_places
from ledger.snapshots.serving import Snapshot
from ledger.state.tables import COVERAGE, RECORDS
from ledger.storage.chain_store import FATES, ChainStore, body_key
from ledger.storage.memory import MemoryStore
from ledger.transactions.envelope import MAX_TTL_MS
from tests.snapshots.support import SnapshotChain, own_entries, transfer


def grown(blocks: int, seed: int = 1) -> SnapshotChain:
    chain = SnapshotChain(seed)
    for _ in range(blocks):
        chain.mixed_block()
    return chain


def test_transferred_node_has_the_same_state_and_executes_the_same_blocks():
    """Rule 41: 200 mixed blocks after the transfer, byte for byte."""
    chain = grown(60)
    store = transfer(chain, chain.snapshot().answer)
    assert own_entries(store) == own_entries(chain.store)
    follow(chain, store, lambda: [chain.mixed_block() for _ in range(200)])
    assert {Code.OK, Code.DUPLICATE, Code.EXPIRED} <= chain.codes


@pytest.fixture
def _short_history(monkeypatch):
    """Nearly nothing before a snapshot: the horizon is a few blocks away."""
    monkeypatch.setattr("ledger.snapshots.history.HISTORY_BLOCKS", 5)


@pytest.mark.usefixtures("_short_history")
def test_rule_14_ids_of_the_last_max_ttl_come_along_and_no_others():
    """A repeat has the same result on both nodes, whether its first block came along or not."""
    chain = grown(80)
    store = transfer(chain, chain.snapshot().answer)
    base = ChainStore(store).base()
    assert base is not None
    height, first = base
    assert (height, chain.head.height) == (80, 80)
    assert 1 < first < 76
    own, full = ChainStore(store), ChainStore(chain.store)
    oldest = full.header(first)
    assert oldest is not None
    assert oldest.time_ms <= chain.head.time_ms - MAX_TTL_MS
    ids = {key[2:] for key, _ in full_fates(chain.store)}
    held = {key[2:] for key, _ in full_fates(store)}
    assert held < ids
    assert own.block(first) == full.block(first)
    assert own.block(first - 1) is None
    for tx_id in held:
        assert own.fate(tx_id) == full.fate(tx_id)
    for tx_id in ids - held:
        place = full.fate(tx_id)
        assert place is not None
        assert place[0] < first or place[2] == Code.EXPIRED
    repeats = [tx for h in (1, 40, first, 79) for tx in full.transactions(full.block(h))]
    follow(chain, store, lambda: chain.repeat(repeats))


@pytest.mark.usefixtures("_short_history")
def test_node_that_began_at_a_snapshot_gives_snapshots():
    """Rule 41: it holds all that a later one has to give."""
    chain = grown(60)
    store = transfer(chain, chain.snapshot().answer)
    follow(chain, store, lambda: [chain.mixed_block() for _ in range(40)])
    later = transfer(chain, Snapshot(chain.head, store).answer)
    assert own_entries(later) == own_entries(chain.store)
    follow(chain, later, lambda: [chain.mixed_block() for _ in range(20)])


def full_fates(store):
    return store.scan(FATES, FATES + b"\xff" * 33)


def follow(chain, store, grow) -> None:
    """Let the chain grow, and execute its new blocks on the transferred store too."""
    head = chain.head
    grow()
    for height in range(head.height + 1, chain.head.height + 1):
        block = ChainStore(chain.store).block(height)
        transactions = ChainStore(chain.store).transactions(block)
        batch = Batch(height, block.time_ms, block.hashes)
        executed = execute_block(store, head, batch, transactions)
        assert (executed.header, executed.results) == (block.header, block.results)
        store.write(executed.writes, sync=True)
        head = executed.header
    assert own_entries(store) == own_entries(chain.store)


class Power(Exception):
    """The machine stops here."""


class FailingStore(MemoryStore):
    """A store whose machine stops before its n-th write."""

    left = 10**9

    def write(self, batch, *, sync):
        self.left -= 1
        if self.left < 0:
            raise Power
        super().write(batch, sync=sync)


def test_f53_crash_at_each_write_of_a_transfer_leaves_what_the_next_one_builds_on():
    """Rule 41: until the last write the store is no chain; then it is the whole one."""
    chain = grown(5)
    answer = chain.snapshot().answer
    counted = FailingStore()
    transfer(chain, answer, counted)
    truth, total = dict(counted.scan(b"", b"\xff" * 65)), 10**9 - counted.left
    for left in range(0, total, 5):  # all of them pass too, in ten seconds
        store = FailingStore()
        store.left = left
        with pytest.raises(Power):
            transfer(chain, answer, store)
        assert ChainStore(store).height() is None
        store.left = 10**9
        transfer(chain, answer, store)
        assert dict(store.scan(b"", b"\xff" * 65)) == truth


def test_newer_snapshot_takes_over_what_the_older_one_left_behind():
    """Rule 41: what was changed, added or removed since is as if it had never been fetched."""
    chain = grown(25)
    store = FailingStore()
    store.left = 60
    with pytest.raises(Power):
        transfer(chain, chain.snapshot().answer, store)
    for _ in range(25):
        chain.mixed_block()
    store.left = 10**9
    transfer(chain, chain.snapshot().answer, store)
    fresh = transfer(chain, chain.snapshot().answer)
    prefixes = (b"s", b"t", b"k", b"x")
    for prefix in prefixes:
        end = prefix + b"\xff" * 64
        assert dict(store.scan(prefix, end)) == dict(fresh.scan(prefix, end))


def test_bodies_are_looked_for_where_record_entries_say():
    """What execution may still read goes with a state; its place in an entry is fixed here."""
    names = [item.name for item in fields(RecordEntry)]
    entry = RecordEntry(0, 1, b"d" * 32, b"c", 7, 8, 9, RecordStatus.CURRENT, None, None)
    corrected = replace(entry, status=RecordStatus.SUPERSEDED, corrected_by=4)
    erased = replace(entry, status=RecordStatus.ERASED)
    value = encode_own((entry.to_value(), corrected.to_value(), erased.to_value()))
    assert get_body_places(RECORDS.prefix + b"key", value) == [
        BodyPlace(body_key(7, 8, 9), b"d" * 32),
        None,
        None,
    ]
    assert get_body_places(COVERAGE.prefix + b"key", value) == []
    assert len(names) == len(entry.to_value())
