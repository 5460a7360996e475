"""Loans: how money owed grows, is repaid and ends. Pure arithmetic; nothing here reads the state.

A loan has terms and a plan: the instalments that are still to be paid
(`ledger.lending.loans.schedule`). Interest accrues on the principal outstanding, and late interest
on top of it on principal that should have been paid. A payment covers interest first, then
principal; more than is owed is refused. An instalment is paid when what was paid towards it reaches
its sum; what is paid beyond the instalment of the running period reduces the principal, and the
rest of the plan is computed anew for the same days. The last instalment is all that is owed then.
Days past due count from the earliest instalment that is not paid.

Principal is conserved: drawn = outstanding + paid + written off, at any time. All amounts are
integer fen, rates basis points a year, days since 1970-01-01. What may follow on what is the table
in `ledger.lending.loans.states`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from ledger.errors import Code, LocalError, Rejected
from ledger.lending.loans.schedule import (
    Instalment,
    Terms,
    compute_days,
    compute_due_days,
    compute_plan,
)
from ledger.lending.loans.states import CLOSED, LoanState, LoanStep, next_state
from ledger.transactions.fields import MAX_AMOUNT_FEN

TERM_DAYS_MAX = 3_650
RATE_BP_MAX = 10_000
OFFER_DAYS = 30
LATE_KEPT_DAYS = 730  # for so long a loan remembers how late it was on which day


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
    """One loan as the ledger holds it; interest stands as of `accrued_day`.

    `period_paid_fen` is what was paid towards the first instalment of `plan`. `late_days_max` is
    the most days that a payment came late, `late_day` the day of the last late payment. `late` are
    (day, days past due) of payments of the last LATE_KEPT_DAYS that came late, but for those after
    which one came as late or later: so the worst since any day is the first one since then.
    """

    company: str
    lender: str
    product: str
    asset: str  # "" without one
    principal_fen: int
    terms: Terms
    drawn_day: int
    due_day: int
    outstanding_fen: int
    interest_fen: int  # owed, not yet paid
    interest_remainder: int  # in 1/(10,000 × days of the year) fen
    accrued_day: int
    principal_paid_fen: int
    interest_paid_fen: int
    plan: tuple[Instalment, ...]
    period_paid_fen: int
    state: LoanState  # as stored: never OVERDUE
    ended_day: int | None
    late_days_max: int
    late_day: int
    entries: int  # lines of the loan's account, the draw included
    guarantor: str = ""
    guaranteed_fen: int = 0
    claimed_fen: int = 0
    guarantee_paid_fen: int = 0
    written_off_fen: int = 0  # principal
    written_off_interest_fen: int = 0
    recovered_fen: int = 0
    offer: tuple[Any, ...] | None = None  # new terms that the company has not accepted yet
    late: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        _check_loan(self)

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        plan = tuple(item.to_value() for item in self.plan)
        own = {"terms": self.terms.to_value(), "plan": plan, "state": str(self.state)}
        return tuple(own.get(field.name, getattr(self, field.name)) for field in fields(self))

    @classmethod
    def from_value(cls, value: Any) -> Loan:
        """Return the loan of `to_value`."""
        named = dict(zip((field.name for field in fields(cls)), value, strict=True))
        named["terms"] = Terms.from_value(named["terms"])
        named["plan"] = tuple(Instalment(*item) for item in named["plan"])
        named["state"] = LoanState(named["state"])
        return cls(**named)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is owed on the books any more."""
        return self.state in CLOSED


def _check_loan(loan: Loan) -> None:
    """Refuse a loan that holds money from nothing or a negative amount."""
    amounts = (
        loan.principal_fen,
        loan.outstanding_fen,
        loan.interest_fen,
        loan.interest_remainder,
        loan.principal_paid_fen,
        loan.interest_paid_fen,
        loan.period_paid_fen,
        loan.written_off_fen,
        loan.written_off_interest_fen,
        loan.recovered_fen,
        loan.guarantee_paid_fen,
    )
    if min(amounts) < 0:
        raise LocalError(Code.INTERNAL, "a loan with a negative amount")
    held_fen = loan.outstanding_fen + loan.principal_paid_fen + loan.written_off_fen
    if held_fen != loan.principal_fen:
        raise LocalError(Code.INTERNAL, "a loan whose principal does not add up")
    if loan.recovered_fen > loan.written_off_fen + loan.written_off_interest_fen:
        raise LocalError(Code.INTERNAL, "a loan of which more was recovered than written off")
    if not loan.guarantee_paid_fen <= loan.claimed_fen <= loan.guaranteed_fen:
        raise LocalError(Code.INTERNAL, "a loan whose guarantee does not add up")
    if not loan.drawn_day <= loan.accrued_day:
        raise LocalError(Code.INTERNAL, "a loan that accrued before it was drawn")


