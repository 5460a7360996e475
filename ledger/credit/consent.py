"""Authorisations: a company lets a recipient see categories of its records, for a purpose.

A consent names company, recipient, categories, purpose, the range of dates of the data, mode, fetch
type, start and expiry. It is granted by the company's own key or by a counter for it; a recipient
may also ask for one, which is then PENDING until the company accepts or rejects it. The states move
only as `STATES` draws them; what the passing of chain time brings (a consent that has not begun is
PENDING, one past its end is EXPIRED) is read off the time that is asked about and never stored.
What a purpose allows at most is the literal table `CAPS` (DOMAIN.md, Authorisation).

`from_day` to `to_day` are the days whose records a look may show. A decision by rule, which shows
no record, may read from `decision_from_day` on, as far back as the company has said, and to the
same `to_day` (ADR 0026). The natural persons of a consent have each signed its terms with a key of
their own (`ledger.credit.persons`), and each of them can end it.

The entry is in CONSENTS under its id, the first 16 bytes of the transaction that made it. The index
COMPANY_CONSENTS has two shelves a company: the live ones by recipient, which are few (`MAX_LIVE`)
so that looking for a basis stays cheap, and the dead ones, which are kept for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from ledger.credit.ids import read_id
from ledger.credit.keeping import process_withdrawn
from ledger.credit.persons import MAX_PERSONS, check_agreements, check_person, read_agreements
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import (
    Context,
    Handler,
    Role,
    check_acts_for,
    check_company_known,
    check_role,
)
from ledger.membership.members import ABROAD, get_member
from ledger.state.overlay import Overlay
from ledger.state.tables import CATEGORIES, COMPANY_CONSENTS, CONSENTS
from ledger.transactions.fields import Fields

CONSENT_ID_BYTES = 16
MAX_CATEGORIES = 256
MAX_LIVE = 64  # live consents of one company for one recipient
_LIVE, _DEAD = b"L", b"D"
_MS_A_DAY = 86_400_000


class ConsentState(StrEnum):
    """Where a consent stands; the values are stored and never change."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    REVOKED = "REVOKED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"  # read off the time, never stored


class Step(StrEnum):
    """What a company can do with a consent."""

    ACCEPT = "accept"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    REVOKE = "revoke"


