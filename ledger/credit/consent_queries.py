"""What may be asked of authorisations, and what each one still lets its recipient do.

The stored state says what the company did with a consent, the time makes it PENDING or EXPIRED, and
what was taken under it makes it USED: no look is left and none will come, and no decision can rest
on it. Beside the state stand the looks taken and left, when the next one is allowed, and whether an
application decided today could rest on it.

`consent.show` also says in words what the ledger enforces of the terms and what it cannot, so that
nobody takes a recorded promise for a lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ledger.credit.consent import (
    CONSENT_ID_BYTES,
    DECIDING,
    STORE,
    Consent,
    ConsentState,
    compute_state,
    get_all,
    get_consent,
)
from ledger.credit.ids import read_id
from ledger.credit.keeping import WITHDRAWAL_DAYS
from ledger.credit.looks import (
    ONCE,
    compute_next_look_ms,
    count_looks_left,
    get_look_times,
    is_abroad,
)
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import MS_A_DAY, Query, QueryContext, Role
from ledger.state.overlay import Overlay
from ledger.transactions.fields import Fields

MAX_LISTED = 500
USED = "USED"


def may_decide(consent: Consent, time_ms: int) -> bool:
    """Tell whether an application decided at `time_ms` could rest on the consent at all."""
    is_active = compute_state(consent, time_ms) is ConsentState.ACTIVE
    is_open = consent.purpose == DECIDING and time_ms // MS_A_DAY <= consent.to_day
    return is_active and is_open


def compute_standing(state: Overlay, consent_id: str, consent: Consent, time_ms: int) -> str:
    """Return the state as it is shown: that of the consent, or USED."""
    now = compute_state(consent, time_ms)
    if now is not ConsentState.ACTIVE or may_decide(consent, time_ms):
        return str(now)
    next_ms = compute_next_look_ms(state, consent_id, consent, time_ms)
    return USED if next_ms is None else str(now)


def describe_consent(
    state: Overlay, consent_id: str, consent: Consent, time_ms: int
) -> dict[str, Value]:
    """Return a consent as queries show it: its terms, and what is left of it."""
    shown: dict[str, Value] = {f.name: getattr(consent, f.name) for f in fields(consent)}
    is_active = compute_state(consent, time_ms) is ConsentState.ACTIVE
    left = count_looks_left(state, consent_id, consent, time_ms) if is_active else 0
    shown["consent"] = consent_id
    shown["state"] = compute_standing(state, consent_id, consent, time_ms)
    shown["looks_taken"] = len(get_look_times(state, consent.company, consent_id))
    shown["looks_left"] = left
    next_ms = compute_next_look_ms(state, consent_id, consent, time_ms) if is_active else None
    shown["next_look_ms"] = next_ms
    shown["may_decide"] = may_decide(consent, time_ms)
    return shown


def _may_see(context: QueryContext, consent: Consent) -> bool:
    caller = context.caller
    concerned = (consent.company, consent.recipient, consent.granted_by)
    return caller.id in concerned or caller.role is Role.REGULATOR


def query_list(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """List a company's consents: all for the company and regulators, else what concerns one."""
    reader = Fields(body)
    company = reader.company("company")
    reader.done()
    items: list[Value] = []
    for consent_id, consent in get_all(context.state, company):
        if len(items) < MAX_LISTED and _may_see(context, consent):
            shown = describe_consent(context.state, consent_id.hex(), consent, context.time_ms)
            items.append(shown)
    return {"company": company, "consents": items}


def query_show(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`consent.show` {consent}: one, and what is enforced of it; `Rejected` (2006, 2210)."""
    reader = Fields(body)
    consent_id = read_id(reader, "consent", CONSENT_ID_BYTES, Code.CONSENT_UNKNOWN)
    reader.done()
    consent = get_consent(context.state, consent_id)
    if consent is None:
        raise Rejected(Code.CONSENT_UNKNOWN, f"consent {consent_id.hex()} is not known")
    if not _may_see(context, consent):
        raise Rejected(Code.NOT_PERMITTED, f"{context.caller.id} may not see this consent")
    shown = describe_consent(context.state, consent_id.hex(), consent, context.time_ms)
    enforced, promised = describe_terms(
        consent, is_recipient_abroad=is_abroad(context.state, consent.recipient)
    )
    return shown | {"enforced": enforced, "promised": promised}


def describe_terms(
    consent: Consent, *, is_recipient_abroad: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return sentences: what the ledger enforces of a consent, and what rests on a promise."""
    looks = "one look" if consent.fetch == ONCE else f"{consent.looks_a_month} looks a month"
    enforced = [
        f"{looks}, each logged and certified before anything is shown",
        "no look outside its categories, purpose, days and time, or while it is paused or revoked",
    ]
    if consent.purpose == DECIDING:
        enforced.append("no application of the company is decided on days that it does not open")
    promised = [
        "what was seen cannot be unseen: revoking ends what comes after it",
        "that who runs a node does not read its disk: every node holds every record",
    ]
    if consent.mode == STORE:
        enforced.append(
            f"deletion is to be told within {consent.data_life_days} days of each look, or"
            f" {WITHDRAWAL_DAYS} days after the consent is revoked; who is late is listed for the"
            " company and regulators and gets no further look"
        )
        promised.append("that the recipient has deleted what it says it has")
    else:
        promised.append("that the recipient keeps nothing")
    if consent.is_onward_allowed:
        enforced.append("whom the recipient lets see it through the ledger is logged as a reader")
    else:
        enforced.append("the ledger passes it on to no other institution")
        promised.append("that the recipient does not pass it on outside the ledger")
    if not consent.is_cross_border:
        enforced.append("no member that is registered as abroad gets a look under it")
        promised.append("that a recipient in the country does not take it abroad")
    elif is_recipient_abroad:
        promised.append("what becomes of it abroad")
    if consent.persons:
        enforced.append(
            f"each of its {len(consent.persons)} persons has signed these terms with a key bound at"
            " a counter, and can end it"
        )
        promised.append("that its persons are all whom the records name")
    return tuple(enforced), tuple(promised)


QUERIES: Mapping[str, Query] = {"consent.list": query_list, "consent.show": query_show}
