"""Loans: how money owed grows, is repaid and ends. Pure arithmetic; nothing here reads the state.

A loan of this module is repaid at its end with its interest (bullet), or earlier in any parts.
Interest is simple, on the principal outstanding, for the actual days over a year of 360 (ACT/360):
principal × rate × days / (10,000 × 360). What does not make a whole fen is kept as a remainder, so
that no fen comes from nothing and none is lost by booking often. A payment covers interest first,
then principal; more than is owed is refused. All amounts are integer fen, rates basis points a
year, days since 1970-01-01.

The stages of an application and the states of a loan move only as the two tables here draw them.
What only the passing of time brings (an offer lapses, a loan is overdue) is not stored but read
off the day that is asked about, so that no block has to look for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from ledger.errors import Code, LocalError, Rejected
from ledger.transactions.fields import MAX_AMOUNT_FEN

DAY_COUNT = "ACT/360"
_YEAR_UNITS = 10_000 * 360
TERM_DAYS_MAX = 3_650
RATE_BP_MAX = 10_000
OFFER_DAYS = 30


class Stage(StrEnum):
    """Where an application stands; the values are stored and never change."""

    OFFERED = "OFFERED"
    DECLINED = "DECLINED"
    REFERRED = "REFERRED"
    ACCEPTED = "ACCEPTED"
    DRAWN = "DRAWN"
    LAPSED = "LAPSED"  # read off the day, never stored


class Step(StrEnum):
    """What can be done with an application."""

    ACCEPT = "accept"
    DISBURSE = "disburse"


STAGES: Mapping[tuple[Stage, Step], Stage] = {
    (Stage.OFFERED, Step.ACCEPT): Stage.ACCEPTED,
    (Stage.ACCEPTED, Step.DISBURSE): Stage.DRAWN,
}


class LoanState(StrEnum):
    """Where a loan stands; OVERDUE is read off the day, the others are stored."""

    ACTIVE = "ACTIVE"
    OVERDUE = "OVERDUE"
    SETTLED = "SETTLED"


class LoanStep(StrEnum):
    """What a payment does to a loan."""

    PAY_PART = "pay part"
    PAY_ALL = "pay all"


LOAN_STATES: Mapping[tuple[LoanState, LoanStep], LoanState] = {
    (LoanState.ACTIVE, LoanStep.PAY_PART): LoanState.ACTIVE,
    (LoanState.ACTIVE, LoanStep.PAY_ALL): LoanState.SETTLED,
    (LoanState.OVERDUE, LoanStep.PAY_PART): LoanState.ACTIVE,
    (LoanState.OVERDUE, LoanStep.PAY_ALL): LoanState.SETTLED,
}

# More than so many days past due, and the grade is this one (five-class grading, DOMAIN.md).
GRADES: tuple[tuple[int, str], ...] = (
    (360, "loss"),
    (270, "doubtful"),
    (90, "substandard"),
    (0, "special mention"),
)


def next_stage(stage: Stage, step: Step) -> Stage:
    """Return the stage after `step`; raise `Rejected` (LOAN_STATE) when the table has none."""
    after = STAGES.get((stage, step))
    if after is None:
        raise Rejected(Code.LOAN_STATE, f"cannot {step} an application that is {stage}")
    return after


def compute_grade(days_past_due: int) -> str:
    """Return the five-class grade of a loan so many days past due."""
    for above, name in GRADES:
        if days_past_due > above:
            return name
    return "pass"


def check_amount(amount_fen: int, name: str = "amount_fen") -> None:
    """Raise `Rejected` (2409, 2410) unless 0 < amount ≤ 10^15 fen."""
    if amount_fen <= 0:
        raise Rejected(Code.AMOUNT_NOT_POSITIVE, f"{name} is {amount_fen}, want more than 0")
    if amount_fen > MAX_AMOUNT_FEN:
        raise Rejected(
            Code.AMOUNT_TOO_LARGE, f"{name} is {amount_fen}, want at most {MAX_AMOUNT_FEN}"
        )


@dataclass(frozen=True, slots=True)
class Split:
    """How a payment was applied, in fen."""

    interest_fen: int
    principal_fen: int


@dataclass(frozen=True, slots=True)
class Loan:
    """One loan as the ledger holds it; interest stands as of `accrued_day`."""

    company: str
    lender: str
    product: str
    asset: str  # "" without one
    principal_fen: int
    rate_bp: int
    drawn_day: int
    due_day: int
    outstanding_fen: int
    interest_fen: int  # owed, not yet paid
    interest_remainder: int  # in 1/3,600,000 fen
    accrued_day: int
    principal_paid_fen: int
    interest_paid_fen: int
    settled_day: int | None
    entries: int  # lines of the loan's account, the draw included

    def __post_init__(self) -> None:
        _check_loan(self)

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @classmethod
    def from_value(cls, value: Any) -> Loan:
        """Return the loan of `to_value`."""
        return cls(*value)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is owed any more."""
        return self.settled_day is not None


