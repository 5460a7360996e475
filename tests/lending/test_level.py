"""Equal instalments: the sum that is sought along a line is the one that halving finds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.lending.loans.schedule import (
    DayCount,
    ScheduleKind,
    Terms,
    compute_due_days,
    compute_interest,
    compute_plan,
)
from ledger.lending.ranking import Pricing
from ledger.rules.product import Repayment

_TERMS = st.builds(
    Terms,
    st.integers(0, 1_000_000) | st.integers(200, 2_400),
    st.just(ScheduleKind.EQUAL_INSTALMENTS),
    st.integers(1, 12),
    st.sampled_from(list(DayCount)),
    st.just(0),
)


def _last_excess(terms: Terms, principal: int, day: int, due: tuple[int, ...], level: int) -> int:
    """The dumb twin of one try: pay `level` each time and see what is left for the last."""
    left, rest, since = principal, 0, day
    for due_day in due[:-1]:
        interest, rest = compute_interest(terms, left, since, due_day, rest)
        left -= min(max(0, level - interest), left)
        since = due_day
    return left + compute_interest(terms, left, since, due[-1], rest)[0] - level


def _halve(terms: Terms, principal: int, day: int, due: tuple[int, ...]) -> int:
    low = principal // len(due)
    high = principal + compute_interest(terms, principal, day, due[-1], 0)[0] + 1
    while low < high:
        middle = (low + high) // 2
        if _last_excess(terms, principal, day, due, middle) <= 0:
            high = middle
        else:
            low = middle + 1
    return low


@settings(max_examples=300, deadline=None)
@given(
    _TERMS,
    st.integers(1, 10**15) | st.integers(1, 1_000) | st.just(50_000_000),
    st.integers(18_000, 19_000),
    st.integers(1, 11_000) | st.integers(1, 400),
)
def test_equal_sums_are_those_that_halving_finds(
    terms: Terms, principal_fen: int, day: int, term_days: int
) -> None:
    due = compute_due_days(terms, day, day + term_days)
    plan = compute_plan(terms, principal_fen, day, due)
    level = _halve(terms, principal_fen, day, due)
    want, left, rest, since = [], principal_fen, 0, day
    for due_day in due:
        interest, rest = compute_interest(terms, left, since, due_day, rest)
        part = left if due_day == due[-1] else min(max(0, level - interest), left)
        want.append((due_day, part, interest))
        left, since = left - part, due_day
    assert [item.to_value() for item in plan] == [item for item in want if item[1] + item[2]]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["bullet", "interest_first", "equal_instalments"]),
    st.integers(1, 12),
    st.sampled_from(["ACT/360", "ACT/365", "30/360"]),
    st.integers(0, 100_000),
    st.integers(1, 10**12),
    st.integers(1, 1_200),
)
def test_what_a_loan_costs_is_the_interest_of_its_plan(
    kind: str, months: int, day_count: str, rate_bp: int, amount_fen: int, term_days: int
) -> None:
    terms = Terms(rate_bp, ScheduleKind(kind), months, DayCount(day_count), 0)
    due = compute_due_days(terms, 18_300, 18_300 + term_days)
    plan = compute_plan(terms, amount_fen, 18_300, due)
    pricing = Pricing(18_300, term_days)
    repayment = Repayment(kind, months, day_count, 0)
    for _ in range(2):
        assert pricing.price(repayment, rate_bp, amount_fen) == sum(x.interest_fen for x in plan)