def open_loan(
    *,
    company: str,
    lender: str,
    product: str,
    asset: str,
    principal_fen: int,
    terms: Terms,
    term_days: int,
    day: int,
    guarantor: str = "",
    guaranteed_fen: int = 0,
) -> Loan:
    """Return the loan drawn on `day`, to be repaid by `term_days` later."""
    check_amount(principal_fen, "principal_fen")
    due_day = day + term_days
    return Loan(
        company=company,
        lender=lender,
        product=product,
        asset=asset,
        principal_fen=principal_fen,
        terms=terms,
        drawn_day=day,
        due_day=due_day,
        outstanding_fen=principal_fen,
        interest_fen=0,
        interest_remainder=0,
        accrued_day=day,
        principal_paid_fen=0,
        interest_paid_fen=0,
        plan=compute_plan(terms, principal_fen, day, compute_due_days(terms, day, due_day)),
        period_paid_fen=0,
        state=LoanState.ACTIVE,
        ended_day=None,
        late_days_max=0,
        late_day=0,
        entries=1,
        guarantor=guarantor,
        guaranteed_fen=guaranteed_fen,
    )


def accrue(loan: Loan, day: int) -> Loan:
    """Return the loan with its interest up to `day`; an earlier day changes nothing."""
    if loan.is_closed or day <= loan.accrued_day:
        return loan
    units, terms = loan.interest_remainder, loan.terms
    for first, last, late_fen in _stretches(loan, day):
        days = compute_days(terms.day_count, first, last)
        units += (loan.outstanding_fen * terms.rate_bp + late_fen * terms.late_rate_bp) * days
    whole_fen, remainder = divmod(units, terms.year_units)
    return replace(
        loan,
        interest_fen=loan.interest_fen + whole_fen,
        interest_remainder=remainder,
        accrued_day=day,
    )


def _stretches(loan: Loan, day: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first day, last day, principal that is late in between) up to `day`."""
    inside = [item.due_day for item in loan.plan if loan.accrued_day < item.due_day < day]
    marks = [loan.accrued_day, *inside, day]
    for first, last in pairwise(marks):
        later_fen = sum(item.principal_fen for item in loan.plan if item.due_day > first)
        yield first, last, max(0, loan.outstanding_fen - later_fen)


def compute_owed_fen(loan: Loan, day: int) -> int:
    """Return what settles the loan on `day`: principal and interest; part of a fen is waived."""
    accrued = accrue(loan, day)
    return accrued.outstanding_fen + accrued.interest_fen


def compute_due_fen(loan: Loan, day: int) -> int:
    """Return what has fallen due up to `day` and is not paid."""
    if loan.is_closed:
        return 0
    due = [item for item in loan.plan if item.due_day <= day]
    owed_fen = compute_owed_fen(loan, day)
    if len(due) == len(loan.plan):
        return owed_fen
    return min(owed_fen, max(0, sum(item.total_fen for item in due) - loan.period_paid_fen))


def compute_days_past_due(loan: Loan, day: int) -> int:
    """Return how many days the loan is past due, or was when it ended."""
    end = day if loan.ended_day is None else loan.ended_day
    return max(0, end - loan.plan[0].due_day)


def compute_late_days_max(loan: Loan, day: int, days: int) -> int:
    """Return the most days that the loan was past due on any of the `days` days up to `day`.

    At most LATE_KEPT_DAYS of them; the days are those of a window (RULES.md): after `day` − `days`,
    up to `day`. How late a loan was before them, or is after it was paid, counts for nothing.
    """
    first_day = day - days + 1
    seen = next((late_days for paid_day, late_days in loan.late if paid_day >= first_day), 0)
    if loan.ended_day is not None and loan.ended_day < first_day:
        return 0
    return max(seen, compute_days_past_due(loan, day))


def compute_state(loan: Loan, day: int) -> LoanState:
    """Return the loan's state on `day`."""
    may_be_late = loan.state in (LoanState.ACTIVE, LoanState.RESTRUCTURED)
    return LoanState.OVERDUE if may_be_late and compute_days_past_due(loan, day) else loan.state


