"""The queue of companies whose alerts are to be looked at: bounded blocks, nothing lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.lending.alerts.queue import (
    ALERTS_A_BLOCK,
    ALERTS_A_LIGHT_BLOCK,
    ALERTS_AN_EMPTY_BLOCK,
    LIGHT_BLOCK_TRANSACTIONS,
    SEGMENT_PLACES,
    compute_alert_limit,
    get_waiting_count,
    process_alert_queue,
)
from ledger.lending.alerts.raising import process_company_alerts
from ledger.queries import QUERIES
from ledger.state.overlay import Overlay
from ledger.state.tables import ALERT_QUEUE, COMPANY_ALERTS
from ledger.storage.memory import MemoryStore
from ledger.transactions.envelope import Transaction
from tests.ledger_harness import GENESIS_DAY, Harness, company_code
from tests.lending.documents import RULES
from tests.lending.province import invoice

BULK = 100
LIGHT = LIGHT_BLOCK_TRANSACTIONS - 1


class Twin:
    """A queue as a list and a dictionary."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.touched: dict[str, set[str]] = {}

    def process(self, touched: dict[str, set[str]], limit: int) -> list[tuple[str, set[str]]]:
        for company in sorted(touched):
            if company not in self.order:
                self.order.append(company)
                self.touched[company] = set()
            self.touched[company] |= touched[company]
        due, self.order = self.order[:limit], self.order[limit:]
        return [(company, self.touched[company]) for company in due]


def process(
    store: MemoryStore, touched: dict[str, set[str]], limit: int
) -> list[tuple[str, set[str]]]:
    """Run one block of the queue alone, and apply what it writes."""
    state = Overlay(store)
    state.begin()
    due = process_alert_queue(state, touched, limit)
    state.commit()
    store.write(state.finish().writes, sync=True)
    return [(company, set(names)) for company, names in due]