STATES: Mapping[tuple[ConsentState, Step], ConsentState] = {
    (ConsentState.PENDING, Step.ACCEPT): ConsentState.ACTIVE,
    (ConsentState.PENDING, Step.REJECT): ConsentState.REJECTED,
    (ConsentState.ACTIVE, Step.PAUSE): ConsentState.PAUSED,
    (ConsentState.ACTIVE, Step.REVOKE): ConsentState.REVOKED,
    (ConsentState.PAUSED, Step.RESUME): ConsentState.ACTIVE,
    (ConsentState.PAUSED, Step.REVOKE): ConsentState.REVOKED,
}
_FINAL = frozenset({ConsentState.REVOKED, ConsentState.REJECTED, ConsentState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Cap:
    """What a purpose allows at most: days of data, days of validity, looks a calendar month."""

    range_days_max: int
    valid_days_max: int
    looks_a_month_max: int
    fetches: frozenset[str]


CAPS: Mapping[str, Cap] = {
    # one application: 14 months of data, as long as an application may take
    "lending": Cap(427, 90, 31, frozenset({"once"})),
    # while a loan runs: 6 months of data, 5 looks a month
    "monitoring": Cap(184, 1_096, 5, frozenset({"once", "periodic"})),
    # one guarantee, looked into as a loan is
    "guarantee": Cap(427, 90, 31, frozenset({"once"})),
}
DECIDING = "lending"  # the purpose under which decisions are made by rule
STORE = "store"
MODES = frozenset({"view", STORE})
_NO_TERMS = ("state", "granted_by", "height")  # the last fields of a consent
FETCHES = frozenset({"once", "periodic"})


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent as stored; days are days since 1970-01-01, times chain time in ms."""

    company: str
    recipient: str
    categories: tuple[str, ...]
    purpose: str
    mode: str
    from_day: int
    to_day: int
    decision_from_day: int
    starts_ms: int
    expires_ms: int
    fetch: str
    looks_a_month: int
    data_life_days: int  # how long a recipient that stores may keep the data; 0 for mode "view"
    persons: tuple[str, ...]  # natural persons who gave their own consent, by id
    is_onward_allowed: bool
    is_cross_border: bool
    state: ConsentState
    granted_by: str
    height: int  # of the block that made it

    def terms(self) -> tuple[Any, ...]:
        """Return what persons sign: everything but its state, and who made it when."""
        return self.to_value()[: -len(_NO_TERMS)]

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(str(v) if isinstance(v, ConsentState) else v for v in values)

    @classmethod
    def from_value(cls, value: Any) -> Consent:
        """Return the consent of `to_value`."""
        named = dict(zip((field.name for field in fields(cls)), value, strict=True))
        named["state"] = ConsentState(named["state"])
        return cls(**named)


def compute_state(consent: Consent, time_ms: int) -> ConsentState:
    """Return the state at `time_ms`: what is stored, or what time made of it."""
    if consent.state in _FINAL:
        return consent.state
    if time_ms >= consent.expires_ms:
        return ConsentState.EXPIRED
    if consent.state is ConsentState.ACTIVE and time_ms < consent.starts_ms:
        return ConsentState.PENDING
    return consent.state


def get_consent(state: Overlay, consent_id: bytes) -> Consent | None:
    """Return the consent of an id, or None."""
    value = state.get(CONSENTS, consent_id)
    return None if value is None else Consent.from_value(value)


def find_basis(
    state: Overlay,
    company: str,
    recipient: str,
    categories: Iterable[str],
    purpose: str,
    time_ms: int,
    is_fit: Callable[[str, Consent, str], bool] | None = None,
) -> tuple[str, ...]:
    """Return the ids of the active consents that together cover `categories`, in order.

    Raises `Rejected` CONSENT_MISSING, naming the categories without a basis. Of two consents for a
    category the one with the smaller id is named, so that every replica names the same; one that
    is not fit, by `is_fit(id, consent, category)`, only where no other covers the category.
    """
    wanted = sorted(set(categories))
    active = [
        (consent_id.hex(), consent)
        for consent_id, consent in get_live(state, company, recipient)
        if consent.purpose == purpose and compute_state(consent, time_ms) is ConsentState.ACTIVE
    ]
    found: set[str] = set()
    missing: list[str] = []
    for category in wanted:
        covering = [item for item in active if category in item[1].categories]
        fit = [item for item in covering if is_fit is None or is_fit(*item, category)]
        if not covering:
            missing.append(category)
        else:
            found.add((fit or covering)[0][0])
    if missing:
        raise Rejected(
            Code.CONSENT_MISSING,
            f"company {company} has not authorised {recipient} to see"
            f" {', '.join(missing)} for {purpose}",
        )
    return tuple(sorted(found))


def has_basis(
    state: Overlay, company: str, recipient: str, category: str, time_ms: int
) -> str | None:
    """Return the id of an active consent of any purpose that covers `category`, or None."""
    for consent_id, consent in get_live(state, company, recipient):
        is_active = compute_state(consent, time_ms) is ConsentState.ACTIVE
        if is_active and category in consent.categories:
            return consent_id.hex()
    return None


def _shelf(company: str, shelf: bytes, recipient: str) -> bytes:
    return company.encode() + shelf + recipient.encode() + b"\x00"


def get_live(state: Overlay, company: str, recipient: str) -> Iterator[tuple[bytes, Consent]]:
    prefix = _shelf(company, _LIVE, recipient)
    for key, _ in list(state.scan(COMPANY_CONSENTS, prefix)):
        consent_id = key[len(prefix) :]
        consent = get_consent(state, consent_id)
        if consent is not None:
            yield consent_id, consent


def _move_to_dead(state: Overlay, consent_id: bytes, consent: Consent) -> None:
    for shelf, value in ((_LIVE, None), (_DEAD, 1)):
        key = _shelf(consent.company, shelf, consent.recipient) + consent_id
        state.put(COMPANY_CONSENTS, key, value)


def _read_persons(body: Fields) -> tuple[str, ...]:
    persons = body.texts("persons", maximum=MAX_PERSONS) if body.has("persons") else ()
    for person in persons:
        check_person("persons", person)
    return tuple(sorted(persons))


def read_terms(
    body: Fields, state: ConsentState = ConsentState.ACTIVE, granted_by: str = "", height: int = 0
) -> Consent:
    """Return the consent that the body describes; caps and references are not checked yet."""
    mode, from_day = body.choice("mode", MODES), body.day("from_day")
    decision_from_day = body.optional_day("decision_from_day")
    return Consent(
        company=body.identifier("company"),
        recipient=body.identifier("recipient"),
        categories=tuple(sorted(body.texts("categories", maximum=MAX_CATEGORIES))),
        purpose=body.choice("purpose", CAPS),
        mode=mode,
        from_day=from_day,
        to_day=body.day("to_day"),
        decision_from_day=from_day if decision_from_day is None else decision_from_day,
        starts_ms=body.time_ms("starts_ms"),
        expires_ms=body.time_ms("expires_ms"),
        fetch=body.choice("fetch", FETCHES),
        looks_a_month=body.optional_integer("looks_a_month", minimum=1, maximum=31) or 1,
        data_life_days=body.optional_integer("data_life_days", maximum=1_096) or 0,
        persons=_read_persons(body),
        is_onward_allowed=body.has("is_onward_allowed") and body.flag("is_onward_allowed"),
        is_cross_border=body.has("is_cross_border") and body.flag("is_cross_border"),
        state=state,
        granted_by=granted_by,
        height=height,
    )


def _check_terms(state: Overlay, consent: Consent, time_ms: int) -> None:
    """Raise `Rejected` for unknown names (2101, 2601) and what breaks a cap (CONSENT_CAP)."""
    member = get_member(state, consent.recipient)
    if member is None or member.is_removed:
        raise Rejected(Code.MEMBER_UNKNOWN, f"recipient {consent.recipient} is not a member")
    if ABROAD in member.capabilities and not consent.is_cross_border:
        raise Rejected(
            Code.CONSENT_BORDER,
            f"{consent.recipient} is abroad: field is_cross_border must say that data may go there",
        )
    for category in consent.categories:
        known = state.get(CATEGORIES, category.encode())
        if known is None:
            raise Rejected(Code.CATEGORY_UNKNOWN, f"category {category} is not known")
        # PIPL: who is named in such records gives a consent of his own.
        if known["has_natural_person"] and known["access"] == "AUT" and not consent.persons:
            raise Rejected(
                Code.CONSENT_CAP,
                f"{category} names natural persons: field persons must name those who agreed",
            )
    cap = CAPS[consent.purpose]
    range_days = consent.to_day - consent.from_day + 1
    valid_ms = consent.expires_ms - consent.starts_ms
    limits = (
        ("days of data", range_days, cap.range_days_max),
        ("days of validity", -(-valid_ms // _MS_A_DAY), cap.valid_days_max),
        ("looks a month", consent.looks_a_month, cap.looks_a_month_max),
    )
    for what, got, want in limits:
        if not 0 < got <= want:
            raise Rejected(
                Code.CONSENT_CAP, f"{got} {what}, want 1 to {want} for {consent.purpose}"
            )
    if consent.fetch not in cap.fetches:
        raise Rejected(
            Code.CONSENT_CAP,
            f"fetch {consent.fetch}, want {' or '.join(sorted(cap.fetches))} for {consent.purpose}",
        )
    is_for_decisions = consent.purpose == DECIDING
    if consent.decision_from_day > consent.from_day or (
        consent.decision_from_day < consent.from_day and not is_for_decisions
    ):
        raise Rejected(
            Code.CONSENT_CAP,
            f"decision_from_day is not from_day or, for {DECIDING}, a day before it",
        )
    if (consent.data_life_days > 0) != (consent.mode == STORE):
        raise Rejected(Code.CONSENT_CAP, "data_life_days is wanted for mode store, and only there")
    if consent.expires_ms <= time_ms:
        raise Rejected(Code.CONSENT_CAP, "expires_ms is in the past")


def _add(context: Context, consent: Consent) -> Value:
    """Keep a new consent; expired ones of the same pair leave the live shelf on the way."""
    _check_terms(context.state, consent, context.time_ms)
    count = 0
    for other_id, other in get_live(context.state, consent.company, consent.recipient):
        if compute_state(other, context.time_ms) is ConsentState.EXPIRED:
            _move_to_dead(context.state, other_id, other)
            continue
        count += 1
        if (other.state, other.terms()) == (consent.state, consent.terms()):
            raise Rejected(Code.CONSENT_EXISTS, f"consent {other_id.hex()} says the same")
    if count >= MAX_LIVE:
        raise Rejected(
            Code.CONSENT_CAP,
            f"{count} live consents for {consent.recipient}, want at most {MAX_LIVE}: revoke some",
        )
    consent_id = context.transaction.id[:CONSENT_ID_BYTES]
    context.state.put(CONSENTS, consent_id, consent.to_value())
    key = _shelf(consent.company, _LIVE, consent.recipient) + consent_id
    context.state.put(COMPANY_CONSENTS, key, 1)
    state = compute_state(consent, context.time_ms)
    return {"consent": consent_id.hex(), "state": str(state)}


def _check_agreed(context: Context, consent: Consent, agreements: Mapping[str, bytes]) -> None:
    check_agreements(
        context.state,
        context.transaction.chain_id,
        consent.persons,
        consent.terms(),
        agreements,
    )


def process_grant(context: Context) -> Value:
    """Grant a consent; by the company or a counter for it."""
    body = Fields(context.body)
    consent = read_terms(body, ConsentState.ACTIVE, context.sender.id, context.height)
    agreements = read_agreements(body)
    body.done()
    check_acts_for(context.sender, consent.company)
    check_company_known(context.state, (consent.company,))
    _check_agreed(context, consent, agreements)
    return _add(context, consent)


def process_request(context: Context) -> Value:
    """Ask a company for a consent; by the recipient, which must be an institution."""
    body = Fields(context.body)
    consent = read_terms(body, ConsentState.PENDING, context.sender.id, context.height)
    body.done()
    check_role(context.sender, Role.BANK)
    if consent.recipient != context.sender.id:
        raise Rejected(Code.NOT_PERMITTED, f"{context.sender.id} may ask only for itself")
    check_company_known(context.state, (consent.company,))
    return _add(context, consent)


def _process_step(context: Context, step: Step) -> Value:
    body = Fields(context.body)
    consent_id = read_id(body, "consent", CONSENT_ID_BYTES, Code.CONSENT_UNKNOWN)
    agreements = read_agreements(body) if step is Step.ACCEPT else {}
    body.done()
    consent = get_consent(context.state, consent_id)
    if consent is None:
        raise Rejected(Code.CONSENT_UNKNOWN, f"consent {consent_id.hex()} is not known")
    check_acts_for(context.sender, consent.company)
    now = compute_state(consent, context.time_ms)
    # One that has not begun is stored as ACTIVE: it may be paused and revoked, not accepted.
    before = consent.state if now is not ConsentState.EXPIRED else now
    after = STATES.get((before, step))
    if after is None:
        raise Rejected(Code.CONSENT_STATE, f"cannot {step} a consent that is {before}")
    if step is Step.ACCEPT:
        _check_agreed(context, consent, agreements)
    changed = _put_state(context, consent_id, consent, after)
    return {"consent": consent_id.hex(), "state": str(compute_state(changed, context.time_ms))}


def _put_state(
    context: Context, consent_id: bytes, consent: Consent, after: ConsentState
) -> Consent:
    changed = replace(consent, state=after)
    context.state.put(CONSENTS, consent_id, changed.to_value())
    if after in _FINAL:
        _move_to_dead(context.state, consent_id, changed)
    if after is ConsentState.REVOKED:
        process_withdrawn(context.state, consent.company, consent_id.hex(), context.day)
    return changed


def process_withdrawn_by_person(context: Context, consent_id: bytes, consent: Consent) -> str:
    """End a consent that a person of it withdraws from, wherever it stands; return its state."""
    if consent.state in _FINAL:
        return str(consent.state)
    return str(_put_state(context, consent_id, consent, ConsentState.REVOKED).state)


def process_accept(context: Context) -> Value:
    """Accept a consent that a recipient asked for."""
    return _process_step(context, Step.ACCEPT)


def process_reject(context: Context) -> Value:
    """Reject a consent that a recipient asked for."""
    return _process_step(context, Step.REJECT)


def process_pause(context: Context) -> Value:
    """Pause a consent: it is no basis until it is resumed."""
    return _process_step(context, Step.PAUSE)


def process_resume(context: Context) -> Value:
    """Resume a paused consent."""
    return _process_step(context, Step.RESUME)


def process_revoke(context: Context) -> Value:
    """Revoke a consent for good."""
    return _process_step(context, Step.REVOKE)


def get_all(state: Overlay, company: str) -> Iterator[tuple[bytes, Consent]]:
    """Yield (id, consent) of every consent of a company, the live ones first."""
    for shelf in (_LIVE, _DEAD):
        for key, _ in state.scan(COMPANY_CONSENTS, company.encode() + shelf):
            consent_id = key[-CONSENT_ID_BYTES:]
            consent = get_consent(state, consent_id)
            if consent is not None:
                yield consent_id, consent


HANDLERS: Mapping[str, Handler] = {
    "consent.grant": process_grant,
    "consent.request": process_request,
    "consent.accept": process_accept,
    "consent.reject": process_reject,
    "consent.pause": process_pause,
    "consent.resume": process_resume,
    "consent.revoke": process_revoke,
}
