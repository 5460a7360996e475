"""What becomes of a loan that is not simply paid: new terms, default, guarantee, loss, recovery.

Each step is one transaction of the lender (of the company where it agrees, of the guarantor where
it pays), a line of the loan's account, and a row of the table in `ledger.lending.loans.states`. New
terms are an offer until the company accepts them; a write-off leaves the books but not the record,
and what is recovered later is booked against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ledger.credit.ids import read_id
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.alerts.outcomes import note_trouble
from ledger.lending.applications import APPLICATION_ID_BYTES
from ledger.lending.limits.exposure import process_move
from ledger.lending.limits.watch import get_debtor, process_loan_limits
from ledger.lending.loans.booking import book_payment, close_loan, get_loan, put_loan, read_own_loan
from ledger.lending.loans.guarantees import process_lowered
from ledger.lending.loans.loan import (
    OFFER_DAYS,
    RATE_BP_MAX,
    TERM_DAYS_MAX,
    Loan,
    accelerate,
    claim,
    compute_days_past_due,
    compute_owed_fen,
    compute_state,
    declare_default,
    pay_claim,
    recover,
    restructure,
    write_off,
)
from ledger.lending.loans.schedule import PERIOD_MONTHS_MAX, ScheduleKind, Terms
from ledger.lending.loans.states import LoanStep, next_state
from ledger.membership.context import Context, Handler, check_acts_for
from ledger.transactions.fields import Fields

TEXT_MAX = 256


def _describe(context: Context, loan_id: bytes, loan: Loan) -> dict[str, Value]:
    return {
        "loan": loan_id.hex(),
        "state": str(compute_state(loan, context.day)),
        "outstanding_fen": loan.outstanding_fen,
        "owed_fen": compute_owed_fen(loan, context.day),
    }


def _change(context: Context, loan_id: bytes, loan: Loan, what: str) -> dict[str, Value]:
    """Keep a loan after a step by which no money moved."""
    put_loan(context, loan_id, loan, (what, 0, 0))
    return _describe(context, loan_id, loan)


def process_restructure(context: Context) -> Value:
    """Offer new terms for a loan; by its lender. Nothing changes until the company accepts."""
    body = Fields(context.body)
    loan_id, loan = read_own_loan(context, body)
    term_days = body.integer("term_days", minimum=1, maximum=TERM_DAYS_MAX)
    rate_bp = body.integer("rate_bp", minimum=0, maximum=RATE_BP_MAX)
    kind = loan.terms.kind
    if body.has("schedule"):
        kind = ScheduleKind(body.choice("schedule", ScheduleKind))
    period_months = loan.terms.period_months
    if body.has("period_months"):
        period_months = body.integer("period_months", minimum=1, maximum=PERIOD_MONTHS_MAX)
    body.done()
    next_state(compute_state(loan, context.day), loan.state, LoanStep.RESTRUCTURE)
    terms = Terms(rate_bp, kind, period_months, loan.terms.day_count, loan.terms.late_rate_bp)
    expires_day = context.day + OFFER_DAYS
    offer = (terms.to_value(), term_days, expires_day)
    offered = replace(loan, offer=offer, entries=loan.entries + 1)
    return {**_change(context, loan_id, offered, "new terms"), "expires_day": expires_day}


def process_accept_terms(context: Context) -> Value:
    """Accept new terms; by the company or a counter for it. They count from today."""
    body = Fields(context.body)
    loan_id = read_id(body, "loan", APPLICATION_ID_BYTES, Code.LOAN_UNKNOWN)
    body.done()
    loan = get_loan(context.state, loan_id)
    check_acts_for(context.sender, loan.company)
    if loan.offer is None:
        raise Rejected(Code.LOAN_STATE, "no new terms are offered for this loan")
    terms_value, term_days, expires_day = loan.offer
    if context.day > expires_day:
        raise Rejected(Code.OFFER_EXPIRED, "the time of the offer is over: the lender offers anew")
    terms, due_day = Terms.from_value(terms_value), context.day + term_days
    changed = restructure(loan, terms, due_day, context.day)
    shown = _change(context, loan_id, changed, "restructured")
    process_loan_limits(context, changed, is_new=False)  # its term is another one
    return {
        **shown,
        "due_day": due_day,
        "rate_bp": terms.rate_bp,
        "plan": tuple(item.to_value() for item in changed.plan),
    }


def process_default(context: Context) -> Value:
    """Declare an overdue loan in default; by its lender."""
    body = Fields(context.body)
    loan_id, loan = read_own_loan(context, body)
    body.done()
    days = compute_days_past_due(loan, context.day)
    changed = declare_default(loan, context.day)
    note_trouble(context.state, loan.company, context.day, "default")
    return {**_change(context, loan_id, changed, "default"), "days_past_due": days}


def process_accelerate(context: Context) -> Value:
    """Call a loan in default: everything is due now; by its lender."""
    body = Fields(context.body)
    loan_id, loan = read_own_loan(context, body)
    body.done()
    return _change(context, loan_id, accelerate(loan, context.day), "accelerated")


def process_claim(context: Context) -> Value:
    """Claim on the guarantee of a loan in default, as far as it reaches; by its lender."""
    body = Fields(context.body)
    loan_id, loan = read_own_loan(context, body)
    asked_fen = body.amount("amount_fen") if body.has("amount_fen") else None
    body.done()
    if not loan.guarantor:
        raise Rejected(Code.LOAN_STATE, "nobody stands for this loan")
    most_fen = min(loan.guaranteed_fen, compute_owed_fen(loan, context.day))
    changed = claim(loan, most_fen if asked_fen is None else asked_fen, context.day)
    shown = _change(context, loan_id, changed, "guarantee claimed")
    process_lowered(context.state, loan, changed, context.day)
    process_loan_limits(context, changed, is_new=False)
    return {
        **shown,
        "guarantor": loan.guarantor,
        "claimed_fen": changed.claimed_fen,
    }


def process_pay_claim(context: Context) -> Value:
    """Pay on a claimed guarantee; by the guarantor. It lowers what the company owes the lender."""
    body = Fields(context.body)
    loan_id = read_id(body, "loan", APPLICATION_ID_BYTES, Code.LOAN_UNKNOWN)
    amount_fen = body.amount("amount_fen")
    body.done()
    loan = get_loan(context.state, loan_id)
    if context.sender.id != loan.guarantor:
        raise Rejected(Code.NOT_PERMITTED, f"the loan is not guaranteed by {context.sender.id}")
    paid, split = pay_claim(loan, amount_fen, context.day)
    line = ("guarantee payment", split.interest_fen, split.principal_fen)
    return {
        **book_payment(context, loan_id, loan, paid, line),
        "guarantee_paid_fen": paid.guarantee_paid_fen,
    }


def process_write_off(context: Context) -> Value:
    """Take a lost loan off the books, principal and interest; by its lender."""
    body = Fields(context.body)
    loan_id, loan = read_own_loan(context, body)
    body.text("reason", maximum=TEXT_MAX)
    body.done()
    lost = write_off(loan, context.day)
    line = ("written off", lost.written_off_interest_fen, lost.written_off_fen)
    put_loan(context, loan_id, lost, line)
    note_trouble(context.state, loan.company, context.day, "written off")
    process_move(
        context.state,
        loan.company,
        loan.lender,
        day=context.day,
        written_off_fen=lost.written_off_fen,
        loans=-1,
        debtor=get_debtor(context.state, loan),
    )
    process_lowered(context.state, loan, lost, context.day)
    close_loan(context, loan_id, lost)
    process_loan_limits(context, lost, is_new=False)
    return {
        **_describe(context, loan_id, lost),
        "written_off_fen": lost.written_off_fen,
        "written_off_interest_fen": lost.written_off_interest_fen,
    }


def process_recover(context: Context) -> Value:
    """Book what was recovered of a loan that was written off; by its lender."""
    body = Fields(context.body)
    loan_id, loan = read_own_loan(context, body)
    amount_fen = body.amount("amount_fen")
    body.done()
    changed = recover(loan, amount_fen, context.day)
    put_loan(context, loan_id, changed, ("recovered", 0, amount_fen))
    return {**_describe(context, loan_id, changed), "recovered_fen": changed.recovered_fen}


HANDLERS: Mapping[str, Handler] = {
    "loan.restructure": process_restructure,
    "loan.accept_terms": process_accept_terms,
    "loan.default": process_default,
    "loan.accelerate": process_accelerate,
    "loan.claim": process_claim,
    "loan.pay_claim": process_pay_claim,
    "loan.write_off": process_write_off,
    "loan.recover": process_recover,
}