NAMES = st.sets(st.sampled_from(("C044", "C044/line", "loans")), min_size=1)
COMPANIES = st.integers(0, 300).map(company_code)
BLOCKS = st.lists(
    st.tuples(st.dictionaries(COMPANIES, NAMES, max_size=150), st.sampled_from((1, 16, 64))),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(BLOCKS)
def test_the_queue_is_a_list(blocks: list[tuple[dict[str, set[str]], int]]) -> None:
    store, twin = MemoryStore(), Twin()
    for touched, limit in blocks:
        assert process(store, touched, limit) == twin.process(touched, limit)
        assert get_waiting_count(Overlay(store)) == len(twin.order)
    while twin.order:
        assert process(store, {}, 64) == twin.process({}, 64)
    assert process(store, {}, 64) == []
    segments = [key for key, _ in Overlay(store).scan(ALERT_QUEUE, b"") if key != b"ends"]
    assert len(segments) <= 1


def test_a_company_that_waits_keeps_its_place_and_writes_once_a_schema() -> None:
    store = MemoryStore()
    first, second = company_code(1), company_code(2)
    assert process(store, {first: {"C044"}, second: {"loans"}}, 0) == []

    def writes(touched: dict[str, set[str]]) -> list[bytes]:
        state = Overlay(store)
        state.begin()
        process_alert_queue(state, touched, 0)
        state.commit()
        return [key for key in state.finish().writes if key[:2] != b"sA"]

    assert writes({second: {"loans"}}) == []
    assert writes({first: {"C048"}}) == [COMPANY_ALERTS.prefix + first.encode() + b"Q"]
    assert process(store, {first: {"C048"}}, 1) == [(first, {"C044", "C048"})]
    assert process(store, {first: {"C044"}}, 2) == [(second, {"loans"}), (first, {"C044"})]


def test_places_go_on_after_a_segment_was_emptied() -> None:
    store = MemoryStore()
    for start in range(0, 3 * SEGMENT_PLACES, SEGMENT_PLACES):
        codes = [company_code(start + number) for number in range(SEGMENT_PLACES)]
        assert process(store, {code: {"C044"} for code in codes}, 0) == []
        assert [company for company, _ in process(store, {}, SEGMENT_PLACES)] == sorted(codes)


def test_limits_of_a_block() -> None:
    assert compute_alert_limit(0) == ALERTS_AN_EMPTY_BLOCK
    assert compute_alert_limit(1) == compute_alert_limit(LIGHT) == ALERTS_A_LIGHT_BLOCK
    assert compute_alert_limit(LIGHT_BLOCK_TRANSACTIONS) == ALERTS_A_BLOCK


def cliffs(harness: Harness, numbers: Iterable[int]) -> list[Transaction]:
    """Return a transaction for each company, whose sales fall off a cliff."""
    return [
        harness.submit(
            "D02",
            "C044",
            [
                invoice(1, GENESIS_DAY - 100, 9_000_000, company=company_code(number)),
                invoice(2, GENESIS_DAY - 10, 1_000_000, company=company_code(number)),
            ],
            "line",
        )
        for number in numbers
    ]


def listed(harness: Harness) -> dict[str, Any]:
    answer = QUERIES["alerts.list"](harness.query_context("D18"), {})
    assert isinstance(answer, dict)
    return answer


def found(harness: Harness) -> set[tuple[Any, ...]]:
    alerts = listed(harness)["alerts"]
    return {(item["company"], item["rule"], item["state"], item["inputs"]) for item in alerts}


def test_bulk_lags_and_idle_blocks_catch_up() -> None:
    harness = Harness(RULES)
    harness.block(*cliffs(harness, range(BULK)))
    counts: list[tuple[int, int]] = []
    while not counts or counts[-1][1]:
        answer = listed(harness)
        counts.append((len(answer["alerts"]), answer["waiting"]))
        harness.block()
    assert counts == [(ALERTS_A_BLOCK, BULK - ALERTS_A_BLOCK), (BULK, 0)]


def test_drained_it_has_raised_what_light_blocks_raise_at_once() -> None:
    bulk, light = Harness(RULES), Harness(RULES)
    bulk.block(*cliffs(bulk, range(BULK)))
    while listed(bulk)["waiting"]:
        bulk.block()
    transactions = cliffs(light, range(BULK))
    for start in range(0, BULK, 50):
        light.block(*transactions[start : start + 50])
    assert found(bulk) == found(light)
    assert len(found(light)) == BULK


def test_a_light_block_looks_at_what_it_touched_and_queues_nothing() -> None:
    harness = Harness(RULES)
    executed = harness.block(*cliffs(harness, range(LIGHT)))
    assert len(listed(harness)["alerts"]) == LIGHT
    assert not [key for key in executed.writes if key.startswith(ALERT_QUEUE.prefix)]
    assert harness.block().writes.keys().isdisjoint({ALERT_QUEUE.prefix + b"ends"})


def test_a_review_does_not_wait() -> None:
    harness = Harness(RULES)
    harness.block(*cliffs(harness, range(BULK)))
    raised = {item["company"] for item in listed(harness)["alerts"]}
    waiting = next(code for code in map(company_code, range(BULK)) if code not in raised)
    review = harness.sign("D18", "alert.review", {"companies": (waiting,)})
    heavy = [review, *cliffs(harness, range(1_000, 1_000 + LIGHT_BLOCK_TRANSACTIONS))]
    executed = harness.block(*heavy)
    data = executed.results[0][1]
    assert data == {"companies": 1, "happened": {waiting: (("EW05/1", "RAISED"),)}}


def test_a_company_that_cannot_be_evaluated_leaves_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poison = min(company_code(number) for number in range(BULK))

    def fail(watch: Any, company: str, touched: Any) -> Any:
        if company == poison:
            raise ZeroDivisionError(company)
        return process_company_alerts(watch, company, touched)

    monkeypatch.setattr("ledger.execution.process_company_alerts", fail)
    harness = Harness(RULES)
    executed = harness.block(*cliffs(harness, range(BULK)))
    (failure,) = executed.notes.failures
    assert (failure.position, "ZeroDivisionError" in failure.text) == (-1, True)
    while listed(harness)["waiting"]:
        assert not harness.block().notes.failures
    assert len(found(harness)) == BULK - 1
