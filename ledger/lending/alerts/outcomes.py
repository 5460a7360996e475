"""Outcomes: which companies came to trouble, against which the alerts are measured.

A company is known to have come to trouble when a loan of its was declared in default or written
off on this ledger, or when a regulator says so (`company.outcome`); a regulator may also say that
it did not. The day is when trouble was there, so that a warning can be told from an obituary; it
may be unknown. COMPANY_OUTCOMES holds the last word on each company.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Context, Handler, Role, check_company_known, check_role
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_OUTCOMES
from ledger.transactions.fields import Fields

MAX_NOTE = 1_000
BY_LOANS = "loans"  # said by the loan book itself; no regulator is named so


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a company; `day` None where it is not known when."""

    is_troubled: bool
    day: int | None
    said_by: str
    note: str


def get_outcomes(state: Overlay) -> Iterator[tuple[str, Outcome]]:
    """Yield (company, outcome) of every company of which one is known, by code."""
    for key, value in state.scan(COMPANY_OUTCOMES, b""):
        yield key.decode(), Outcome(*value)


def note_trouble(state: Overlay, company: str, day: int, note: str) -> None:
    """Note that a company's loan failed on a day; the first trouble that is known stays."""
    value = state.get(COMPANY_OUTCOMES, company.encode())
    if value is None or not Outcome(*value).is_troubled:
        state.put(COMPANY_OUTCOMES, company.encode(), (True, day, BY_LOANS, note))


def process_outcome(context: Context) -> Value:
    """`company.outcome` {company, is_troubled, day?, note?}: what became of it; by a regulator."""
    body = Fields(context.body)
    company = body.company("company")
    is_troubled = body.flag("is_troubled")
    day = body.optional_day("day")
    note = body.optional_text("note", maximum=MAX_NOTE) or ""
    body.done()
    check_role(context.sender, Role.REGULATOR)
    check_company_known(context.state, (company,))
    if day is not None and day > context.day:
        raise Rejected(Code.RECORD_DATE, f"day {day} is after the block's day {context.day}")
    value = (is_troubled, day, context.sender.id, note)
    context.state.put(COMPANY_OUTCOMES, company.encode(), value)
    return {"company": company, "is_troubled": is_troubled}


HANDLERS: Mapping[str, Handler] = {"company.outcome": process_outcome}
