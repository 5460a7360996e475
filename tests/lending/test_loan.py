"""Loans as arithmetic: no money from nothing, nothing negative, states only as drawn."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Code, LocalError, Rejected
from ledger.lending.loans.loan import (
    Loan,
    accrue,
    compute_days_past_due,
    compute_owed_fen,
    compute_state,
    open_loan,
    repay,
)
from ledger.lending.loans.schedule import DayCount, ScheduleKind, Terms
from ledger.lending.loans.states import (
    GRADES,
    LOAN_STATES,
    STAGES,
    LoanState,
    LoanStep,
    Stage,
    Step,
    compute_grade,
    next_stage,
)

DAY = 18_271
AMOUNTS = st.integers(1, 10**15)
RATES = st.integers(0, 10_000)


def make_loan(principal_fen: int = 112_000_000, rate_bp: int = 550, term_days: int = 90) -> Loan:
    return open_loan(
        company="91440300192185379H",
        lender="icbc-gd",
        product="GD-SCF-0042/3",
        asset="",
        principal_fen=principal_fen,
        terms=Terms(rate_bp, ScheduleKind.BULLET, 1, DayCount.ACT_360, 0),
        term_days=term_days,
        day=DAY,
    )


def test_interest_is_actual_days_over_360() -> None:
    # 1,120,000.00 at 5.50 % for 90 days: 1,120,000 × 0.055 × 90 / 360 = 15,400.00
    assert compute_owed_fen(make_loan(), DAY + 90) == 112_000_000 + 1_540_000


@given(AMOUNTS, RATES, st.lists(st.integers(0, 400), max_size=12))
def test_booking_often_neither_makes_nor_loses_a_fen(
    principal_fen: int, rate_bp: int, gaps: list[int]
) -> None:
    loan = make_loan(principal_fen, rate_bp)
    day = DAY
    for gap in gaps:
        day += gap
        loan = accrue(loan, day)
    assert loan.interest_fen == accrue(make_loan(principal_fen, rate_bp), day).interest_fen
    exact = Fraction(principal_fen * rate_bp * (day - DAY), 3_600_000)
    assert loan.interest_fen + Fraction(loan.interest_remainder, 3_600_000) == exact


@given(
    AMOUNTS, RATES, st.lists(st.tuples(st.integers(0, 200), st.integers(-5, 10**15)), max_size=15)
)
def test_no_money_from_nothing_whatever_is_paid(
    principal_fen: int, rate_bp: int, payments: list[tuple[int, int]]
) -> None:
    loan = make_loan(principal_fen, rate_bp)
    day, paid_fen, entries = DAY, 0, 1
    for gap, amount_fen in payments:
        day += gap
        owed_fen = compute_owed_fen(loan, day)
        try:
            loan, split = repay(loan, amount_fen, day)
        except Rejected:
            assert loan.is_closed or not 0 < amount_fen <= owed_fen
            continue
        paid_fen += amount_fen
        entries += 1
        assert split.interest_fen + split.principal_fen == amount_fen
        assert compute_owed_fen(loan, day) == owed_fen - amount_fen
        assert loan.is_closed == (owed_fen == amount_fen)
    assert paid_fen == loan.principal_paid_fen + loan.interest_paid_fen
    assert loan.principal_fen == loan.outstanding_fen + loan.principal_paid_fen
    assert loan.entries == entries
    assert Loan.from_value(loan.to_value()) == loan


def test_a_loan_is_settled_by_exactly_what_is_owed() -> None:
    owed_fen = compute_owed_fen(make_loan(), DAY + 91)
    settled, _split = repay(make_loan(), owed_fen, DAY + 91)
    assert compute_state(settled, DAY + 500) is LoanState.SETTLED
    assert compute_days_past_due(settled, DAY + 500) == 1
    assert compute_owed_fen(settled, DAY + 500) == 0


@pytest.mark.parametrize(
    ("amount_fen", "code"),
    [
        (0, Code.AMOUNT_NOT_POSITIVE),
        (-1, Code.AMOUNT_NOT_POSITIVE),
        (10**15, Code.AMOUNT_TOO_LARGE),
    ],
)
def test_a_wrong_amount_is_rejected(amount_fen: int, code: Code) -> None:
    with pytest.raises(Rejected) as caught:
        repay(make_loan(), amount_fen, DAY + 1)
    assert caught.value.code is code


def test_a_settled_loan_takes_no_payment() -> None:
    settled, _split = repay(make_loan(), 112_000_000, DAY)
    with pytest.raises(Rejected) as caught:
        repay(settled, 1, DAY + 1)
    assert caught.value.code is Code.LOAN_STATE


def test_a_loan_that_does_not_add_up_cannot_be_made() -> None:
    value = list(make_loan().to_value())
    value[8] += 1
    with pytest.raises(LocalError):
        Loan.from_value(tuple(value))


def test_stages_move_only_as_drawn() -> None:
    for stage in Stage:
        for step in Step:
            if (stage, step) in STAGES:
                assert next_stage(stage, step) is STAGES[stage, step]
            else:
                with pytest.raises(Rejected):
                    next_stage(stage, step)


def test_nothing_leaves_a_settled_loan() -> None:
    assert not any(state is LoanState.SETTLED for state, _step in LOAN_STATES)
    assert {step for _state, step in LOAN_STATES} == set(LoanStep)


@pytest.mark.parametrize(
    ("days", "grade"),
    [
        (0, "pass"),
        (1, "special mention"),
        (90, "special mention"),
        (91, "substandard"),
        (270, "substandard"),
        (271, "doubtful"),
        (360, "doubtful"),
        (361, "loss"),
    ],
)
def test_five_classes_by_days_past_due(days: int, grade: str) -> None:
    assert compute_grade(days) == grade
    assert len(GRADES) == 4
