"""The access log: who looked at what of whom, on which basis; refused looks too.

Whoever wants to see data of a company under its authorisation logs that first: `access.open` names
company, categories, purpose and days. Execution finds the consents that cover it, counts the look
against what they allow, and keeps an entry with the outcome, GRANTED or REFUSED with its code; a
refused look is a transaction that did what it should, so it succeeds and its entry stays. The entry
fixes what can be seen: the size and root of the company's log at that height. A node shows the data
only to the reader of a granted entry, once its block is certified, for `RELEASE_MS` of chain
time, and only while the consent still holds (DOMAIN.md, Authorisation).

A decision by rule reads data too: `note_decision` logs it.

ACCESSES holds the entry under the id of its transaction. COMPANY_ACCESSES has three shelves a
company: the ids of all looks in the order of the chain, the times of the last looks under each
consent (as many as a consent may allow a month), and who saw a category last, and when, so that a
correction finds its earlier readers at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from ledger.credit.consent import (
    CAPS,
    STORE,
    Consent,
    ConsentState,
    compute_state,
    find_basis,
    get_consent,
)
from ledger.credit.ids import read_id
from ledger.encoding import Value
from ledger.errors import Code, LocalError, Rejected
from ledger.membership.catalogue import Access
from ledger.membership.context import (
    MS_A_DAY,
    Context,
    Handler,
    Query,
    QueryContext,
    Role,
    check_company_known,
)
from ledger.state.overlay import Overlay
from ledger.state.tables import ACCESSES, CATEGORIES, COMPANY_ACCESSES
from ledger.transactions.fields import FIRST_DAY, LAST_DAY, Fields

ACCESS_ID_BYTES = 32
MAX_CATEGORIES = 64
MAX_PAGE = 200
RELEASE_MS = 15 * 60 * 1000
GRANTED, REFUSED, DECISION = "GRANTED", "REFUSED", "DECISION"
LOOKS_KEPT = 31
_HEIGHT_BYTES, _POSITION_BYTES = 8, 4
_IN_ORDER, _BY_CONSENT, _BY_READER = b"A", b"C", b"R"
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One look; `code` is 0 or that of the refusal, days bound what may be seen.

    `log_size` and `log_root` are the company's log as it was: all that could be seen is in it.
    """

    reader: str
    company: str
    categories: tuple[str, ...]
    purpose: str
    from_day: int
    to_day: int
    consents: tuple[str, ...]
    outcome: str
    code: int
    height: int
    time_ms: int
    log_size: int
    log_root: bytes

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))


def get_access(state: Overlay, access_id: bytes) -> AccessEntry | None:
    """Return the entry of an id, or None."""
    value = state.get(ACCESSES, access_id)
    return None if value is None else AccessEntry(*value)


def get_company_accesses(
    state: Overlay, company: str, from_height: int = 0
) -> Iterator[tuple[bytes, AccessEntry]]:
    """Yield (id, entry) of every look at a company from a height on, in the chain's order."""
    start = from_height.to_bytes(_HEIGHT_BYTES, "big")
    for _, access_id in state.scan(COMPANY_ACCESSES, company.encode() + _IN_ORDER, start=start):
        entry = get_access(state, access_id)
        if entry is not None:
            yield access_id, entry


def get_readers(state: Overlay, company: str, category: str) -> Iterator[tuple[str, int]]:
    """Yield (reader, height of its last look) of all who saw `category` of a company."""
    prefix = company.encode() + _BY_READER + category.encode() + b"\x00"
    for key, height in state.scan(COMPANY_ACCESSES, prefix):
        yield key[len(prefix) :].decode(), height


def _keep(context: Context, entry: AccessEntry) -> None:
    """Keep an entry, and on the shelves what a granted one leaves."""
    state, access_id = context.state, context.transaction.id
    company = entry.company.encode()
    place = context.height.to_bytes(_HEIGHT_BYTES, "big")
    place += context.position.to_bytes(_POSITION_BYTES, "big")
    state.put(ACCESSES, access_id, entry.to_value())
    state.put(COMPANY_ACCESSES, company + _IN_ORDER + place, access_id)
    if entry.outcome == REFUSED:
        return
    for category in entry.categories:
        key = company + _BY_READER + category.encode() + b"\x00" + entry.reader.encode()
        state.put(COMPANY_ACCESSES, key, context.height)
    # What a company applies for it may have decided as often as it likes; a lender's own is a look.
    if context.sender.id == entry.reader:
        for consent_id in entry.consents:
            key = company + _BY_CONSENT + bytes.fromhex(consent_id)
            times = (*(state.get(COMPANY_ACCESSES, key) or ()), entry.time_ms)
            state.put(COMPANY_ACCESSES, key, times[-LOOKS_KEPT:])


