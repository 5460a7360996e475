"""Loans with instalments, and loans that go wrong: money is conserved whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Code, Rejected
from ledger.lending.loans.loan import (
    Loan,
    accelerate,
    claim,
    compute_days_past_due,
    compute_due_fen,
    compute_late_days_max,
    compute_owed_fen,
    compute_state,
    declare_default,
    open_loan,
    pay_claim,
    recover,
    repay,
    restructure,
    write_off,
)
from ledger.lending.loans.schedule import DayCount, ScheduleKind, Terms
from ledger.lending.loans.states import LOAN_STATES, LoanState, LoanStep

DAY = 18_271

TERMS = st.builds(
    Terms,
    st.integers(0, 10_000),
    st.sampled_from(ScheduleKind),
    st.integers(1, 12),
    st.sampled_from(DayCount),
    st.integers(0, 2_000),
)


def make_loan(terms: Terms, principal_fen: int = 12_000_000, term_days: int = 366) -> Loan:
    return open_loan(
        company="91440300192185379H",
        lender="icbc-gd",
        product="GD-SCF-0042/3",
        asset="",
        principal_fen=principal_fen,
        terms=terms,
        term_days=term_days,
        day=DAY,
        guarantor="guard",
        guaranteed_fen=principal_fen // 2,
    )


def equal(late_rate_bp: int = 0) -> Loan:
    terms = Terms(600, ScheduleKind.EQUAL_INSTALMENTS, 1, DayCount.THIRTY_360, late_rate_bp)
    return make_loan(terms)


@given(TERMS, st.integers(1, 10**13), st.integers(1, 3_650))
def test_who_pays_every_instalment_on_its_day_owes_nothing_at_the_end(
    terms: Terms, principal_fen: int, term_days: int
) -> None:
    loan = make_loan(terms, principal_fen, term_days)
    plan = loan.plan
    for item in plan:
        assert compute_due_fen(loan, item.due_day - 1) == 0
        assert compute_due_fen(loan, item.due_day) == item.total_fen
        if item.total_fen:
            loan, split = repay(loan, item.total_fen, item.due_day)
            assert (split.interest_fen, split.principal_fen) == (
                item.interest_fen,
                item.principal_fen,
            )
        assert compute_days_past_due(loan, item.due_day) == 0
    assert loan.state is LoanState.SETTLED
    assert loan.interest_paid_fen == sum(item.interest_fen for item in plan)


def test_an_instalment_that_is_missed_is_late_until_it_is_paid() -> None:
    loan = equal(late_rate_bp=200)
    first, second = loan.plan[0], loan.plan[1]
    late_day = second.due_day + 10
    assert compute_state(loan, late_day) is LoanState.OVERDUE
    assert compute_days_past_due(loan, late_day) == late_day - first.due_day
    assert compute_due_fen(loan, late_day) == first.total_fen + second.total_fen
    loan, _ = repay(loan, first.total_fen, late_day)
    assert compute_days_past_due(loan, late_day) == 10
    loan, _ = repay(loan, compute_due_fen(loan, late_day), late_day)
    assert compute_state(loan, late_day) is LoanState.ACTIVE
    assert compute_late_days_max(loan, late_day + 1, 2) == late_day - first.due_day
    assert compute_late_days_max(loan, late_day + 1, 1) == 0
    # What lateness cost is spread over the instalments that are left.
    assert sum(item.principal_fen for item in loan.plan) == loan.outstanding_fen
    assert loan.plan[0].total_fen > second.total_fen


def test_late_interest_runs_on_what_is_late_only() -> None:
    loan = equal(late_rate_bp=1200)
    first, second = loan.plan[0], loan.plan[1]
    plain = compute_owed_fen(equal(), second.due_day)
    late = compute_owed_fen(loan, second.due_day)
    # A month (30/360) at 12 % a year on the principal of the first instalment: one per cent of it.
    assert late - plain == first.principal_fen // 100


def test_paying_early_lowers_what_is_left_and_keeps_the_days() -> None:
    loan = equal()
    days = [item.due_day for item in loan.plan]
    loan, _ = repay(loan, 6_000_000, DAY + 5)
    assert [item.due_day for item in loan.plan] == days[1:]
    assert sum(item.principal_fen for item in loan.plan) == loan.outstanding_fen
    assert loan.plan[0].total_fen < 12_000_000 // 12


def test_paying_an_instalment_some_days_early_is_paying_it() -> None:
    loan = equal()
    first, second = loan.plan[0], loan.plan[1]
    loan, _ = repay(loan, first.total_fen, first.due_day - 3)
    assert loan.plan[0].due_day == second.due_day
    assert compute_days_past_due(loan, first.due_day + 1) == 0


def test_part_of_an_instalment_counts_towards_it() -> None:
    loan = equal()
    first = loan.plan[0]
    loan, _ = repay(loan, 100_000, first.due_day - 3)
    assert compute_due_fen(loan, first.due_day) == first.total_fen - 100_000
    loan, _ = repay(loan, first.total_fen - 100_000, first.due_day)
    assert loan.plan[0].due_day > first.due_day


def test_from_default_to_recovery() -> None:
    day = DAY + 200
    loan = accelerate(declare_default(equal(), day), day)
    owed_fen = compute_owed_fen(loan, day)
    assert compute_due_fen(loan, day) == owed_fen
    loan = claim(loan, 4_000_000, day)
    with pytest.raises(Rejected) as caught:
        pay_claim(loan, 4_000_001, day)
    assert caught.value.code is Code.AMOUNT_TOO_LARGE
    loan, _ = pay_claim(loan, 4_000_000, day)
    assert compute_owed_fen(loan, day) == owed_fen - 4_000_000
    lost = write_off(loan, day + 300)
    assert compute_owed_fen(lost, day + 900) == 0
    total_fen = lost.written_off_fen + lost.written_off_interest_fen
    assert total_fen == compute_owed_fen(loan, day + 300)
    part = recover(lost, 1_000_000, day + 400)
    assert part.state is LoanState.WRITTEN_OFF
    assert recover(part, total_fen - 1_000_000, day + 500).state is LoanState.RECOVERED


def test_new_terms_keep_what_is_owed() -> None:
    loan = equal()
    day = loan.plan[1].due_day + 40
    owed_fen = compute_owed_fen(loan, day)
    terms = Terms(300, ScheduleKind.INTEREST_FIRST, 3, DayCount.THIRTY_360, 0)
    after = restructure(loan, terms, day + 720, day)
    assert compute_owed_fen(after, day) == owed_fen
    assert compute_state(after, day) is LoanState.RESTRUCTURED
    assert sum(item.principal_fen for item in after.plan) == after.outstanding_fen
    # The interest that was owed comes with the first instalment, a quarter at 3 % on top.
    owed_interest_fen = owed_fen - loan.outstanding_fen
    assert after.plan[0].interest_fen - owed_interest_fen == after.outstanding_fen * 300 // 40_000


STEPS: dict[LoanStep, Callable[[Loan, int, int], Loan]] = {
    LoanStep.PAY_PART: lambda loan, fen, day: repay(loan, fen, day)[0],
    LoanStep.PAY_ALL: lambda loan, _, day: repay(loan, compute_owed_fen(loan, day), day)[0],
    LoanStep.RESTRUCTURE: lambda loan, fen, day: restructure(
        loan, loan.terms, day + fen % 700 + 1, day
    ),
    LoanStep.DEFAULT: lambda loan, _, day: declare_default(loan, day),
    LoanStep.ACCELERATE: lambda loan, _, day: accelerate(loan, day),
    LoanStep.CLAIM: lambda loan, fen, day: claim(loan, fen, day),
    LoanStep.WRITE_OFF: lambda loan, _, day: write_off(loan, day),
    LoanStep.RECOVER_PART: lambda loan, fen, day: recover(loan, fen, day),
    LoanStep.RECOVER_ALL: lambda loan, _, day: recover(
        loan, loan.written_off_fen + loan.written_off_interest_fen - loan.recovered_fen, day
    ),
}
ACTS = st.lists(
    st.tuples(st.sampled_from(LoanStep), st.integers(1, 3_000_000), st.integers(0, 90)), max_size=25
)


@settings(max_examples=300, deadline=None)
@given(TERMS, ACTS)
def test_states_move_only_as_drawn_and_money_is_conserved(
    terms: Terms, acts: list[tuple[LoanStep, int, int]]
) -> None:
    loan, day, codes = make_loan(terms), DAY, set[Code]()
    for step, amount_fen, gap in acts:
        day += gap
        seen, owed_fen = compute_state(loan, day), compute_owed_fen(loan, day)
        try:
            after = STEPS[step](loan, amount_fen, day)
        except Rejected as error:
            codes.add(error.code)
            continue
        stored = LOAN_STATES[seen, _taken(step, loan, after)]
        assert after.state is (loan.state if stored is None else stored)
        _check_money(loan, after, owed_fen, day)
        assert Loan.from_value(after.to_value()) == after
        loan = after
    assert codes <= {Code.LOAN_STATE, Code.AMOUNT_TOO_LARGE, Code.AMOUNT_NOT_POSITIVE}


def _taken(step: LoanStep, before: Loan, after: Loan) -> LoanStep:
    """Return which row of the table was used: the last part of a payment is all of it."""
    if step is LoanStep.PAY_PART and after.state is LoanState.SETTLED:
        return LoanStep.PAY_ALL
    if step is LoanStep.RECOVER_PART and after.state is LoanState.RECOVERED:
        return LoanStep.RECOVER_ALL
    del before
    return step


def _check_money(before: Loan, after: Loan, owed_fen: int, day: int) -> None:
    """Hold a step to the dumb twin: what was owed is paid, lost, or owed still."""
    paid_fen = after.principal_paid_fen + after.interest_paid_fen
    paid_fen -= before.principal_paid_fen + before.interest_paid_fen
    lost_fen = after.written_off_fen + after.written_off_interest_fen
    lost_fen -= before.written_off_fen + before.written_off_interest_fen
    assert owed_fen == paid_fen + lost_fen + compute_owed_fen(after, day)
    amounts: list[Any] = [after.outstanding_fen, after.interest_fen, after.period_paid_fen]
    assert min(amounts) >= 0
    if not after.is_closed:
        planned_fen = sum(item.principal_fen for item in after.plan)
        assert planned_fen >= 0
        assert list(after.plan) == sorted(after.plan, key=lambda item: item.due_day)
