"""Who may read what: the access class of a category, the caller, the company's consent.

PUB is public by law. AUT needs the company's active authorisation, unless the caller is the company
itself or the department that supplied the records. REG is for regulators and the supplier. An
authorisation also bounds the days that may be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.credit.consent import get_consent, has_basis
from ledger.errors import Code, Rejected
from ledger.membership.catalogue import Access, Category
from ledger.membership.context import QueryContext, Role


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a caller may read, and which days (None: all)."""

    reason: str  # "public", "own", "supplier", "regulator" or "consent"
    consent: str = ""
    first_day: int | None = None
    last_day: int | None = None


def find_read_basis(context: QueryContext, company: str, category: Category) -> Basis:
    """Return why the caller may read `category` of `company`; raise `Rejected` (2006, 2211)."""
    caller = context.caller
    if caller.id == category.owner:
        return Basis("supplier")
    if category.access is Access.PUBLIC:
        return Basis("public")
    if category.access is Access.REGULATORS:
        if caller.role is Role.REGULATOR:
            return Basis("regulator")
        raise Rejected(Code.NOT_PERMITTED, f"category {category.id} is for regulators")
    if caller.id == company:
        return Basis("own")
    consent_id = has_basis(context.state, company, caller.id, category.id, context.time_ms)
    consent = None if consent_id is None else get_consent(context.state, bytes.fromhex(consent_id))
    if consent_id is None or consent is None:
        raise Rejected(
            Code.CONSENT_MISSING,
            f"{caller.id} has no active authorisation of {company} for {category.id}",
        )
    return Basis("consent", consent_id, consent.from_day, consent.to_day)


def may_read(context: QueryContext, company: str, category: Category) -> bool:
    """Tell whether the caller may read `category` of `company` at all."""
    try:
        find_read_basis(context, company, category)
    except Rejected:
        return False
    return True
