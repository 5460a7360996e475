"""Loans on the chain: an offer accepted, a loan drawn, repayments booked.

The company accepts, the lender disburses and books what it is paid; the arithmetic is in
`ledger.lending.loans.loan`. A loan has the id of its application. Every change is a line of the
loan's account (LOAN_ENTRIES), and the totals of exposure move with it. When all is paid the asset
that secured the loan comes free in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ledger.credit.assets import process_pledge, process_release
from ledger.credit.ids import read_id
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.applications import (
    APPLICATION_ID_BYTES,
    Application,
    compute_stage,
    put_application,
    read_application,
)
from ledger.lending.limits.exposure import process_move
from ledger.lending.limits.watch import get_debtor, process_loan_limits
from ledger.lending.loans.guarantees import get_guarantee, process_drawn, process_lowered
from ledger.lending.loans.loan import (
    OFFER_DAYS,
    Loan,
    check_amount,
    compute_due_fen,
    compute_owed_fen,
    compute_state,
    open_loan,
    repay,
)
from ledger.lending.loans.schedule import DayCount, ScheduleKind, Terms
from ledger.lending.loans.states import Stage, Step, next_stage
from ledger.lending.pledges import get_offer_fen
from ledger.membership.context import Context, Handler, check_acts_for
from ledger.rules.decision import Decision
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_LOANS, LOAN_ENTRIES, LOANS
from ledger.transactions.fields import Fields

LOANS_TOUCHED = "loans"  # what alerts are told when the loan book says something of a company


def get_loan(state: Overlay, loan_id: bytes) -> Loan:
    """Return the loan of an id; raise `Rejected` LOAN_UNKNOWN."""
    value = state.get(LOANS, loan_id)
    if value is None:
        raise Rejected(Code.LOAN_UNKNOWN, f"loan {loan_id.hex()} is not known")
    return Loan.from_value(value)


def get_entries(state: Overlay, loan_id: bytes) -> list[Any]:
    """Return the lines of a loan's account: (day, what, interest_fen, principal_fen, tx id)."""
    return [value for _, value in state.scan(LOAN_ENTRIES, loan_id)]


def put_loan(context: Context, loan_id: bytes, loan: Loan, line: tuple[str, int, int]) -> None:
    """Keep a loan and the line of its account that made it what it is."""
    context.state.put(LOANS, loan_id, loan.to_value())
    key = loan_id + (loan.entries - 1).to_bytes(4, "big")
    context.state.put(LOAN_ENTRIES, key, (context.day, *line, context.transaction.id))
    context.notes.touch(loan.company, LOANS_TOUCHED)


def _check_open(application: Application, step: Step, day: int) -> Stage:
    """Return the stage after `step`; raise `Rejected` LOAN_STATE, OFFER_EXPIRED."""
    if compute_stage(application, day) is Stage.LAPSED:
        raise Rejected(Code.OFFER_EXPIRED, "the time of the offer is over: apply again")
    return next_stage(application.stage, step)


def process_accept(context: Context) -> Value:
    """Accept an offer; by the company or a counter for it."""
    body = Fields(context.body)
    application_id, application = read_application(context.state, body, "application")
    body.done()
    check_acts_for(context.sender, application.company)
    stage = _check_open(application, Step.ACCEPT, context.day)
    expires_day = context.day + OFFER_DAYS
    accepted = replace(application, stage=stage, expires_day=expires_day)
    put_application(context.state, application_id, accepted)
    return {
        "application": application_id.hex(),
        "stage": str(stage),
        "expires_day": expires_day,
    }


def process_disburse(context: Context) -> Value:
    """Draw an accepted loan, all that was granted or less; by the lender."""
    body = Fields(context.body)
    application_id, application = read_application(context.state, body, "application")
    asked_fen = body.amount("amount_fen") if body.has("amount_fen") else None
    body.done()
    if context.sender.id != application.lender:
        raise Rejected(Code.NOT_PERMITTED, f"the application is not to {context.sender.id}")
    stage = _check_open(application, Step.DISBURSE, context.day)
    offer_fen = get_offer_fen(application)
    amount_fen = offer_fen if asked_fen is None else asked_fen
    check_amount(amount_fen)
    if amount_fen > offer_fen:
        raise Rejected(
            Code.AMOUNT_TOO_LARGE, f"amount_fen is {amount_fen}, want at most {offer_fen} granted"
        )
    if application.asset:
        asset_id = bytes.fromhex(application.asset)
        process_pledge(
            context.state, asset_id, application.lender, application_id, amount_fen, context.day
        )
    loan = _draw(context, application_id, application, amount_fen)
    put_application(context.state, application_id, replace(application, stage=stage))
    return {
        "loan": application_id.hex(),
        "state": str(compute_state(loan, context.day)),
        "principal_fen": loan.principal_fen,
        "rate_bp": loan.terms.rate_bp,
        "due_day": loan.due_day,
        "plan": tuple(item.to_value() for item in loan.plan),
    }


