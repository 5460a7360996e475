"""The calendar of alerts: whoever time may concern is looked at on his day, in bounded blocks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.lending.alerts.calendar import (
    DAILY_DAYS,
    LOOK_DAYS,
    compute_next_look,
    process_calendar,
    process_next_look,
    process_plan,
)
from ledger.lending.facts import get_loans
from ledger.state.overlay import Overlay
from ledger.state.tables import ALERT_CALENDAR, COMPANY_ALERTS
from ledger.storage.memory import MemoryStore
from tests.ledger_harness import Harness, company_code
from tests.lending.province import SELLER, TODAY, Province
from tests.lending.test_loans import drawn

ACTS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 6), st.one_of(st.none(), st.integers(-2, 20))),
        st.tuples(st.just("take"), st.integers(0, 22), st.integers(0, 3)),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(ACTS)
def test_the_calendar_is_a_dictionary(acts: list[tuple[object, ...]]) -> None:
    state, twin = Overlay(MemoryStore()), dict[str, int]()
    state.begin()
    for act in acts:
        if act[0] == "take":
            _, day, limit = act
            assert isinstance(day, int)
            assert isinstance(limit, int)
            due = sorted((when, name) for name, when in twin.items() if when <= day)[:limit]
            assert process_calendar(state, day, limit) == tuple(name for _, name in due)
            twin |= {name: day + 1 for _, name in due}
        else:
            number, when = act
            assert isinstance(number, int)
            name = company_code(number)
            process_next_look(state, name, when if isinstance(when, int) else None)
            if isinstance(when, int):
                twin[name] = when
            else:
                twin.pop(name, None)
    assert len(list(state.scan(ALERT_CALENDAR, b""))) == len(twin)


def test_a_look_moves_the_next_one_only_when_it_must() -> None:
    state, company = Overlay(MemoryStore()), company_code(1)
    state.begin()
    plans: list[tuple[int | None, int, int | None]] = [
        (30, 0, 30),  # what is planned, on which day, and what then stands
        (37, 7, 30),
        (12, 8, 12),
        (40, 11, 40),  # it stood under tomorrow
        (40, 12, 40),
        (None, 13, None),
    ]
    for planned, today, wanted in plans:
        process_plan(state, company, planned, today)
        assert state.get(COMPANY_ALERTS, company.encode() + b"D") == wanted
        assert len(list(state.scan(ALERT_CALENDAR, b""))) == (wanted is not None)


def next_look(province: Harness, company: str) -> int | None:
    day: int | None = province.state().get(COMPANY_ALERTS, company.encode() + b"D")
    return day


def test_a_borrower_is_looked_at_each_month_and_the_day_after_a_due_day() -> None:
    province = Province()
    assert next_look(province, SELLER) is None
    loan = drawn(province)
    assert next_look(province, SELLER) == TODAY + LOOK_DAYS
    looks = list[int | None]()
    for day in range(1, 96):
        province.advance_days(1)
        if next_look(province, SELLER) != (looks[-1] if looks else TODAY + LOOK_DAYS):
            looks.append(next_look(province, SELLER))
            assert looks[-1] is not None
            assert looks[-1] > TODAY + day
    assert looks[:3] == [TODAY + 60, TODAY + 90, TODAY + 91]
    assert looks[3:] == [TODAY + day for day in range(92, 97)]
    owed_fen = province.ask("ICBC", "loan.show", loan=loan)["owed_fen"]
    province.do("ICBC", "loan.repay", loan=loan, amount_fen=owed_fen)
    assert next_look(province, SELLER) is None
    assert not list(province.state().scan(ALERT_CALENDAR, b""))


def test_a_loan_that_is_long_past_due_is_looked_at_each_month() -> None:
    province = Province()
    drawn(province)
    ((_, loan),) = get_loans(province.state(), SELLER)
    due = loan.plan[0].due_day
    assert compute_next_look([loan], [], due + DAILY_DAYS) == due + DAILY_DAYS + 1
    late = due + DAILY_DAYS + 1
    assert compute_next_look([loan], [], late) == late + LOOK_DAYS
    assert compute_next_look([], [], late) is None