def _check_loan(loan: Loan) -> None:
    """Refuse a loan that holds money from nothing or a negative amount."""
    amounts = (
        loan.principal_fen,
        loan.outstanding_fen,
        loan.interest_fen,
        loan.interest_remainder,
        loan.principal_paid_fen,
        loan.interest_paid_fen,
    )
    if min(amounts) < 0:
        raise LocalError(Code.INTERNAL, "a loan with a negative amount")
    if loan.outstanding_fen + loan.principal_paid_fen != loan.principal_fen:
        raise LocalError(Code.INTERNAL, "a loan whose principal does not add up")
    if not loan.drawn_day <= loan.accrued_day:
        raise LocalError(Code.INTERNAL, "a loan that accrued before it was drawn")


def open_loan(
    *,
    company: str,
    lender: str,
    product: str,
    asset: str,
    principal_fen: int,
    rate_bp: int,
    term_days: int,
    day: int,
) -> Loan:
    """Return the loan drawn on `day`, to be repaid `term_days` later."""
    check_amount(principal_fen, "principal_fen")
    return Loan(
        company,
        lender,
        product,
        asset,
        principal_fen,
        rate_bp,
        day,
        day + term_days,
        principal_fen,
        0,
        0,
        day,
        0,
        0,
        None,
        1,
    )


def accrue(loan: Loan, day: int) -> Loan:
    """Return the loan with its interest up to `day`; an earlier day changes nothing."""
    days = max(0, day - loan.accrued_day)
    units = loan.outstanding_fen * loan.rate_bp * days + loan.interest_remainder
    whole_fen, remainder = divmod(units, _YEAR_UNITS)
    return replace(
        loan,
        interest_fen=loan.interest_fen + whole_fen,
        interest_remainder=remainder,
        accrued_day=loan.accrued_day + days,
    )


def compute_owed_fen(loan: Loan, day: int) -> int:
    """Return what settles the loan on `day`: principal and interest; part of a fen is waived."""
    accrued = accrue(loan, day)
    return accrued.outstanding_fen + accrued.interest_fen


def compute_days_past_due(loan: Loan, day: int) -> int:
    """Return how many days the loan is, or when settled was at its end, past its due day."""
    end = day if loan.settled_day is None else loan.settled_day
    return max(0, end - loan.due_day)


def compute_state(loan: Loan, day: int) -> LoanState:
    """Return the loan's state on `day`."""
    if loan.is_settled:
        return LoanState.SETTLED
    return LoanState.OVERDUE if compute_days_past_due(loan, day) else LoanState.ACTIVE


def repay(loan: Loan, amount_fen: int, day: int) -> tuple[Loan, Split]:
    """Return the loan after a payment on `day`, and how it was applied: interest first.

    Raises `Rejected` LOAN_STATE when it is settled, 2409 and 2410 for an amount that is not
    positive or more than is owed.
    """
    state = compute_state(loan, day)
    accrued = accrue(loan, day)
    owed_fen = accrued.outstanding_fen + accrued.interest_fen
    step = LoanStep.PAY_ALL if amount_fen == owed_fen else LoanStep.PAY_PART
    after = LOAN_STATES.get((state, step))
    if after is None:
        raise Rejected(Code.LOAN_STATE, f"cannot repay a loan that is {state}")
    check_amount(amount_fen)
    if amount_fen > owed_fen:
        raise Rejected(
            Code.AMOUNT_TOO_LARGE, f"amount_fen is {amount_fen}, want at most {owed_fen} owed"
        )
    interest_fen = min(amount_fen, accrued.interest_fen)
    split = Split(interest_fen, amount_fen - interest_fen)
    is_settled = after is LoanState.SETTLED
    repaid = replace(
        accrued,
        outstanding_fen=accrued.outstanding_fen - split.principal_fen,
        interest_fen=accrued.interest_fen - split.interest_fen,
        interest_remainder=0 if is_settled else accrued.interest_remainder,
        principal_paid_fen=accrued.principal_paid_fen + split.principal_fen,
        interest_paid_fen=accrued.interest_paid_fen + split.interest_fen,
        settled_day=day if is_settled else None,
        entries=accrued.entries + 1,
    )
    return repaid, split