def _step(loan: Loan, step: LoanStep, day: int) -> LoanState:
    return next_state(compute_state(loan, day), loan.state, step)


def repay(loan: Loan, amount_fen: int, day: int) -> tuple[Loan, Split]:
    """Return the loan after a payment on `day`, and how it was applied: interest first.

    Raises `Rejected` LOAN_STATE when nothing may be paid, 2409 and 2410 for an amount that is not
    positive or more than is owed.
    """
    accrued = accrue(loan, day)
    owed_fen = accrued.outstanding_fen + accrued.interest_fen
    is_all = amount_fen == owed_fen
    state = _step(loan, LoanStep.PAY_ALL if is_all else LoanStep.PAY_PART, day)
    check_amount(amount_fen)
    if amount_fen > owed_fen:
        raise Rejected(
            Code.AMOUNT_TOO_LARGE, f"amount_fen is {amount_fen}, want at most {owed_fen} owed"
        )
    interest_fen = min(amount_fen, accrued.interest_fen)
    split = Split(interest_fen, amount_fen - interest_fen)
    late_days = compute_days_past_due(loan, day)
    paid = replace(
        accrued,
        outstanding_fen=accrued.outstanding_fen - split.principal_fen,
        interest_fen=accrued.interest_fen - split.interest_fen,
        interest_remainder=0 if is_all else accrued.interest_remainder,
        principal_paid_fen=accrued.principal_paid_fen + split.principal_fen,
        interest_paid_fen=accrued.interest_paid_fen + split.interest_fen,
        period_paid_fen=accrued.period_paid_fen + amount_fen,
        state=state,
        ended_day=day if is_all else None,
        entries=accrued.entries + 1,
    )
    noted = _note_late(paid, day, late_days)
    return (noted if is_all else _move_plan(noted, day)), split


def _note_late(loan: Loan, day: int, late_days: int) -> Loan:
    """Return the loan that remembers to have been so late on `day`; nothing when it was not."""
    if not late_days:
        return loan
    kept = (item for item in loan.late if item[0] > day - LATE_KEPT_DAYS and item[1] > late_days)
    return replace(
        loan,
        late_days_max=max(loan.late_days_max, late_days),
        late_day=day,
        late=(*kept, (day, late_days)),
    )


def _move_plan(loan: Loan, day: int) -> Loan:
    """Take paid instalments off the plan, and plan anew what an early payment has changed."""
    plan, credit_fen = loan.plan, loan.period_paid_fen
    while len(plan) > 1 and plan[0].due_day <= day and plan[0].total_fen <= credit_fen:
        credit_fen -= plan[0].total_fen
        plan = plan[1:]
    if plan[0].due_day <= day or loan.interest_fen:
        return replace(loan, plan=plan, period_paid_fen=credit_fen)
    if len(plan) > 1 and plan[0].total_fen <= credit_fen:
        plan, credit_fen = plan[1:], 0
    elif len(plan) > 1 and credit_fen:
        return replace(loan, plan=plan, period_paid_fen=credit_fen)
    if sum(item.principal_fen for item in plan) == loan.outstanding_fen:
        return replace(loan, plan=plan, period_paid_fen=0)
    planned = compute_plan(
        loan.terms,
        loan.outstanding_fen,
        loan.accrued_day,
        [item.due_day for item in plan],
        loan.interest_remainder,
    )
    return replace(loan, plan=planned, period_paid_fen=0)


def declare_default(loan: Loan, day: int) -> Loan:
    """Return the overdue loan as in default; raise `Rejected` LOAN_STATE.

    New terms that were offered before, and not accepted, are off the table.
    """
    state = _step(loan, LoanStep.DEFAULT, day)
    return replace(loan, state=state, entries=loan.entries + 1, offer=None)


def accelerate(loan: Loan, day: int) -> Loan:
    """Return the loan in default with everything due now; raise `Rejected` LOAN_STATE.

    Days past due go on counting from the instalment that was missed, or begin today where all that
    was missed has been paid since; an offer of new terms ends.
    """
    state = _step(loan, LoanStep.ACCELERATE, day)
    accrued = accrue(loan, day)
    due_day = min(loan.plan[0].due_day, day)
    whole = Instalment(due_day, accrued.outstanding_fen, accrued.interest_fen)
    return replace(
        accrued,
        state=state,
        plan=(whole,),
        period_paid_fen=0,
        entries=loan.entries + 1,
        offer=None,
    )


