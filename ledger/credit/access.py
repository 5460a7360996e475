"""Who may read what: the access class of a category, the caller, the company's consent.

PUB is public by law. AUT needs the company's active authorisation and a logged, certified look
(`ledger.credit.access_log`), unless the caller is the company itself or the department that
supplied the records. REG is for regulators and the supplier. An
authorisation also bounds the days that may be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.credit.access_log import check_released
from ledger.credit.consent import has_basis
from ledger.errors import Code, Rejected
from ledger.membership.catalogue import Access, Category
from ledger.membership.context import QueryContext, Role


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a caller may read, which days, and how many records of the company's log (None: all)."""

    reason: str  # "public", "own", "supplier", "regulator" or "consent"
    consent: str = ""
    access: bytes | None = None
    first_day: int | None = None
    last_day: int | None = None
    log_size: int | None = None


def find_read_basis(
    context: QueryContext, company: str, category: Category, access_id: bytes | None = None
) -> Basis:
    """Return why the caller may read `category` of `company`.

    `access_id` names the logged look where it takes one. Raises `Rejected` (2006, 2211, 2215,
    2216).
    """
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
    if consent_id is None:
        raise Rejected(
            Code.CONSENT_MISSING,
            f"{caller.id} has no active authorisation of {company} for {category.id}",
        )
    entry = check_released(context, access_id, company, category.id)
    consent = entry.consents[0] if len(entry.consents) == 1 else consent_id
    return Basis("consent", consent, access_id, entry.from_day, entry.to_day, entry.log_size)


def may_read(
    context: QueryContext, company: str, category: Category, access_id: bytes | None = None
) -> bool:
    """Tell whether the caller may read `category` of `company` at all."""
    try:
        find_read_basis(context, company, category, access_id)
    except Rejected:
        return False
    return True
