"""The stages of an application and the states of a loan, as two literal tables.

What only the passing of time brings (an offer lapses, a loan is overdue) is not stored but read off
the day that is asked about, so that no block has to look for it. A step that a table does not list
is refused (2408).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from ledger.errors import Code, Rejected


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
    RESTRUCTURED = "RESTRUCTURED"
    OVERDUE = "OVERDUE"
    DEFAULTED = "DEFAULTED"
    ACCELERATED = "ACCELERATED"
    CLAIMED = "CLAIMED"
    WRITTEN_OFF = "WRITTEN_OFF"
    SETTLED = "SETTLED"
    RECOVERED = "RECOVERED"


class LoanStep(StrEnum):
    """What can be done with a loan, or happens to it."""

    PAY_PART = "pay part"
    PAY_ALL = "pay all"
    RESTRUCTURE = "restructure"
    DEFAULT = "default"
    ACCELERATE = "accelerate"
    CLAIM = "claim"
    WRITE_OFF = "write off"
    RECOVER_PART = "recover part"
    RECOVER_ALL = "recover all"


_S, _P = LoanState, LoanStep

# A loan that was overdue goes back to what it is when nothing is late: None stands for that.
LOAN_STATES: Mapping[tuple[LoanState, LoanStep], LoanState | None] = {
    (_S.ACTIVE, _P.PAY_PART): _S.ACTIVE,
    (_S.ACTIVE, _P.PAY_ALL): _S.SETTLED,
    (_S.ACTIVE, _P.RESTRUCTURE): _S.RESTRUCTURED,
    (_S.RESTRUCTURED, _P.PAY_PART): _S.RESTRUCTURED,
    (_S.RESTRUCTURED, _P.PAY_ALL): _S.SETTLED,
    (_S.RESTRUCTURED, _P.RESTRUCTURE): _S.RESTRUCTURED,
    (_S.OVERDUE, _P.PAY_PART): None,
    (_S.OVERDUE, _P.PAY_ALL): _S.SETTLED,
    (_S.OVERDUE, _P.RESTRUCTURE): _S.RESTRUCTURED,
    (_S.OVERDUE, _P.DEFAULT): _S.DEFAULTED,
    (_S.DEFAULTED, _P.PAY_PART): _S.DEFAULTED,
    (_S.DEFAULTED, _P.PAY_ALL): _S.SETTLED,
    (_S.DEFAULTED, _P.RESTRUCTURE): _S.RESTRUCTURED,
    (_S.DEFAULTED, _P.ACCELERATE): _S.ACCELERATED,
    (_S.DEFAULTED, _P.CLAIM): _S.CLAIMED,
    (_S.DEFAULTED, _P.WRITE_OFF): _S.WRITTEN_OFF,
    (_S.ACCELERATED, _P.PAY_PART): _S.ACCELERATED,
    (_S.ACCELERATED, _P.PAY_ALL): _S.SETTLED,
    (_S.ACCELERATED, _P.RESTRUCTURE): _S.RESTRUCTURED,
    (_S.ACCELERATED, _P.CLAIM): _S.CLAIMED,
    (_S.ACCELERATED, _P.WRITE_OFF): _S.WRITTEN_OFF,
    (_S.CLAIMED, _P.PAY_PART): _S.CLAIMED,
    (_S.CLAIMED, _P.PAY_ALL): _S.SETTLED,
    (_S.CLAIMED, _P.WRITE_OFF): _S.WRITTEN_OFF,
    (_S.WRITTEN_OFF, _P.RECOVER_PART): _S.WRITTEN_OFF,
    (_S.WRITTEN_OFF, _P.RECOVER_ALL): _S.RECOVERED,
}

# Nothing is owed on the books any more.
CLOSED = frozenset({LoanState.SETTLED, LoanState.WRITTEN_OFF, LoanState.RECOVERED})

# More than so many days past due, and the grade is this one (five-class grading, DOMAIN.md).
GRADES: tuple[tuple[int, str], ...] = (
    (360, "loss"),
    (270, "doubtful"),
    (90, "substandard"),
    (0, "special mention"),
)


# A loan on new terms is graded no better than it was before for so long: new terms alone make no
# loan good. Six months of paying on time do (Guidelines on Loan Risk Classification, 2007, 12).
OBSERVED_DAYS = 184


def next_stage(stage: Stage, step: Step) -> Stage:
    """Return the stage after `step`; raise `Rejected` (LOAN_STATE) when the table has none."""
    after = STAGES.get((stage, step))
    if after is None:
        raise Rejected(Code.LOAN_STATE, f"cannot {step} an application that is {stage}")
    return after


def next_state(seen: LoanState, stored: LoanState, step: LoanStep) -> LoanState:
    """Return the state to store after `step` on a loan that is `seen`, stored as `stored`.

    Raises `Rejected` (LOAN_STATE) when the table has no such step.
    """
    if (seen, step) not in LOAN_STATES:
        raise Rejected(Code.LOAN_STATE, f"cannot {step} a loan that is {seen}")
    after = LOAN_STATES[seen, step]
    return stored if after is None else after


def compute_grade(days_past_due: int) -> str:
    """Return the five-class grade of a loan so many days past due."""
    for above, name in GRADES:
        if days_past_due > above:
            return name
    return "pass"