def restructure(loan: Loan, terms: Terms, due_day: int, day: int) -> Loan:
    """Return the loan on new terms, interest owed so far falling due with the first instalment.

    Raises `Rejected` LOAN_STATE; the day count stays as it was, so that no remainder is lost.
    """
    state = _step(loan, LoanStep.RESTRUCTURE, day)
    accrued = accrue(loan, day)
    owed_units = accrued.interest_remainder + accrued.interest_fen * terms.year_units
    due_days = compute_due_days(terms, day, due_day)
    changed = replace(
        accrued,
        state=state,
        terms=terms,
        due_day=due_day,
        plan=compute_plan(terms, accrued.outstanding_fen, day, due_days, owed_units),
        period_paid_fen=0,
        entries=loan.entries + 1,
        offer=None,
    )
    return _note_late(changed, day, compute_days_past_due(loan, day))


def claim(loan: Loan, amount_fen: int, day: int) -> Loan:
    """Return the loan with so much claimed from its guarantor; raise `Rejected` (2408–2410)."""
    state = _step(loan, LoanStep.CLAIM, day)
    check_amount(amount_fen)
    most_fen = min(loan.guaranteed_fen, compute_owed_fen(loan, day))
    if amount_fen > most_fen:
        raise Rejected(
            Code.AMOUNT_TOO_LARGE, f"amount_fen is {amount_fen}, want at most {most_fen} guaranteed"
        )
    return replace(loan, state=state, claimed_fen=amount_fen, entries=loan.entries + 1)


def compute_guaranteed_fen(loan: Loan) -> int:
    """Return for how much of the principal the guarantor still stands, in fen.

    A guarantee is claimed once; from then on it is what was claimed and is not paid.
    """
    if loan.is_closed:
        return 0
    left_fen = loan.claimed_fen - loan.guarantee_paid_fen if loan.claimed_fen else None
    return min(loan.guaranteed_fen if left_fen is None else left_fen, loan.outstanding_fen)


def pay_claim(loan: Loan, amount_fen: int, day: int) -> tuple[Loan, Split]:
    """Return the loan after its guarantor paid; raise `Rejected` (2408–2410)."""
    if loan.state is not LoanState.CLAIMED:
        raise Rejected(Code.LOAN_STATE, f"nothing is claimed on a loan that is {loan.state}")
    check_amount(amount_fen)
    left_fen = loan.claimed_fen - loan.guarantee_paid_fen
    if amount_fen > left_fen:
        raise Rejected(
            Code.AMOUNT_TOO_LARGE, f"amount_fen is {amount_fen}, want at most {left_fen} claimed"
        )
    paid, split = repay(loan, amount_fen, day)
    return replace(paid, guarantee_paid_fen=loan.guarantee_paid_fen + amount_fen), split


def write_off(loan: Loan, day: int) -> Loan:
    """Return the loan taken off the books, interest too; raise `Rejected` LOAN_STATE."""
    state = _step(loan, LoanStep.WRITE_OFF, day)
    accrued = accrue(loan, day)
    return replace(
        accrued,
        state=state,
        outstanding_fen=0,
        interest_fen=0,
        interest_remainder=0,
        written_off_fen=accrued.outstanding_fen,
        written_off_interest_fen=accrued.interest_fen,
        ended_day=day,
        entries=loan.entries + 1,
    )


def recover(loan: Loan, amount_fen: int, day: int) -> Loan:
    """Return the written-off loan after a recovery; raise `Rejected` (2408–2410)."""
    left_fen = loan.written_off_fen + loan.written_off_interest_fen - loan.recovered_fen
    is_all = amount_fen == left_fen
    state = _step(loan, LoanStep.RECOVER_ALL if is_all else LoanStep.RECOVER_PART, day)
    check_amount(amount_fen)
    if amount_fen > left_fen:
        raise Rejected(
            Code.AMOUNT_TOO_LARGE,
            f"amount_fen is {amount_fen}, want at most {left_fen} written off",
        )
    return replace(
        loan, state=state, recovered_fen=loan.recovered_fen + amount_fen, entries=loan.entries + 1
    )