def _draw(
    context: Context, application_id: bytes, application: Application, amount_fen: int
) -> Loan:
    decision = Decision.from_value(application.decision)
    repayment = context.rules.product(application.product).repayment
    terms = Terms(
        decision.rate_bp or 0,
        ScheduleKind(repayment.schedule),
        repayment.period_months,
        DayCount(repayment.day_count),
        repayment.late_rate_bp,
    )
    guarantor, guaranteed_fen = get_guarantee(context.state, application_id)
    loan = open_loan(
        company=application.company,
        lender=application.lender,
        product=application.product,
        asset=application.asset,
        principal_fen=amount_fen,
        terms=terms,
        term_days=application.term_days,
        day=context.day,
        guarantor=guarantor,
        guaranteed_fen=min(guaranteed_fen, amount_fen),
    )
    put_loan(context, application_id, loan, ("draw", 0, amount_fen))
    context.state.put(COMPANY_LOANS, loan.company.encode() + application_id, 1)
    process_move(
        context.state,
        loan.company,
        loan.lender,
        day=context.day,
        drawn_fen=amount_fen,
        loans=1,
        debtor=get_debtor(context.state, loan),
    )
    process_drawn(context.state, loan, context.day)
    process_loan_limits(context, loan, is_new=True)
    return loan


def read_own_loan(context: Context, body: Fields) -> tuple[bytes, Loan]:
    """Return (id, loan) of field `loan`; raise `Rejected` unless the sender is its lender."""
    loan_id = read_id(body, "loan", APPLICATION_ID_BYTES, Code.LOAN_UNKNOWN)
    loan = get_loan(context.state, loan_id)
    if context.sender.id != loan.lender:
        raise Rejected(Code.NOT_PERMITTED, f"the loan is not {context.sender.id}'s")
    return loan_id, loan


def process_repay(context: Context) -> Value:
    """Book a repayment of today; by the lender."""
    body = Fields(context.body)
    loan_id, loan = read_own_loan(context, body)
    amount_fen = body.amount("amount_fen")
    body.done()
    repaid, split = repay(loan, amount_fen, context.day)
    line = ("repayment", split.interest_fen, split.principal_fen)
    return book_payment(context, loan_id, loan, repaid, line)


def book_payment(
    context: Context, loan_id: bytes, before: Loan, loan: Loan, line: tuple[str, int, int]
) -> dict[str, Value]:
    """Keep a loan after a payment of (what, interest, principal), and all that follows from it."""
    put_loan(context, loan_id, loan, line)
    process_move(
        context.state,
        loan.company,
        loan.lender,
        day=context.day,
        repaid_fen=line[2],
        loans=-1 if loan.is_closed else 0,
        debtor=get_debtor(context.state, loan),
    )
    process_lowered(context.state, before, loan, context.day)
    if loan.is_closed:
        close_loan(context, loan_id, loan)
    process_loan_limits(context, loan, is_new=False)
    return {
        "loan": loan_id.hex(),
        "state": str(compute_state(loan, context.day)),
        "interest_fen": line[1],
        "principal_fen": line[2],
        "outstanding_fen": loan.outstanding_fen,
        "owed_fen": compute_owed_fen(loan, context.day),
        "due_fen": compute_due_fen(loan, context.day),
    }


def close_loan(context: Context, loan_id: bytes, loan: Loan) -> None:
    """Let go the asset that secured a loan on which nothing is owed any more."""
    if loan.asset:
        process_release(context.state, bytes.fromhex(loan.asset), loan_id)


HANDLERS: Mapping[str, Handler] = {
    "loan.accept": process_accept,
    "loan.disburse": process_disburse,
    "loan.repay": process_repay,
}
