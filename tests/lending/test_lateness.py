"""How late a loan was in the days that a rule asks about, held against a count day by day.

"More than 30 days overdue in the last 24 months" (RULES.md, the product's example) is the worst of
the days of the window, (as of − 730 days, as of]: what lay before it counts for nothing, and a
payment that came a day late last week does not bring back the hundred days of years ago.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Rejected
from ledger.lending.loans.loan import (
    LATE_KEPT_DAYS,
    Loan,
    accelerate,
    compute_days_past_due,
    compute_due_fen,
    compute_late_days_max,
    compute_owed_fen,
    declare_default,
    repay,
    restructure,
    write_off,
)
from ledger.lending.loans.schedule import DayCount, ScheduleKind, Terms
from tests.lending.test_instalments import DAY, make_loan

MONTHLY = Terms(600, ScheduleKind.EQUAL_INSTALMENTS, 1, DayCount.THIRTY_360, 200)


def pay_all_due(loan: Loan, day: int) -> Loan:
    due_fen = compute_due_fen(loan, day)
    return repay(loan, due_fen, day)[0] if due_fen else loan


def test_what_was_late_before_the_window_does_not_come_back() -> None:
    loan = make_loan(MONTHLY, term_days=3_000)
    bad_day = loan.plan[0].due_day + 100
    loan = pay_all_due(loan, bad_day)
    day = bad_day
    while day < bad_day + 800:
        day = loan.plan[0].due_day
        loan = pay_all_due(loan, day)
    late_day = loan.plan[0].due_day + 1
    loan = pay_all_due(loan, late_day)
    assert compute_late_days_max(loan, late_day, LATE_KEPT_DAYS) == 1
    assert (loan.late_days_max, loan.late_day) == (100, late_day)


def test_the_window_ends_to_the_day() -> None:
    loan = make_loan(MONTHLY, term_days=3_000)
    bad_day = loan.plan[0].due_day + 40
    loan, _ = repay(loan, compute_owed_fen(loan, bad_day), bad_day)
    assert compute_late_days_max(loan, bad_day + 729, 730) == 40
    assert compute_late_days_max(loan, bad_day + 730, 730) == 0


def test_new_terms_are_watched_for_what_was_late_of_late() -> None:
    loan = make_loan(MONTHLY, term_days=3_000)
    loan = pay_all_due(loan, loan.plan[0].due_day + 100)
    while compute_late_days_max(loan, loan.plan[0].due_day, 184):
        loan = pay_all_due(loan, loan.plan[0].due_day)
    day = loan.plan[0].due_day + 5
    after = restructure(loan, MONTHLY, day + 720, day)
    assert compute_late_days_max(after, day + 1, 184) == 5


def test_a_loan_that_is_called_is_due_though_all_that_was_missed_is_paid() -> None:
    loan = make_loan(MONTHLY, term_days=1_000)
    day = loan.plan[0].due_day + 20
    loan = pay_all_due(declare_default(loan, day), day)
    assert compute_due_fen(loan, day) == 0
    loan = accelerate(loan, day)
    assert compute_due_fen(loan, day) == compute_owed_fen(loan, day)
    assert (compute_days_past_due(loan, day), compute_days_past_due(loan, day + 3)) == (0, 3)
    # What is called is late from then on, and bears late interest.
    gentle = replace(loan, terms=replace(loan.terms, late_rate_bp=0))
    assert compute_owed_fen(loan, day + 30) > compute_owed_fen(gentle, day + 30)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["due", "part", "terms", "default", "lost", "wait"]), st.integers(1, 90)
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(1, LATE_KEPT_DAYS), st.integers(0, 900))
def test_lateness_equals_a_count_day_by_day(
    steps: list[tuple[str, int]], days: int, after: int
) -> None:
    loan, day = make_loan(MONTHLY, term_days=1_500), DAY
    seen: dict[int, int] = {}  # day → days past due, before what was done on it
    for step, gap in (*steps, ("wait", after)):
        for passed in range(day, day + gap + 1):
            is_over = loan.ended_day is not None and passed > loan.ended_day
            late = 0 if is_over else compute_days_past_due(loan, passed)
            seen[passed] = max(late, seen.get(passed, 0))
        day += gap
        loan = _do(loan, step, day)
    window = [late for seen_day, late in seen.items() if day - days < seen_day <= day]
    assert compute_late_days_max(loan, day, days) == max(window, default=0)
    assert len(loan.late) <= 64


def _do(loan: Loan, step: str, day: int) -> Loan:
    try:
        if step == "due":
            return pay_all_due(loan, day)
        if step == "part":
            return repay(loan, 1 + compute_owed_fen(loan, day) // 20, day)[0]
        if step == "terms":
            return restructure(loan, loan.terms, day + 700, day)
        if step == "default":
            return declare_default(loan, day)
        return write_off(loan, day) if step == "lost" else loan
    except Rejected:
        return loan
