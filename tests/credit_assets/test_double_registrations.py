"""Papers registered twice: counted for each company as a naive count over all assets would."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.credit.double_registrations import (
    CONTEST_DAYS,
    MAX_DAYS,
    MAX_KEPT,
    find_holder,
    get_contest_count,
    get_double_count,
    process_contests,
    process_registered,
    process_withdrawn,
)
from ledger.state.overlay import Overlay
from ledger.state.tables import ASSET_MARKS, COMPANY_DOUBLES
from ledger.storage.memory import MemoryStore
from tests.ledger_harness import company_code

COMPANIES = tuple(company_code(number) for number in range(3))
ASSETS = st.tuples(st.integers(0, 2), st.sampled_from(COMPANIES), st.integers(0, 3))


def opened() -> Overlay:
    state = Overlay(MemoryStore())
    state.begin()
    return state


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), ASSETS), max_size=30))
def test_doubles_are_what_a_naive_count_gives(
    acts: list[tuple[bool, tuple[int, str, int]]],
) -> None:
    state, live = opened(), list[tuple[int, str, int]]()
    for is_added, asset in acts:
        number, company, name = asset
        before = {item: get_double_count(state, item) for item in COMPANIES}
        document, asset_id = bytes([number]) * 32, bytes([number, name]) * 8
        if is_added and asset not in live:
            live.append(asset)
            touched = process_registered(state, document, company, asset_id)
        else:
            live = [item for item in live if item != asset]
            touched = process_withdrawn(state, document, company, asset_id)
        papers = Counter(item[0] for item in live)
        for item in COMPANIES:
            doubles = sum(1 for paper, owner, _ in live if owner == item and papers[paper] > 1)
            assert get_double_count(state, item) == doubles
            assert (item in touched) == (before[item] != doubles)
        owners = [owner for paper, owner, _ in live if paper == number]
        assert find_holder(state, document) == (owners[0] if owners else None)
    for number, company, name in live:
        process_withdrawn(state, bytes([number]) * 32, company, bytes([number, name]) * 8)
    assert not list(state.scan(ASSET_MARKS, b""))
    assert not any(list(state.scan(COMPANY_DOUBLES, item.encode())) for item in COMPANIES)


def test_a_paper_registered_without_end_is_bounded() -> None:
    state, document = opened(), bytes(32)
    for number in range(MAX_KEPT + 9):
        process_registered(state, document, COMPANIES[0], number.to_bytes(16, "big"))
    assert get_double_count(state, COMPANIES[0]) == MAX_KEPT
    last = (MAX_KEPT + 8).to_bytes(16, "big")
    assert process_withdrawn(state, document, COMPANIES[0], last) == ()


def test_contests_count_once_a_day_for_both_and_for_some_time() -> None:
    state = opened()
    first, second, third = COMPANIES
    pairs = {(first, second), (second, third)}
    assert process_contests(state, pairs, 100) == COMPANIES
    process_contests(state, {(first, second)}, 100)
    process_contests(state, {(first, second)}, 103)
    assert [get_contest_count(state, name, 103) for name in COMPANIES] == [2, 2, 1]
    assert get_contest_count(state, first, 100 + CONTEST_DAYS - 1) == 2
    assert get_contest_count(state, first, 100 + CONTEST_DAYS) == 1
    assert get_contest_count(state, first, 103 + CONTEST_DAYS) == 0
    for day in range(200, 200 + 2 * MAX_DAYS):
        process_contests(state, {(first, second)}, day)
    assert get_contest_count(state, first, 200 + 2 * MAX_DAYS) == MAX_DAYS
