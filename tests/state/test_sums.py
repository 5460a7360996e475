"""The sum in a company's leaf against its dumb twin: all entries added up anew (rule 41)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.encoding import decode
from ledger.state.leaf_keys import bucket_keys, bucket_of, leaf_key_writes
from ledger.state.overlay import Overlay, entry_digest
from ledger.state.sums import EMPTY_SUM, SUM_BYTES, changed_sum
from ledger.state.tables import COMPANIES, COVERAGE, LOANS, RECORDS
from ledger.state.tree import NodeCache, StateTree
from ledger.storage.memory import MemoryStore

COMPANY_CODES = (b"914403000000000011", b"914403000000000022")
DIGESTS = st.lists(st.binary(min_size=32, max_size=32), max_size=6)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from((RECORDS, COVERAGE)),
        st.sampled_from(COMPANY_CODES),
        st.integers(0, 5),
        st.one_of(st.none(), st.integers(0, 3)),
    ),
    max_size=12,
)


@given(DIGESTS, DIGESTS, st.randoms())
def test_sum_depends_on_the_set_alone(first, second, random):
    both = [*first, *second]
    random.shuffle(both)
    total = changed_sum(changed_sum(EMPTY_SUM, first), second)
    assert total == changed_sum(EMPTY_SUM, both)
    assert changed_sum(total, (), second) == changed_sum(EMPTY_SUM, first)
    assert len(total) == SUM_BYTES


def test_sums_of_different_sets_differ():
    digests = [bytes((number,)) * 32 for number in range(8)]
    sets = [[d for bit, d in enumerate(digests) if mask >> bit & 1] for mask in range(256)]
    assert len({changed_sum(EMPTY_SUM, items) for items in sets}) == 256


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=5), st.booleans())
def test_leaf_holds_sum_and_count_of_what_is_there(blocks, is_read_first):
    """Entries that come, change, go and come back, seen by the transaction before or not."""
    store = MemoryStore()
    root = StateTree(store).root
    for changes in blocks:
        overlay = Overlay(store, is_summed=True)
        for table, company, key, value in changes:
            overlay.begin()
            if is_read_first:
                overlay.get(table, company + bytes((key,)))
            overlay.put(table, company + bytes((key,)), value)
            overlay.put(LOANS, bytes((key,)), value)
            overlay.commit()
        finished = overlay.finish()
        update = StateTree(store, root, NodeCache()).update(finished.leaves)
        writes = {**finished.writes, **update.writes, **leaf_key_writes(update, finished.keys)}
        store.write(writes, sync=True)
        root = update.root
        for company in COMPANY_CODES:
            check_leaf(store, company)
        check_leaf_keys(store)


def check_leaf(store: MemoryStore, company: bytes) -> None:
    leaf = store.get(COMPANIES.prefix + company)
    entries = [
        item
        for table in (RECORDS, COVERAGE)
        for item in store.scan(table.prefix + company, table.prefix + company + b"\xff")
    ]
    if leaf is None:
        assert entries == []
        return
    _, _, total, count = decode(leaf)
    assert count == len(entries)
    assert total == changed_sum(EMPTY_SUM, [entry_digest(key, value) for key, value in entries])


def check_leaf_keys(store: MemoryStore) -> None:
    """Every leaf's key is known, and no other."""
    world = [key for key, _ in store.scan(b"sA", b"sZ")]
    named = [physical for _, physical in store.scan(b"k", b"l")]
    assert sorted(named) == sorted(world)
    for key_hash, physical in store.scan(b"k", b"l"):
        index = bucket_of(key_hash[1:])
        assert (key_hash[1:], physical) in list(bucket_keys(store, index))
