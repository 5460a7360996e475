"""Schedules: they sum to principal and interest, and who pays in time owes nothing at the end."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.lending.loans.schedule import (
    YEAR_DAYS,
    DayCount,
    Instalment,
    ScheduleKind,
    Terms,
    compute_days,
    compute_due_days,
    compute_interest,
    compute_plan,
)

EPOCH = date(1970, 1, 1)


def day_of(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


def make_terms(kind: ScheduleKind, rate_bp: int = 600, months: int = 1) -> Terms:
    return Terms(rate_bp, kind, months, DayCount.THIRTY_360, 0)


TERMS = st.builds(
    Terms,
    st.integers(0, 10_000),
    st.sampled_from(ScheduleKind),
    st.integers(1, 12),
    st.sampled_from(DayCount),
    st.just(0),
)


@given(TERMS, st.integers(1, 10**15), st.integers(15_000, 25_000), st.integers(1, 3_650))
def test_schedule_sums_to_principal_and_to_the_interest_that_accrues(
    terms: Terms, principal_fen: int, drawn_day: int, term_days: int
) -> None:
    due_days = compute_due_days(terms, drawn_day, drawn_day + term_days)
    plan = compute_plan(terms, principal_fen, drawn_day, due_days)
    assert sorted(set(due_days)) == list(due_days)
    assert set(due_days) >= {item.due_day for item in plan}
    assert all(item.total_fen > 0 for item in plan)
    assert sum(item.principal_fen for item in plan) == principal_fen
    # The naive twin: fractions, one day after the other.
    left_fen, since, exact, planned = principal_fen, drawn_day, Fraction(0), 0
    for item in plan:
        days = compute_days(terms.day_count, since, item.due_day)
        exact += Fraction(left_fen * terms.rate_bp * days, 10_000 * YEAR_DAYS[terms.day_count])
        planned += item.interest_fen
        assert planned == exact.numerator // exact.denominator
        left_fen, since = left_fen - item.principal_fen, item.due_day
    assert left_fen == 0
    assert min(item.principal_fen for item in plan) >= 0


@given(TERMS, st.integers(10_000, 10**13), st.integers(15_000, 25_000), st.integers(40, 3_650))
def test_equal_instalments_are_equal_but_for_the_last(
    terms: Terms, principal_fen: int, drawn_day: int, term_days: int
) -> None:
    equal = Terms(
        terms.rate_bp, ScheduleKind.EQUAL_INSTALMENTS, terms.period_months, terms.day_count, 0
    )
    due_days = compute_due_days(equal, drawn_day, drawn_day + term_days)
    *others, last = compute_plan(equal, principal_fen, drawn_day, due_days)
    # Where a period's interest alone is more than the sum, that interest is what falls due.
    level = min((item.total_fen for item in others), default=last.total_fen)
    assert all(item.total_fen == level or item.principal_fen == 0 for item in others)
    assert last.total_fen <= level


def test_a_year_of_equal_instalments_by_hand() -> None:
    terms = make_terms(ScheduleKind.EQUAL_INSTALMENTS)
    drawn = day_of("2020-01-10")
    due_days = compute_due_days(terms, drawn, day_of("2021-01-10"))
    plan = compute_plan(terms, 1_200_000_00, drawn, due_days)
    # 1,200,000.00 at 6 % over twelve months: 103,279.72 by the annuity formula (103,279.7164…).
    assert [item.total_fen for item in plan[:-1]] == [10_327_972] * 11
    assert plan[0] == Instalment(day_of("2020-02-10"), 9_727_972, 600_000)
    assert 0 <= 10_327_972 - plan[-1].total_fen < 12


def test_interest_first_pays_interest_each_quarter_and_all_principal_last() -> None:
    terms = make_terms(ScheduleKind.INTEREST_FIRST, months=3)
    drawn = day_of("2019-11-30")
    due_days = compute_due_days(terms, drawn, day_of("2020-11-30"))
    dates = [date.fromordinal(EPOCH.toordinal() + day).isoformat() for day in due_days]
    assert dates == ["2020-02-29", "2020-05-30", "2020-08-30", "2020-11-30"]
    plan = compute_plan(terms, 400_000_00, drawn, due_days)
    assert [item.principal_fen for item in plan] == [0, 0, 0, 400_000_00]
    assert sum(item.interest_fen for item in plan) == 24_000_00


def test_bullet_is_one_instalment() -> None:
    terms = make_terms(ScheduleKind.BULLET)
    assert compute_due_days(terms, 18_000, 18_090) == (18_090,)


@pytest.mark.parametrize(
    ("count", "first", "last", "days"),
    [
        (DayCount.ACT_360, "2020-01-31", "2020-03-01", 30),
        (DayCount.ACT_365, "2020-01-31", "2020-03-01", 30),
        (DayCount.THIRTY_360, "2020-01-31", "2020-03-01", 31),
        (DayCount.THIRTY_360, "2020-01-30", "2020-01-31", 0),
        (DayCount.THIRTY_360, "2019-01-15", "2020-01-15", 360),
        (DayCount.ACT_360, "2020-03-01", "2020-01-31", 0),
    ],
)
def test_days_are_counted_as_stated(count: DayCount, first: str, last: str, days: int) -> None:
    assert compute_days(count, day_of(first), day_of(last)) == days


@given(TERMS, st.integers(0, 10**15), st.lists(st.integers(0, 400), min_size=1, max_size=8))
def test_interest_does_not_depend_on_how_often_it_is_booked(
    terms: Terms, principal_fen: int, gaps: list[int]
) -> None:
    day, fen, remainder = 18_000, 0, 0
    for gap in gaps:
        whole, remainder = compute_interest(terms, principal_fen, day, day + gap, remainder)
        day, fen = day + gap, fen + whole
    assert (fen, remainder) == compute_interest(terms, principal_fen, 18_000, day, 0)
