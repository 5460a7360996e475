"""Who may read what: the access class of a category, the caller, the company's consent.

PUB is public by law. AUT needs the company's active authorisation and a logged, certified look
(`ledger.credit.access_log`), unless the caller is the company itself or the department that
supplied the records. REG is for regulators and the supplier. An
authorisation also bounds the days that may be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.credit.access_log import SHARED, check_released, get_access
from ledger.credit.consent import get_consent, has_basis
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
    if not _is_shared_with(context, access_id):
        _check_consented(context, company, category)
    entry = check_released(context, access_id, company, category.id)
    covering = (item for item in entry.consents if _covers(context, item, category))
    return Basis(
        "consent", next(covering, ""), access_id, entry.from_day, entry.to_day, entry.log_size
    )


def _is_shared_with(context: QueryContext, access_id: bytes | None) -> bool:
    """Tell whether a look was passed on to the caller, whom the company itself need not know."""
    entry = None if access_id is None else get_access(context.state, access_id)
    return entry is not None and (entry.outcome, entry.reader) == (SHARED, context.caller.id)


def _check_consented(context: QueryContext, company: str, category: Category) -> None:
    caller = context.caller.id
    if has_basis(context.state, company, caller, category.id, context.now_ms) is None:
        raise Rejected(
            Code.CONSENT_MISSING,
            f"{caller} has no active authorisation of {company} for {category.id}",
        )


def _covers(context: QueryContext, consent_id: str, category: Category) -> bool:
    consent = get_consent(context.state, bytes.fromhex(consent_id))
    return consent is not None and category.id in consent.categories


def find_basis_or_none(
    context: QueryContext, company: str, category: Category, access_id: bytes | None = None
) -> Basis | None:
    """Return why the caller may read `category` of `company`, None where it may not at all."""
    try:
        return find_read_basis(context, company, category, access_id)
    except Rejected:
        return None
