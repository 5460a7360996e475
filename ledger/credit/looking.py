"""Looking at authorised data: asking for it, passing it on, telling that it was deleted.

`access.open` asks to see categories of a company for a purpose; `access.share` lets one other
institution see what a look shows, where the company allows that; `access.deleted` says that what
was kept of a look is gone. What is asked for and not allowed is logged as REFUSED with its code,
so that the company sees it; only what is no look at all is rejected. What may be kept is entered
with its day (`ledger.credit.keeping`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ledger.credit.access_log import (
    ACCESS_ID_BYTES,
    GRANTED,
    REFUSED,
    RELEASE_MS,
    SHARED,
    AccessEntry,
    get_access,
    keep_access,
    make_access,
)
from ledger.credit.consent import CAPS, STORE, Consent, get_consent
from ledger.credit.ids import read_id
from ledger.credit.keeping import Kept, check_nothing_late, process_kept, process_told
from ledger.credit.looks import Look, check_holds, check_look, check_onward, find_look_basis
from ledger.encoding import Value
from ledger.errors import Code, LocalError, Rejected
from ledger.membership.catalogue import Access
from ledger.membership.context import Context, Handler, Role, check_company_known
from ledger.membership.members import get_member
from ledger.state.tables import CATEGORIES
from ledger.transactions.fields import FIRST_DAY, LAST_DAY, Fields

MAX_CATEGORIES = 64


def _read_look(context: Context) -> Look:
    body = Fields(context.body)
    first, last = body.optional_day("from_day"), body.optional_day("to_day")
    look = Look(
        context.sender.id,
        body.company("company"),
        tuple(sorted(body.texts("categories", maximum=MAX_CATEGORIES))),
        body.choice("purpose", CAPS),
        FIRST_DAY if first is None else first,
        LAST_DAY if last is None else last,
    )
    body.done()
    return look


def process_open(context: Context) -> Value:
    """Log a look at data of a company that needs its authorisation; by the member that looks."""
    look = _read_look(context)
    if context.sender.is_company or context.sender.member is None:
        raise Rejected(Code.NOT_PERMITTED, "only a member looks under an authorisation")
    check_company_known(context.state, (look.company,))
    for category in look.categories:
        value = context.state.get(CATEGORIES, category.encode())
        if value is None or value["access"] != Access.AUTHORISED:
            raise Rejected(
                Code.CATEGORY_UNKNOWN, f"{category} is no category that needs an authorisation"
            )
    consents: tuple[str, ...] = ()
    try:
        consents = find_look_basis(context.state, look, context.time_ms)
        first, last = check_look(context.state, look, consents, context.time_ms)
    except Rejected as refusal:
        entry = make_access(context, look, consents, REFUSED, refusal.code)
        return _keep(context, entry, refusal.message)
    look = replace(look, from_day=first, to_day=last)
    return _keep(context, make_access(context, look, consents, GRANTED))


def _read_shared(context: Context, body: Fields) -> AccessEntry:
    """Return the sender's own granted look, which is still open; raise `Rejected` (2215, 2216)."""
    access_id = read_id(body, "access", ACCESS_ID_BYTES, Code.ACCESS_NOT_LOGGED)
    entry = get_access(context.state, access_id)
    if entry is None or entry.reader != context.sender.id:
        raise Rejected(Code.ACCESS_NOT_LOGGED, f"{context.sender.id} has logged no such look")
    if entry.outcome != GRANTED:
        raise Rejected(Code.ACCESS_UNFIT, f"the look is {entry.outcome}, want {GRANTED}")
    if context.time_ms > entry.time_ms + RELEASE_MS:
        raise Rejected(Code.ACCESS_UNFIT, f"the look is older than {RELEASE_MS // 60_000} minutes")
    return entry


def process_share(context: Context) -> Value:
    """`access.share` {access, recipient}: let another institution see what a look shows.

    By the reader of a granted look, while it is open. The other sees the same categories and days
    and no later record, and may not pass them on; the company finds it among those who looked.
    """
    body = Fields(context.body)
    entry = _read_shared(context, body)
    recipient = body.identifier("recipient")
    body.done()
    consents = check_holds(context.state, entry.consents, context.time_ms)
    member = get_member(context.state, recipient)
    if member is None or member.is_removed:
        raise Rejected(Code.MEMBER_UNKNOWN, f"recipient {recipient} is not a member")
    if member.role is not Role.BANK or recipient == entry.reader:
        raise Rejected(Code.NOT_PERMITTED, "data is passed on to another institution")
    code, text = Code.OK, ""
    try:
        _check_onward(context, entry, recipient, consents)
    except Rejected as refusal:
        code, text = refusal.code, refusal.message
    shared = replace(
        entry,
        reader=recipient,
        outcome=REFUSED if code else SHARED,
        code=int(code),
        height=context.height,
        time_ms=context.time_ms,
        via=entry.reader,
    )
    return _keep(context, shared, text)


def _check_onward(
    context: Context, entry: AccessEntry, recipient: str, consents: tuple[Consent, ...]
) -> None:
    check_onward(context.state, recipient, zip(entry.consents, consents, strict=True))
    check_nothing_late(context.state, entry.company, recipient, context.day)


def _keep(context: Context, entry: AccessEntry, text: str = "") -> Value:
    """Keep an entry and what may be kept by it; return what the transaction says."""
    keep_access(context, entry)
    terms: list[Value] = []
    if entry.outcome != REFUSED:
        terms += [_describe_terms(context, consent) for consent in entry.consents]
        due_days = [
            context.day + consent.data_life_days
            for consent in (_get(context, item) for item in entry.consents)
            if consent.mode == STORE
        ]
        if due_days:
            kept = Kept(
                entry.reader, entry.company, entry.categories, entry.consents, min(due_days)
            )
            process_kept(context.state, context.transaction.id, kept)
    return {
        "access": context.transaction.id.hex(),
        "outcome": entry.outcome,
        "code": entry.code,
        "text": text,
        "consents": entry.consents,
        "terms": tuple(terms),
        "log_size": entry.log_size,
    }


def _get(context: Context, consent_id: str) -> Consent:
    consent = get_consent(context.state, bytes.fromhex(consent_id))
    if consent is None:
        raise LocalError(Code.INTERNAL, "a look on a consent that is not there")
    return consent


def _describe_terms(context: Context, consent_id: str) -> dict[str, Value]:
    """Return what the reader owes the company for what it now sees."""
    consent = _get(context, consent_id)
    is_stored = consent.mode == STORE
    return {
        "consent": consent_id,
        "mode": consent.mode,
        "keep_until_day": context.day + consent.data_life_days if is_stored else None,
        "persons": consent.persons,
        "is_onward_allowed": consent.is_onward_allowed,
        "is_cross_border": consent.is_cross_border,
    }


def process_deleted(context: Context) -> Value:
    """`access.deleted` {access}: tell that what was kept of a look is gone; by its reader."""
    body = Fields(context.body)
    access_id = read_id(body, "access", ACCESS_ID_BYTES, Code.ACCESS_NOT_LOGGED)
    body.done()
    kept = process_told(context.state, access_id, context.sender.id, context.day)
    return {
        "access": access_id.hex(),
        "company": kept.company,
        "due_day": kept.due_day,
        "days_late": max(0, context.day - kept.due_day),
    }


HANDLERS: Mapping[str, Handler] = {
    "access.open": process_open,
    "access.share": process_share,
    "access.deleted": process_deleted,
}
