"""The round of alerts: by time alone everybody is looked at, in bounded blocks, in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.credit.voted_settings import ALERT_LOOK_DAYS, SETTINGS_BY_VOTE
from ledger.errors import Code
from ledger.lending.alerts.calendar import TIME_TOUCHED
from ledger.lending.alerts.queue import (
    ALERTS_A_BLOCK,
    ROUND_LOOKS_A_BLOCK,
    compute_dated_limit,
    compute_queue_limit,
    compute_round_limit,
    get_waiting_count,
)
from ledger.lending.alerts.raising import Watch, process_company_alerts
from ledger.lending.alerts.round import Round, get_behind_count, get_round, process_round
from ledger.state.overlay import Overlay
from ledger.state.tables import ALERT_CALENDAR, ALERT_ROUND, COMPANY_ALERTS, RECORDS
from ledger.storage.memory import MemoryStore
from tests.ledger_harness import DAY_MS, HOUR_MS, Harness, company_code
from tests.lending.documents import RULES, SALES_ALERT
from tests.lending.province import OTHER, TODAY, invoice
from tests.lending.rulers import Rulers
from tests.lending.test_alert_queue import cliffs, listed
from tests.lending.test_sales_warnings import NOW, Invoice, submit
from tests.lending.warnings import COMPANY, Watched, watched

LOOK_DAYS = SETTINGS_BY_VOTE[ALERT_LOOK_DAYS].default
WEEK_MS = LOOK_DAYS * DAY_MS


class Looks:
    """Notes whom blocks look at, and whether it was for time alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: int | None = None) -> None:
        self.timed: list[str] = []
        self.others: list[str] = []
        self.most = 0
        self._block = 0
        self._height = 0
        monkeypatch.setattr("ledger.execution.process_company_alerts", self._note)
        if limit is not None:
            monkeypatch.setattr("ledger.execution.compute_alert_limit", lambda _: limit)

    def _note(self, watch: Watch, company: str, touched: Collection[str]) -> Any:
        self._block = self._block + 1 if watch.height == self._height else 1
        self._height = watch.height
        self.most = max(self.most, self._block)
        (self.timed if TIME_TOUCHED in touched else self.others).append(company)
        return process_company_alerts(watch, company, touched)


def companies_of(store: MemoryStore, numbers: Collection[int]) -> None:
    """Let the state hold something of these companies."""
    state = Overlay(store)
    state.begin()
    for number in numbers:
        state.put(RECORDS, company_code(number).encode() + b"x", 1)
    state.commit()
    store.write(state.finish().writes, sync=True)


def walk(store: MemoryStore, time_ms: int, limit: int) -> tuple[str, ...]:
    state = Overlay(store)
    state.begin()
    walked = process_round(state, time_ms, limit)
    state.commit()
    store.write(state.finish().writes, sync=True)
    return walked


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3 * WEEK_MS), st.integers(0, 9), st.sets(st.integers(0, 40), max_size=6)
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_nobody_is_walked_twice_before_everybody_was(
    steps: list[tuple[int, int, set[int]]],
) -> None:
    store, time_ms = MemoryStore(), TODAY * DAY_MS
    known = set[str]()
    here = set[str]()  # of this round: who was there when it began
    met = list[str]()
    began_ms: int | None = None
    for passed_ms, limit, fresh in steps:
        companies_of(store, fresh)
        known |= {company_code(number) for number in fresh}
        time_ms += passed_ms
        walked = walk(store, time_ms, limit)
        assert len(walked) <= limit
        now = get_round(Overlay(store))
        assert (now is None) == (not known)
        if now is None:
            continue
        met += walked
        assert met == sorted(set(met))
        assert set(met) <= known
        if began_ms is not None and now.began_ms != began_ms:
            assert now.began_ms - began_ms >= WEEK_MS
            assert set(met) >= here
            assert now.size == len(met)
            here, met = set(known), []
        began_ms = now.began_ms
        assert now.walked == len(met)


