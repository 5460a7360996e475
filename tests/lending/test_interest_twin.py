"""Interest to the fraction of a fen, counted day by day beside a loan to which anything happens."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Rejected
from ledger.lending.loans.loan import (
    Loan,
    accrue,
    compute_days_past_due,
    compute_due_fen,
    compute_owed_fen,
)
from ledger.lending.loans.schedule import Terms, compute_days
from ledger.lending.loans.states import LoanStep
from tests.lending.test_instalments import DAY, STEPS, TERMS, make_loan

PAYMENTS = ("due", "one", "all but one", "part")
ACTS = st.lists(
    st.tuples(
        st.sampled_from(LoanStep),
        st.sampled_from(PAYMENTS),
        st.sampled_from(["due day", "day before", "day after", "any"]),
        st.integers(0, 120),
    ),
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(
    TERMS,
    st.sampled_from([1, 2, 12_000_000, 10**15]),
    st.sampled_from([1, 30, 31, 365, 3_650]),
    ACTS,
)
def test_interest_is_what_each_day_adds(
    terms: Terms, principal_fen: int, term_days: int, acts: list[tuple[LoanStep, str, str, int]]
) -> None:
    loan, day = make_loan(terms, principal_fen, term_days), DAY
    grown = Fraction(0)
    for step, payment, when, gap in acts:
        after = day if loan.is_closed else max(day, _day_of(loan, when, day + gap))
        grown += sum(_grow(loan, one) for one in range(day, after))
        day = after
        accrued = accrue(loan, day)
        if not loan.is_closed:
            owed = accrued.interest_fen + Fraction(
                accrued.interest_remainder, accrued.terms.year_units
            )
            assert owed == grown - loan.interest_paid_fen
            assert 0 <= compute_due_fen(loan, day) <= compute_owed_fen(loan, day)
            assert compute_due_fen(loan, day) or not compute_days_past_due(loan, day)
        try:
            loan = STEPS[step](loan, _amount(loan, payment, day), day)
        except Rejected:
            continue


def _day_of(loan: Loan, when: str, day: int) -> int:
    due = loan.plan[0].due_day
    return {"due day": due, "day before": due - 1, "day after": due + 1}.get(when, day)


def _amount(loan: Loan, payment: str, day: int) -> int:
    owed, due = compute_owed_fen(loan, day), compute_due_fen(loan, day)
    amounts = {"due": due, "one": 1, "all but one": owed - 1, "part": owed // 3}
    return max(1, amounts[payment])


def _grow(loan: Loan, day: int) -> Fraction:
    """Return the interest of the night after `day`, by the text of the module and nothing else."""
    if loan.is_closed:
        return Fraction(0)
    terms = loan.terms
    not_due = sum(item.principal_fen for item in loan.plan if item.due_day > day)
    late = max(0, loan.outstanding_fen - not_due)
    days = compute_days(terms.day_count, day, day + 1)
    units = (loan.outstanding_fen * terms.rate_bp + late * terms.late_rate_bp) * days
    return Fraction(units, terms.year_units)
