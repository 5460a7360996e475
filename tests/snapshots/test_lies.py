"""A source that lies (F26): no wrong piece passes, and what it left does no harm afterwards."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from ledger.execution import execute_genesis
from ledger.snapshots import limits
from ledger.snapshots.fetching import fetch_subtree, fetch_top
from ledger.snapshots.history import fetch_history
from ledger.snapshots.queries import (
    BucketsQuery,
    CompaniesQuery,
    HistoryQuery,
    NodesQuery,
    Query,
    TopQuery,
)
from ledger.storage.memory import MemoryStore
from tests.snapshots.support import SnapshotChain, own_entries, run, transfer_state

KINDS = (TopQuery, NodesQuery, BucketsQuery, CompaniesQuery, HistoryQuery)


@cache
def chain() -> SnapshotChain:
    made = SnapshotChain(seed=5)
    for _ in range(40):
        made.mixed_block(6)
    return made


@cache
def truth() -> dict[bytes, bytes]:
    return own_entries(chain().store)


def bodies(store) -> dict[bytes, bytes]:
    return dict(store.scan(b"x", b"y"))


@cache
def true_bodies() -> dict[bytes, bytes]:
    store = MemoryStore()
    transfer_state(store, chain().head.state_root, chain().snapshot().answer)
    return bodies(store)


def places(value, path=()):
    """Yield the path to everything in a decoded answer."""
    yield path
    if type(value) is tuple:
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def replaced(value, path, change):
    if not path:
        return change(value)
    head, *rest = path
    items = list(value)
    items[head] = replaced(items[head], rest, change)
    return tuple(items)


def removed(value, path):
    *above, last = path
    return replaced(value, above, lambda items: items[:last] + items[last + 1 :])


def doubled(value, path):
    *above, last = path
    return replaced(value, above, lambda items: (*items[: last + 1], *items[last:]))


def changed(item):
    """Return something else of the same kind."""
    if type(item) is bytes:
        return bytes((item[0] ^ 1,)) + item[1:] if item else b"\x01"
    if type(item) is bool:
        return not item
    if type(item) is int:
        return item + 1
    if type(item) is tuple:
        return item[::-1] if len(set(map(repr, item))) > 1 else (*item, b"more")
    return b"other"


class Liar:
    """Answers truly but for the n-th question of one kind."""

    def __init__(self, kind, number, lie) -> None:
        self.kind, self.left, self.lie = kind, number, lie
        self.has_lied = False
        self._snapshot = chain().snapshot()

    def answer(self, query: Query) -> bytes:
        data = self._snapshot.answer(query)
        if type(query) is self.kind and not self.has_lied:
            self.left -= 1
            if self.left < 0:
                lie = self.lie(data)
                self.has_lied = lie != data
                return lie
        return data


def mutate(draw, data):
    value = decode(data)
    path = draw(st.sampled_from(list(places(value))))
    operation = draw(st.sampled_from(("change", "remove", "double", "bytes", "cut", "empty")))
    if operation == "bytes":
        at = draw(st.integers(0, len(data) - 1))
        return data[:at] + bytes((data[at] ^ draw(st.integers(1, 255)),)) + data[at + 1 :]
    if operation == "cut":
        return data[: draw(st.integers(0, len(data) - 1))]
    if operation == "empty":
        return encode(())
    if operation == "change" or not path:
        return encode(replaced(value, path, changed))
    return encode(removed(value, path) if operation == "remove" else doubled(value, path))


def fetch_everything(store, answer) -> None:
    genesis = execute_genesis(chain().genesis).header
    transfer_state(store, chain().head.state_root, answer)
    run(fetch_history(store, chain().head, genesis), answer)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_f26_every_mutated_piece_is_refused_and_leaves_nothing_behind(data):
    """Rule 41: the transfer goes on with an honest source in the same staging store."""
    kind = data.draw(st.sampled_from(KINDS))
    liar = Liar(kind, data.draw(st.integers(0, 3)), lambda piece: mutate(data.draw, piece))
    store = MemoryStore()
    try:
        fetch_everything(store, liar.answer)
    except Refused:
        assert liar.has_lied
    else:
        assert not liar.has_lied
    fetch_everything(store, chain().snapshot().answer)
    assert own_entries(store) == truth()
    assert bodies(store) == true_bodies()


def company_piece():
    """Return the first question for companies, and its true answer."""
    asked = []

    def answer(query):
        if type(query) is CompaniesQuery:
            asked.append(query)
        return chain().snapshot().answer(query)

    transfer_state(MemoryStore(), chain().head.state_root, answer)
    return asked[0], chain().snapshot().answer(asked[0])


def test_f26_entries_of_an_earlier_block_are_refused():
    """A stale answer, true once: the sum in the leaf is of now."""
    older = SnapshotChain(seed=5)
    for _ in range(30):
        older.mixed_block(6)

    def answer(query):
        source = older if type(query) is CompaniesQuery else chain()
        return source.snapshot().answer(query)

    with pytest.raises(Refused) as caught:
        transfer_state(MemoryStore(), chain().head.state_root, answer)
    assert caught.value.code is Code.STATE_PIECE_INVALID


def test_f26_endless_entries_end_at_the_count_in_the_leaf(monkeypatch):
    """A company that never ends: as many entries as its leaf counts are taken and no more."""
    monkeypatch.setattr("ledger.snapshots.fetching.PIECE_BYTES", 1)
    monkeypatch.setattr("ledger.snapshots.checks.PIECE_BYTES", 1)
    questions = 0

    def answer(query):
        nonlocal questions
        if type(query) is not CompaniesQuery:
            return chain().snapshot().answer(query)
        questions += 1
        key = b"sf" + query.companies[0] + b"more" + questions.to_bytes(4, "big")
        return encode(((((key, b"\xc0", ()),), False),))

    with pytest.raises(Refused, match="has more than"):
        transfer_state(MemoryStore(), chain().head.state_root, answer)
    assert questions < 300


def test_f26_short_piece_is_refused():
    """One entry at a time would be endless in time."""
    asked, true = company_piece()
    entries, _ = decode(true)[0]

    def answer(query):
        if query == asked:
            return encode(((entries[:1], False),))
        return chain().snapshot().answer(query)

    with pytest.raises(Refused, match="full"):
        transfer_state(MemoryStore(), chain().head.state_root, answer)


def test_pieces_stay_small_and_continue_where_they_ended(monkeypatch):
    """Rule 41: a company larger than a piece comes in several."""
    for place in ("fetching", "checks", "serving", "history"):
        monkeypatch.setattr(f"ledger.snapshots.{place}.PIECE_BYTES", 700)
    sizes: dict[type, list[int]] = {}

    def answer(query):
        piece = chain().snapshot().answer(query)
        sizes.setdefault(type(query), []).append(len(piece))
        return piece

    store = MemoryStore()
    fetch_everything(store, answer)
    assert own_entries(store) == truth()
    assert max(sizes[CompaniesQuery]) < 700 + 3_000
    assert len(sizes[CompaniesQuery]) > 30


def test_f26_source_that_holds_nothing_of_it_is_refused_at_the_top():
    with pytest.raises(Refused):
        run(fetch_top(MemoryStore(), b"\x05" * 32), chain().snapshot().answer)
    with pytest.raises(Refused):
        run(fetch_subtree(MemoryStore(), 3, b"\x05" * 32), chain().snapshot().answer)


def test_limits_stand_in_one_place():
    assert limits.PIECE_BYTES <= 1024 * 1024