def _month(time_ms: int) -> tuple[int, int]:
    found = date.fromordinal(_EPOCH_ORDINAL + time_ms // MS_A_DAY)
    return found.year, found.month


def find_look_basis(
    state: Overlay,
    company: str,
    reader: str,
    categories: Iterable[str],
    purpose: str,
    time_ms: int,
) -> tuple[str, ...]:
    """Return the consents that a look rests on, those that allow one more before the others.

    Raises `Rejected` CONSENT_MISSING; whether the look is allowed is for `check_looks` to say.
    """

    def is_spent(consent_id: str, consent: Consent) -> bool:
        try:
            _check_look(state, consent_id, consent, time_ms)
        except Rejected:
            return True
        return False

    return find_basis(state, company, reader, categories, purpose, time_ms, is_spent)


def check_looks(state: Overlay, consents: Iterable[str], time_ms: int) -> tuple[Consent, ...]:
    """Return the consents; raise `Rejected` CONSENT_USED when one allows no further look."""
    found = []
    for consent_id in consents:
        consent = get_consent(state, bytes.fromhex(consent_id))
        if consent is not None:
            _check_look(state, consent_id, consent, time_ms)
            found.append(consent)
    return tuple(found)


def _check_look(state: Overlay, consent_id: str, consent: Consent, time_ms: int) -> None:
    key = consent.company.encode() + _BY_CONSENT + bytes.fromhex(consent_id)
    times = state.get(COMPANY_ACCESSES, key) or ()
    if consent.fetch == "once" and times:
        raise Rejected(Code.CONSENT_USED, f"consent {consent_id} is for one look, and it was taken")
    in_month = sum(_month(time) == _month(time_ms) for time in times)
    if in_month >= consent.looks_a_month:
        raise Rejected(
            Code.CONSENT_USED,
            f"consent {consent_id} allows {consent.looks_a_month} looks a month, {in_month} taken",
        )


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a reader asks to see."""

    company: str
    categories: tuple[str, ...]
    purpose: str
    from_day: int
    to_day: int


def _find_consents(context: Context, wish: _Wish) -> tuple[tuple[str, ...], int, int]:
    """Return (consents, first day, last day) that the look rests on; raise `Rejected`."""
    state, time_ms = context.state, context.time_ms
    reader = context.sender.id
    found = find_look_basis(state, wish.company, reader, wish.categories, wish.purpose, time_ms)
    first, last = wish.from_day, wish.to_day
    for consent in check_looks(state, found, time_ms):
        first, last = max(first, consent.from_day), min(last, consent.to_day)
    return found, first, last


def _read_wish(body: Fields) -> _Wish:
    first, last = body.optional_day("from_day"), body.optional_day("to_day")
    return _Wish(
        body.company("company"),
        tuple(sorted(body.texts("categories", maximum=MAX_CATEGORIES))),
        body.choice("purpose", CAPS),
        FIRST_DAY if first is None else first,
        LAST_DAY if last is None else last,
    )


def process_open(context: Context) -> Value:
    """Log a look at data of a company that needs its authorisation; by the member that looks."""
    body = Fields(context.body)
    wish = _read_wish(body)
    body.done()
    if context.sender.is_company or context.sender.member is None:
        raise Rejected(Code.NOT_PERMITTED, "only a member looks under an authorisation")
    check_company_known(context.state, (wish.company,))
    for category in wish.categories:
        value = context.state.get(CATEGORIES, category.encode())
        if value is None or value["access"] != Access.AUTHORISED:
            raise Rejected(
                Code.CATEGORY_UNKNOWN, f"{category} is no category that needs an authorisation"
            )
    consents: tuple[str, ...] = ()
    first, last, code, text = wish.from_day, wish.to_day, Code.OK, ""
    try:
        consents, first, last = _find_consents(context, wish)
    except Rejected as refusal:
        code, text = refusal.code, refusal.message
    entry = _entry(context, wish, consents, (first, last), REFUSED if code else GRANTED, code)
    _keep(context, entry)
    return {
        "access": context.transaction.id.hex(),
        "outcome": entry.outcome,
        "code": entry.code,
        "text": text,
        "consents": consents,
        "terms": tuple(_describe_terms(context, consent) for consent in consents),
        "log_size": entry.log_size,
    }


def _describe_terms(context: Context, consent_id: str) -> dict[str, Value]:
    """Return what the reader owes the company for what it now sees; no ledger can see to it."""
    consent = get_consent(context.state, bytes.fromhex(consent_id))
    if consent is None:
        raise LocalError(Code.INTERNAL, "a look on a consent that is not there")
    is_stored = consent.mode == STORE
    return {
        "consent": consent_id,
        "mode": consent.mode,
        "keep_until_day": context.day + consent.data_life_days if is_stored else None,
        "persons": consent.persons,
        "is_onward_allowed": consent.is_onward_allowed,
        "is_cross_border": consent.is_cross_border,
    }


def _entry(
    context: Context,
    wish: _Wish,
    consents: tuple[str, ...],
    days: tuple[int, int],
    outcome: str,
    code: int,
) -> AccessEntry:
    log = context.state.company_log(wish.company)
    return AccessEntry(
        context.sender.id,
        wish.company,
        wish.categories,
        wish.purpose,
        *days,
        consents,
        outcome,
        int(code),
        context.height,
        context.time_ms,
        log.size,
        log.root(),
    )


def note_decision(
    context: Context,
    reader: str,
    company: str,
    categories: tuple[str, ...],
    consents: tuple[str, ...],
) -> None:
    """Log that a decision of `reader` by rule has read authorised data of a company."""
    if not categories:
        return
    log = context.state.company_log(company)
    days = (FIRST_DAY, context.day)
    _keep(
        context,
        AccessEntry(
            reader,
            company,
            categories,
            "lending",
            *days,
            consents,
            DECISION,
            0,
            context.height,
            context.time_ms,
            log.size,
            log.root(),
        ),
    )


def check_released(
    context: QueryContext, access_id: bytes | None, company: str, category: str
) -> AccessEntry:
    """Return the entry by which the caller may see `category` now; raise `Rejected` (2215, 2216).

    The entry is certified, the caller's, granted, for this company and category, not older than
    `RELEASE_MS`, and its consents still hold.
    """
    if access_id is None:
        raise Rejected(
            Code.ACCESS_NOT_LOGGED, f"looking at {category} of {company} has to be logged first"
        )
    entry = get_access(context.state, access_id)
    if entry is None or context.chain.certificate(entry.height) is None:
        raise Rejected(Code.ACCESS_NOT_LOGGED, f"access {access_id.hex()} is not certified here")
    reason = _why_unfit(context, entry, company, category)
    if reason is not None:
        raise Rejected(Code.ACCESS_UNFIT, f"access {access_id.hex()} {reason}")
    return entry


def _why_unfit(
    context: QueryContext, entry: AccessEntry, company: str, category: str
) -> str | None:
    if entry.reader != context.caller.id or entry.outcome != GRANTED:
        return "was not granted to this caller"
    if entry.company != company or category not in entry.categories:
        return f"is not for {category} of {company}"
    if context.time_ms > entry.time_ms + RELEASE_MS:
        return f"is older than {RELEASE_MS // 60_000} minutes"
    for consent_id in entry.consents:
        consent = get_consent(context.state, bytes.fromhex(consent_id))
        if consent is None or compute_state(consent, context.time_ms) is not ConsentState.ACTIVE:
            return f"rests on consent {consent_id}, which does not hold any more"
    return None


def query_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`access.list` {company, from_height?, limit?}: who looked, in the chain's order.

    All of it for the company and for regulators; its own for a reader. `next_height` of a page with
    more to come is where to go on.
    """
    fields_ = Fields(params)
    company = fields_.company("company")
    from_height = fields_.optional_integer("from_height") or 0
    limit = fields_.optional_integer("limit", minimum=1, maximum=MAX_PAGE) or MAX_PAGE
    fields_.done()
    caller = context.caller
    sees_all = caller.id == company or caller.role is Role.REGULATOR
    items: list[Value] = []
    last_height, next_height = 0, None
    for access_id, entry in get_company_accesses(context.state, company, from_height):
        if len(items) >= limit and entry.height != last_height:
            next_height = entry.height
            break
        if sees_all or entry.reader == caller.id:
            items.append(describe_access(access_id, entry))
            last_height = entry.height
    return {"company": company, "accesses": items, "next_height": next_height}


def describe_access(access_id: bytes, entry: AccessEntry) -> dict[str, Value]:
    """Return an entry as queries show it."""
    shown: dict[str, Value] = {f.name: getattr(entry, f.name) for f in fields(entry)}
    shown["access"] = access_id.hex()
    return shown


def read_access_id(body: Fields) -> bytes | None:
    """Return the id in field `access`, or None when it is absent."""
    if not body.has("access"):
        return None
    return read_id(body, "access", ACCESS_ID_BYTES, Code.ACCESS_NOT_LOGGED)


HANDLERS: Mapping[str, Handler] = {"access.open": process_open}
QUERIES: Mapping[str, Query] = {"access.list": query_list}
