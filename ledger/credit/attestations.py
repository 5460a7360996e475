"""Attestations: a department says that it has supplied everything about companies for some days.

Only what is attested may be counted as nothing: an empty window is zero where its days are covered
and missing elsewhere (RULES.md). The spans of a company and record schema are kept merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ledger.credit.company import check_company_code
from ledger.credit.records import DAYS_AHEAD_MAX, get_owned_plan
from ledger.credit.windows_state import get_coverage, merge_interval, put_coverage
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Context, Handler
from ledger.transactions.fields import Fields

MAX_COMPANIES = 1_000
MAX_INTERVALS = 512


def handle_attest(context: Context) -> Value:
    """`records.attest` {category, schema, companies, from_day, to_day}: all was supplied."""
    body = Fields(context.body)
    category = body.identifier("category")
    schema = body.identifier("schema") if body.text("schema", minimum=0) else ""
    companies = body.texts("companies", maximum=MAX_COMPANIES)
    first_day, last_day = body.day("from_day"), body.day("to_day")
    body.done()
    if last_day < first_day or last_day > context.day + DAYS_AHEAD_MAX:
        raise Rejected(
            Code.RECORD_DATE, f"days {first_day} to {last_day} are out of order or in the future"
        )
    versions = [v for name, v in context.rules.category(category).schemas if name == schema]
    plan = get_owned_plan(context, category, schema, max(versions, default=1))
    for company in companies:
        check_company_code(context.state, company)
        key = company.encode()
        coverage = get_coverage(context.state, key, plan.key)
        intervals = merge_interval(coverage.intervals, first_day, last_day)
        if len(intervals) > MAX_INTERVALS:
            raise Rejected(
                Code.RECORD_DATE, f"company {company} has {MAX_INTERVALS} attested spans already"
            )
        put_coverage(context.state, key, plan.key, replace(coverage, intervals=intervals))
        context.notes.touch(company, category, schema)
    return {"companies": len(companies)}


HANDLERS: Mapping[str, Handler] = {"records.attest": handle_attest}
