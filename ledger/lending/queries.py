"""What may be asked about applications, loans and exposure, and by whom.

A company sees its own, whoever applied for it that application, a lender what it decided and lent,
a guarantor the loans it stands for, a regulator everything; to anybody else it is not permitted
(2006).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ledger.credit.ids import read_id
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.applications import (
    APPLICATION_ID_BYTES,
    Application,
    compute_stage,
    describe_decision,
    get_applications,
    get_facts,
    read_application,
)
from ledger.lending.facts import get_loans
from ledger.lending.limits.exposure import (
    Exposure,
    get_company_exposures,
    get_lender_exposure,
)
from ledger.lending.loans.booking import get_entries, get_loan
from ledger.lending.loans.loan import (
    Loan,
    compute_days_past_due,
    compute_due_fen,
    compute_late_days_max,
    compute_owed_fen,
    compute_state,
)
from ledger.lending.loans.states import GRADES, OBSERVED_DAYS, LoanState, compute_grade
from ledger.lending.reviews import get_reviews
from ledger.membership.context import Query, QueryContext, Role
from ledger.rules.decision import Decision
from ledger.transactions.fields import Fields

MAX_LISTED = 500
# Fields of a loan that are shown otherwise, or that only the arithmetic needs.
_INNER = frozenset(
    {"interest_remainder", "interest_fen", "accrued_day", "terms", "plan", "state", "late"}
)


def _may_see(context: QueryContext, *concerned: str) -> bool:
    return context.caller.id in concerned or context.caller.role is Role.REGULATOR


def _check_may_see(context: QueryContext, what: str, *concerned: str) -> None:
    if not _may_see(context, *concerned):
        raise Rejected(Code.NOT_PERMITTED, f"{context.caller.id} may not see this {what}")


def _concerned(application: Application) -> tuple[str, ...]:
    return application.company, application.lender, application.applicant


def _describe_application(
    context: QueryContext, application_id: bytes, application: Application
) -> dict[str, Value]:
    decision = Decision.from_value(application.decision)
    return {
        **describe_decision(application_id, application, decision),
        "company": application.company,
        "lender": application.lender,
        "asset": application.asset,
        "asked_fen": application.asked_fen,
        "term_days": application.term_days,
        "applicant": application.applicant,
        "height": application.height,
        "position": application.position,
        "day": application.day,
        "consents": application.consents,
        "stage": str(compute_stage(application, context.day)),
        "schema": decision.schema,
        "scorecard": decision.scorecard,
        "rule_hash": decision.rule_hash,
        "features_digest": decision.features_digest,
    }


def query_application(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Show an application with its decision and the facts that the decision rests on."""
    reader = Fields(body)
    application_id, application = read_application(context.state, reader, "application")
    reader.done()
    _check_may_see(context, "application", *_concerned(application))
    shown = _describe_application(context, application_id, application)
    shown["facts"] = get_facts(context.state, application_id, application)
    shown["reviews"] = get_reviews(context.state, application.company, application_id)
    return shown


def query_applications(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """List a company's applications that the caller may see, at most 500, by id."""
    reader = Fields(body)
    company = reader.company("company")
    reader.done()
    items: list[Value] = []
    for application_id, application in get_applications(context.state, company):
        if len(items) < MAX_LISTED and _may_see(context, *_concerned(application)):
            items.append(_describe_application(context, application_id, application))
    return {"company": company, "applications": items}


def _describe_loan(context: QueryContext, loan_id: bytes, loan: Loan) -> dict[str, Value]:
    day = context.day
    days_past_due = compute_days_past_due(loan, day)
    shown: dict[str, Value] = {
        field.name: getattr(loan, field.name) for field in fields(loan) if field.name not in _INNER
    }
    shown |= {
        "rate_bp": loan.terms.rate_bp,
        "late_rate_bp": loan.terms.late_rate_bp,
        "schedule": str(loan.terms.kind),
        "period_months": loan.terms.period_months,
        "day_count": str(loan.terms.day_count),
    }
    shown["loan"] = loan_id.hex()
    shown["state"] = str(compute_state(loan, day))
    shown["owed_fen"] = compute_owed_fen(loan, day)
    shown["due_fen"] = compute_due_fen(loan, day)
    shown["days_past_due"] = days_past_due
    shown["grade"] = _find_grade(loan, day)
    return shown


def _find_grade(loan: Loan, day: int) -> str:
    if loan.state is LoanState.WRITTEN_OFF:
        return GRADES[0][1]
    if loan.is_closed:
        return compute_grade(0)
    days_past_due = compute_days_past_due(loan, day)
    if loan.state is LoanState.RESTRUCTURED:
        days_past_due = compute_late_days_max(loan, day, OBSERVED_DAYS)
    return compute_grade(days_past_due)


def query_loan(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Show a loan as of the last block's day, with its account."""
    reader = Fields(body)
    loan_id = read_id(reader, "loan", APPLICATION_ID_BYTES, Code.LOAN_UNKNOWN)
    reader.done()
    loan = get_loan(context.state, loan_id)
    _check_may_see(context, "loan", loan.company, loan.lender, loan.guarantor)
    shown = _describe_loan(context, loan_id, loan)
    plan = () if loan.is_closed else loan.plan
    shown["plan"] = [
        {
            "due_day": item.due_day,
            "principal_fen": item.principal_fen,
            "interest_fen": item.interest_fen,
        }
        for item in plan
    ]
    shown["account"] = [
        {"day": day, "what": what, "interest_fen": interest, "principal_fen": principal, "tx": tx}
        for day, what, interest, principal, tx in get_entries(context.state, loan_id)
    ]
    return shown


def query_loans(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """List a company's loans that the caller may see, at most 500, by id."""
    reader = Fields(body)
    company = reader.company("company")
    reader.done()
    items: list[Value] = []
    for loan_id, loan in get_loans(context.state, company):
        if len(items) < MAX_LISTED and _may_see(context, company, loan.lender, loan.guarantor):
            items.append(_describe_loan(context, loan_id, loan))
    return {"company": company, "loans": items}


def _describe_exposure(exposure: Exposure) -> dict[str, Value]:
    return {
        "outstanding_fen": exposure.outstanding_fen,
        "drawn_fen": exposure.drawn_fen,
        "repaid_fen": exposure.repaid_fen,
        "written_off_fen": exposure.written_off_fen,
        "loans_open": exposure.loans_open,
    }


def query_exposure(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Show what is owed by a `company` (by lender, as far as one may see) or to a `lender`."""
    reader = Fields(body)
    company = reader.optional_company("company")
    lender = reader.optional_identifier("lender")
    reader.done()
    if (company is None) == (lender is None):
        raise Rejected(Code.BODY_MALFORMED, "want either field company or field lender")
    if lender is not None:
        _check_may_see(context, "exposure", lender)
        shown = _describe_exposure(get_lender_exposure(context.state, lender))
        return {"lender": lender, **shown}
    owed = get_company_exposures(context.state, str(company))
    visible = {
        name: _describe_exposure(exposure)
        for name, exposure in owed.items()
        if _may_see(context, str(company), name)
    }
    total_fen = sum(owed[name].outstanding_fen for name in visible)
    return {"company": company, "outstanding_fen": total_fen, "by_lender": visible}


QUERIES: Mapping[str, Query] = {
    "application.show": query_application,
    "application.list": query_applications,
    "loan.show": query_loan,
    "loan.list": query_loans,
    "exposure.show": query_exposure,
}