def test_looks_are_spread_over_the_days_of_a_round() -> None:
    store, begin = MemoryStore(), TODAY * DAY_MS
    companies_of(store, range(70))
    assert walk(store, begin, 16) == ()
    assert walk(store, begin + WEEK_MS - 1, 16) == ()
    # How many there are is not known yet: the first time they are taken as they come.
    counts = [len(walk(store, begin + WEEK_MS + step * HOUR_MS, 16)) for step in range(6)]
    assert counts == [16, 16, 16, 16, 6, 0]
    begin += WEEK_MS + 4 * HOUR_MS
    by_day = Counter[int]()
    for hour in range(6, LOOK_DAYS * 24):
        by_day[hour // 24] += len(walk(store, begin + hour * HOUR_MS, 16))
    assert sorted(by_day.values()) == [9, *[10] * 6]
    late_ms = begin + WEEK_MS
    assert get_behind_count(Overlay(store), late_ms - HOUR_MS) == 0
    assert get_behind_count(Overlay(store), late_ms) == 1
    assert len(walk(store, late_ms, 16)) == 1
    assert get_behind_count(Overlay(store), late_ms) == 0
    assert get_behind_count(Overlay(store), late_ms + DAY_MS) == 10


def test_a_million_companies_are_caught_up_with_by_and_by() -> None:
    store, time_ms = MemoryStore(), TODAY * DAY_MS
    companies_of(store, range(3))
    walk(store, time_ms, 9)
    time_ms += WEEK_MS
    assert len(walk(store, time_ms, 9)) == 3
    assert get_round(Overlay(store)) == Round(time_ms, size=3)
    companies_of(store, range(500))
    seen = list[str]()
    while (now := get_round(Overlay(store))) is not None and now.size == 3:
        time_ms += HOUR_MS
        walked = walk(store, time_ms, 2)
        assert len(walked) <= 2
        seen += walked
    assert seen == sorted(map(company_code, range(500)))
    assert now == Round(time_ms, size=500)


def test_a_round_keeps_one_entry_and_writes_it_when_it_goes_on() -> None:
    store, begin = MemoryStore(), TODAY * DAY_MS
    companies_of(store, range(9))
    walk(store, begin, 9)
    walk(store, begin + WEEK_MS, 9)
    walk(store, begin + WEEK_MS, 9)
    assert len(list(Overlay(store).scan(ALERT_ROUND, b""))) == 1
    state = Overlay(store)
    state.begin()
    assert process_round(state, begin + WEEK_MS + HOUR_MS, 9) == ()
    state.commit()
    assert not state.finish().writes


COUNTS = st.integers(0, 600)


@given(st.integers(8, 256), COUNTS, COUNTS, COUNTS, st.integers(0, 10_000))
def test_each_of_the_three_is_sure_of_its_part(
    limit: int, waiting: int, due: int, ahead: int, passed_ms: int
) -> None:
    dated = min(due, compute_dated_limit(limit, waiting))
    walked = min(ahead, compute_round_limit(limit, waiting, dated, passed_ms))
    queued = min(waiting, compute_queue_limit(limit, dated + walked))
    assert dated >= min(due, limit // 4)
    assert walked >= min(ahead, limit // 8)
    assert queued >= min(waiting, limit - limit // 4 - limit // 8)
    used = dated + walked + queued
    assert min(limit - limit // 8, due + ahead + waiting) <= used <= limit + ROUND_LOOKS_A_BLOCK
    by_time = compute_round_limit(limit, waiting, dated, 0) < walked
    assert used <= limit or by_time


@pytest.mark.parametrize("gap_ms", [20, 60, 149, 250, 999, 1_000, 1_600])
def test_full_blocks_come_through_eleven_million_companies_in_a_week(gap_ms: int) -> None:
    a_block = compute_round_limit(ALERTS_A_BLOCK, 10_000, 600, gap_ms)
    assert a_block <= ROUND_LOOKS_A_BLOCK
    assert a_block * (WEEK_MS // gap_ms) >= 11_000_000


def test_a_round_that_is_behind_is_not_held_up_by_full_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness(RULES)
    for start in range(0, 120, 40):
        harness.block(*cliffs(harness, range(start, start + 40)))
    looks = Looks(monkeypatch, limit=8)
    harness.block(time_ms=harness.head.time_ms + WEEK_MS)
    assert len(looks.timed) == ROUND_LOOKS_A_BLOCK
    walked = list[int]()
    for number in range(3):
        begin = 1_000 + 20 * number
        before = len(looks.timed)
        harness.block(
            *cliffs(harness, range(begin, begin + 20)), time_ms=harness.head.time_ms + 500
        )
        walked.append(len(looks.timed) - before)
    # Twenty a second, whoever waits.
    assert walked == [10, 10, 10]
    assert looks.most <= 8 + ROUND_LOOKS_A_BLOCK


def sold(day: int, *, number: int = 1) -> list[Invoice]:
    """Return sales to two buyers, enough for no other warning to be about them."""
    return [Invoice(day, 50_000_000 * number, "one"), Invoice(day, 50_000_000 * number, "two")]


def attest(network: Watched) -> None:
    """Let the tax department say that it has reported everything."""
    body = network.attest("D02", "C044", (COMPANY,), NOW - 1_200, network.day, schema_name="line")
    assert network.run(body)[0] == Code.OK


def days_raised(network: Watched, rule: str) -> list[int]:
    return [
        item["day"] - NOW
        for item in network.alerts()
        if item["rule"].startswith(rule) and not item["is_repeat"]
    ]


def test_a_company_that_fell_silent_is_warned_of() -> None:
    network = watched()
    submit(network, "C044", sold(NOW))
    for day in range(1, 190):
        network.advance_days(1)
        if day % 40 == 0:
            attest(network)
        if day == 80:
            assert network.alerts() == []
            assert not list(network.state().scan(ALERT_CALENDAR, b""))
    (silent,), (long_silent,) = days_raised(network, "EW07"), days_raised(network, "EW08")
    assert 90 <= silent < 90 + LOOK_DAYS
    assert 180 <= long_silent < 180 + LOOK_DAYS
    assert {"EW07", "EW08"} <= set(network.standing())
    told = [item["day"] - NOW for item in network.alerts() if item["rule"] == "EW07/1"]
    assert told == [silent + 30 * number for number in range(len(told))]
    assert len(told) == 4
    submit(network, "C044", sold(network.day, number=2), first=9)
    assert {"EW07", "EW08"}.isdisjoint(network.standing())


def test_a_company_without_records_that_rules_read_is_passed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness(RULES)
    harness.block(harness.bind(OTHER))
    body = {"company": OTHER, "kind": "patent", "document_no": "ZL1", "day": TODAY - 9}
    assert harness.run(harness.sign("D01", "asset.register", body))[0] == Code.OK
    unread = invoice(1, TODAY, company=company_code(7))
    month = {"period": TODAY, "net_amount": 1, "invoice_count": 1}
    harness.block(
        harness.submit("D02", "C044", [type(unread)(unread.company, TODAY, month, salt=bytes(16))])
    )
    harness.block(*cliffs(harness, [8]))
    looks = Looks(monkeypatch)
    for _ in range(30):
        harness.advance_days(1)
    assert set(looks.timed) == {company_code(8)}
    now = get_round(harness.state())
    assert now is not None
    assert now.size == 3


def test_whoever_waits_nobody_is_starved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.lending.alerts.queue.ROUND_LOOKS_A_SECOND", 0)
    looks = Looks(monkeypatch, limit=8)
    harness = Harness(RULES)
    count = 60
    for start in range(0, count, 6):
        harness.block(*cliffs(harness, range(start, start + 6)))
    looks.timed.clear()
    # All have a warning that is told again on one day, and all are behind in the round; and each
    # block touches more new companies than it may look at.
    harness.block(time_ms=harness.head.time_ms + 31 * DAY_MS)
    assert len(list(harness.state().scan(ALERT_CALENDAR, b""))) == count
    # Seven were looked at because their day had come; how far the round is behind is not known yet.
    assert listed(harness)["waiting"] == count - 7 + 1
    for number in range(40):
        start = 1_000 + 9 * number
        harness.block(*cliffs(harness, range(start, start + 9)))
    met = Counter(looks.timed)
    assert set(met) >= set(map(company_code, range(count)))
    assert max(met.values()) <= 3
    assert looks.most == 8
    waiting = get_waiting_count(harness.state())
    assert 40 * 9 - waiting >= 40 * 5
    assert len(set(looks.others)) == count + 40 * 9 - waiting


def test_who_is_touched_when_the_time_has_come_is_looked_at_once_for_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness(RULES)
    harness.block(*cliffs(harness, [1]))
    seen = list[Collection[str]]()

    def note(watch: Watch, company: str, touched: Collection[str]) -> Any:
        seen.append(touched)
        return process_company_alerts(watch, company, touched)

    monkeypatch.setattr("ledger.execution.process_company_alerts", note)
    more = harness.submit("D02", "C044", [invoice(9, TODAY, company=company_code(1))], "line")
    harness.block(more, time_ms=harness.head.time_ms + 30 * DAY_MS)
    assert seen == [{"C044/line", TIME_TOUCHED}]


def test_a_look_that_fails_does_not_stop_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness(RULES)
    harness.block(*cliffs(harness, range(12)))
    codes = sorted(map(company_code, range(12)))
    met = list[str]()

    def fail(watch: Watch, company: str, touched: Collection[str]) -> Any:
        met.append(company)
        if company == codes[0]:
            raise ZeroDivisionError(company)
        return process_company_alerts(watch, company, touched)

    monkeypatch.setattr("ledger.execution.process_company_alerts", fail)
    harness.advance_days(1)
    harness.advance_days(LOOK_DAYS)
    assert met == codes
    assert not harness.block().notes.failures


def test_a_rule_adopted_by_vote_looks_at_everybody_within_a_round() -> None:
    network = Rulers()
    network.sell(OTHER)
    keener = SALES_ALERT.replace(b'"EW05"', b'"EW95"').replace(
        b"w.before >= yuan(5000) && w.now * 2 <= w.before", b"w.now > yuan(1)"
    )
    network.adopt(keener)
    raised = dict[str, int]()
    for _ in range(LOOK_DAYS + 1):
        for item in network.ask("D18", "alerts.list")["alerts"]:
            raised.setdefault(item["company"], item["day"] - TODAY)
        network.advance_days(1)
    assert set(raised) >= {OTHER}
    assert max(raised.values()) <= LOOK_DAYS


def test_members_vote_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Rulers()
    network.sell(OTHER)
    code, data = network.decide("setting", name=ALERT_LOOK_DAYS, value=2, effective_from=TODAY + 20)
    assert code == Code.OK, data
    looks = Looks(monkeypatch)
    days = list[int]()
    for day in range(1, 40):
        before = len(looks.timed)
        network.advance_days(1)
        if OTHER in looks.timed[before:]:
            days.append(day)
    gaps = [later - earlier for earlier, later in pairwise(days)]
    assert LOOK_DAYS - 1 <= gaps[0] <= LOOK_DAYS + 1
    assert set(gaps[-5:]) <= {2, 3}


def test_who_is_looked_at_each_week_keeps_his_place_in_the_calendar() -> None:
    harness = Harness(RULES)
    harness.block(*cliffs(harness, [1]))
    key = company_code(1).encode() + b"D"
    assert harness.state().get(COMPANY_ALERTS, key) == TODAY + 30
    harness.advance_days(1)
    executed = harness.execute([], harness.head.time_ms + LOOK_DAYS * DAY_MS)
    assert COMPANY_ALERTS.prefix + key not in executed.writes
    assert ALERT_ROUND.prefix + b"now" in executed.writes
