"""Supervision: institutions report, regulators declare groups, and both see how limits are used.

`institution.report` keeps what an institution says of itself and looks at its limits anew;
`group.declare` says that companies belong together. The queries show an institution's figures with
what the ledger holds beside them, the use of each of its limits with whom it concerns, and a
company's group. A limit, a breach or a report is shown to regulators and to the institution itself;
who a company is related to, to regulators and to whoever lends to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.limits.exposure import get_company_exposure, get_lender_exposure
from ledger.lending.limits.limits import Limit, Status, Use, get_limits
from ledger.lending.limits.positions import (
    check_report_day,
    get_report,
    get_reports,
    put_report,
    read_report,
    reconcile,
)
from ledger.lending.limits.related import declare_group, get_group, get_links
from ledger.lending.limits.watch import (
    Site,
    compute_idle_use,
    compute_use,
    find_subjects,
    get_breaches,
    get_kind,
    process_institution,
    process_related,
)
from ledger.lending.loans.guarantees import get_guarantor_exposure
from ledger.membership.context import (
    Context,
    Handler,
    Query,
    QueryContext,
    Role,
    check_company_known,
    check_role,
)
from ledger.membership.members import get_member
from ledger.transactions.fields import Fields

MAX_LISTED = 100


def process_report(context: Context) -> Value:
    """`institution.report` {day, net_assets_fen, …, balances}: what the sender has; corrects."""
    body = Fields(context.body)
    check_role(context.sender, Role.BANK)
    institution = context.sender.id
    report = read_report(body, context.state, institution, context.height)
    body.done()
    check_report_day(report.day, context.day)
    version = put_report(context.state, institution, report)
    process_institution(Site(context.state, context.height, context.day), institution)
    return {
        "institution": institution,
        "day": report.day,
        "version": version,
        "reconciled": reconcile(report),
    }


def process_group(context: Context) -> Value:
    """`group.declare` {companies, group?}: they belong to one group, or to none; a regulator."""
    body = Fields(context.body)
    companies = body.texts("companies", maximum=MAX_LISTED)
    group = body.optional_identifier("group")
    body.done()
    check_role(context.sender, Role.REGULATOR)
    check_company_known(context.state, companies)
    touched: set[str] = set()
    for company in companies:
        touched.update(get_group(context.state, company)[0])
        declare_group(context.state, company, group)
        touched.update(get_group(context.state, company)[0])
    process_related(Site(context.state, context.height, context.day), tuple(sorted(touched)))
    return {"group": group, "companies": len(companies)}


def _read_institution(context: QueryContext, reader: Fields) -> str:
    """Return the institution of a question; raise `Rejected` (2601, 2006)."""
    institution = reader.identifier("institution")
    member = get_member(context.state, institution)
    if member is None or member.role is not Role.BANK:
        raise Rejected(Code.MEMBER_UNKNOWN, f"{institution} is no institution of this network")
    caller = context.caller
    if caller.role is not Role.REGULATOR and caller.id != institution:
        raise Rejected(Code.NOT_PERMITTED, f"{caller.id} may not see the figures of {institution}")
    return institution


def query_institution(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`institution.show` {institution, limit?}: its last figures, reconciled; earlier reports."""
    reader = Fields(body)
    institution = _read_institution(context, reader)
    limit = reader.optional_integer("limit", minimum=1, maximum=MAX_LISTED) or MAX_LISTED
    reader.done()
    latest = get_report(context.state, institution, context.day)
    reports: list[Value] = [
        item.to_value()
        for item in islice(get_reports(context.state, institution, context.day), limit)
    ]
    return {
        "institution": institution,
        "kind": get_kind(context.state, institution),
        "ledgered_fen": get_lender_exposure(context.state, institution).outstanding_fen,
        "ledgered_guarantees_fen": get_guarantor_exposure(
            context.state, institution
        ).outstanding_fen,
        "latest": None if latest is None else latest.to_value(),
        "reconciled": {} if latest is None else reconcile(latest),
        "reports": reports,
    }


def query_limits(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`exposure.limits` {institution}: how far each of its limits is used, and who is over it."""
    reader = Fields(body)
    institution = _read_institution(context, reader)
    reader.done()
    site = Site(context.state, 0, context.day)
    kind = get_kind(context.state, institution)
    report = get_report(context.state, institution, context.day)
    shown: list[Value] = [
        _describe_limit(site, institution, limit)
        for limit in get_limits(context.state, kind, context.day)
    ]
    return {
        "institution": institution,
        "kind": kind,
        "reported_day": None if report is None else report.day,
        "limits": shown,
    }


def _describe_limit(site: Site, institution: str, limit: Limit) -> dict[str, Value]:
    uses = [
        compute_use(site, institution, limit, subject)
        for subject in find_subjects(site.state, institution, limit)
    ]
    use = max(uses, key=_rank, default=compute_idle_use(site, institution, limit))
    breaches: list[Value] = [
        {"subject": subject, "alert": alert_id.hex()}
        for subject, alert_id in islice(get_breaches(site.state, institution, limit.id), MAX_LISTED)
    ]
    return {
        **limit.to_value(),
        "status": str(use.status),
        "subject": use.subject,
        "value": use.value,
        "base_fen": use.base,
        "used_bp": use.used_bp,
        "breaches": breaches,
    }


def _rank(use: Use) -> tuple[bool, int]:
    """Order uses so that the one nearest to its limit, or over it, is the greatest."""
    value = use.value or 0
    return use.status is Status.BREACHED, -value if use.limit.is_minimum else value


def query_group(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`exposure.group` {company}: the companies related to it, and why."""
    reader = Fields(body)
    company = reader.company("company")
    reader.done()
    caller, state = context.caller, context.state
    is_lender = get_company_exposure(state, company, caller.id).loans_open > 0
    if caller.role is not Role.REGULATOR and caller.id != company and not is_lender:
        raise Rejected(Code.NOT_PERMITTED, f"{caller.id} may not see the group of {company}")
    companies, is_complete = get_group(state, company)
    links: list[Value] = [
        {"company": item, "why": why, "other": other}
        for item in companies
        for why, other in islice(get_links(state, item), MAX_LISTED)
    ]
    return {
        "company": company,
        "companies": list(companies),
        "is_complete": is_complete,
        "links": links,
    }


HANDLERS: Mapping[str, Handler] = {
    "institution.report": process_report,
    "group.declare": process_group,
}
QUERIES: Mapping[str, Query] = {
    "institution.show": query_institution,
    "exposure.limits": query_limits,
    "exposure.group": query_group,
}
