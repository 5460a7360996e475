"""Early warnings: raised while a block is executed, the same on every node (DOMAIN.md, Alerts).

A company of which a transaction said something is put in a queue (`ledger.lending.alert_queue`).
When its turn comes, in the same block when that is light, `process_company_alerts` looks at each
alert whose records or loans were touched: it is evaluated as of that block's day, and its state
machine moves on (`Alert.advance`). A rule that only time can make true (nothing sold for 90 days)
is looked at when a regulator asks for a review.

An alert that is raised gets an entry in ALERTS under its id, the first 16 bytes of the hash of
rule, company and height, and a place in ALERT_ORDER: a number that grows with the height and within
the block, from which a follower reads on where it stopped. COMPANY_ALERTS keeps, per company, each
rule's state with its latest alert, and its alerts by their places. An alert is
OPEN until a regulator acknowledges it; when its rule clears, what is still OPEN or ACKNOWLEDGED is
RESOLVED. The states move only as `STATES` draws them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from typing import Any

from ledger.credit.ids import read_id
from ledger.credit.windows_state import CompanyWindows
from ledger.encoding import Value, encode
from ledger.errors import Code, Rejected
from ledger.lending.alert_queue import get_waiting_count
from ledger.lending.exposure import get_company_exposure
from ledger.lending.facts import Subject, compute_ledger_facts
from ledger.lending.loans import LOANS_TOUCHED
from ledger.membership.context import (
    BodyReader,
    Context,
    Handler,
    Query,
    QueryContext,
    Role,
    RuleBook,
    check_company_known,
    check_role,
)
from ledger.rules.alert import Alert, AlertEvent, AlertOutcome, AlertState
from ledger.rules.features import FeatureSource
from ledger.rules.units import FactValue
from ledger.state.overlay import Overlay
from ledger.state.tables import ALERT_ORDER, ALERTS, COMPANY_ALERTS
from ledger.transactions.fields import Fields

ALERT_ID_BYTES = 16
MAX_REVIEWED = 200
MAX_LISTED = 500
MAX_NOTE = 1_000
MAX_SCANNED = 5_000  # entries that one query looks at; the cursor goes on from there
PLACE_BITS = 20  # a place is the height shifted by so many bits, plus the number in its block
PLACE_BYTES = 8
WATCH_LIST_RULES = 2  # a company is watched when two rules confirm each other
_STATE, _RAISED = b"S", b"A"


class State(StrEnum):
    """Where an alert stands; the values are stored and never change."""

    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    ESCALATED = "ESCALATED"
    FALSE_POSITIVE = "FALSE_POSITIVE"
    RESOLVED = "RESOLVED"


class Step(StrEnum):
    """What is done with an alert: by a regulator, or by the rule itself when it clears."""

    ACKNOWLEDGE = "acknowledge"
    ESCALATE = "escalate"
    DISMISS = "dismiss"
    RESOLVE = "resolve"
    CLEAR = "clear"


STATES: Mapping[tuple[State, Step], State] = {
    (State.OPEN, Step.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.OPEN, Step.ESCALATE): State.ESCALATED,
    (State.OPEN, Step.DISMISS): State.FALSE_POSITIVE,
    (State.OPEN, Step.RESOLVE): State.RESOLVED,
    (State.OPEN, Step.CLEAR): State.RESOLVED,
    (State.ACKNOWLEDGED, Step.ESCALATE): State.ESCALATED,
    (State.ACKNOWLEDGED, Step.DISMISS): State.FALSE_POSITIVE,
    (State.ACKNOWLEDGED, Step.RESOLVE): State.RESOLVED,
    (State.ACKNOWLEDGED, Step.CLEAR): State.RESOLVED,
    (State.ESCALATED, Step.DISMISS): State.FALSE_POSITIVE,
    (State.ESCALATED, Step.RESOLVE): State.RESOLVED,
}
_BY_HAND = frozenset(Step) - {Step.CLEAR}


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """One alert as stored; heights of blocks, days since 1970-01-01."""

    rule: str
    rule_hash: bytes
    company: str
    severity: str
    reason: str
    text: str
    when: str
    inputs: tuple[tuple[str, FactValue | None], ...]
    day: int
    height: int
    is_repeat: bool
    state: State
    cleared_day: int | None
    handled_by: str
    handled_day: int | None
    note: str

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(str(v) if isinstance(v, State) else v for v in values)

    @classmethod
    def from_value(cls, value: Any) -> RaisedAlert:
        """Return the alert of `to_value`."""
        named = dict(zip((field.name for field in fields(cls)), value, strict=True))
        named["state"] = State(named["state"])
        return cls(**named)


def compute_alert_id(rule: str, company: str, height: int) -> bytes:
    """Return the 16-byte id of what `rule` raises on `company` in block `height`."""
    return sha256(encode((rule, company, height))).digest()[:ALERT_ID_BYTES]


def get_alert(state: Overlay, alert_id: bytes) -> RaisedAlert:
    """Return the alert of an id; raise `Rejected` ALERT_UNKNOWN."""
    value = state.get(ALERTS, alert_id)
    if value is None:
        raise Rejected(Code.ALERT_UNKNOWN, f"alert {alert_id.hex()} is not known")
    return RaisedAlert.from_value(value)


@dataclass(frozen=True, slots=True)
class Watch:
    """Where alerts are evaluated: the state and rules as of one block."""

    state: Overlay
    rules: RuleBook
    bodies: BodyReader
    height: int
    day: int


def process_company_alerts(
    watch: Watch, company: str, touched: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """Evaluate what `touched` ("C044/line", "loans") may have changed of one company.

    Called inside an open overlay transaction, once for each company that is due. Returns (rule,
    what happened) of each alert that was raised, repeated or cleared, by rule.
    """
    happened: list[tuple[str, str]] = []
    windows = CompanyWindows(watch.state, company)  # shared: most alerts read the same streams
    for alert in watch.rules.alerts(watch.day):
        is_touched = not alert.categories.isdisjoint(touched)
        if is_touched or (LOANS_TOUCHED in touched and _reads_loans(alert)):
            event = _process_alert(watch, company, alert, windows)
            if event is not None:
                happened.append((alert.ref, str(event)))
    return tuple(happened)


def _reads_loans(alert: Alert) -> bool:
    return any(alert.features[name].source is FeatureSource.LEDGER for name in alert.inputs)


def _process_alert(
    watch: Watch, company: str, alert: Alert, windows: CompanyWindows
) -> AlertEvent | None:
    """Evaluate one alert of one company, and keep what happened."""
    subject = Subject(watch.state, watch.bodies, company, None, watch.day)
    features = (alert.features[name] for name in sorted(alert.inputs))
    facts = compute_ledger_facts(subject, features)
    outcome = alert.evaluate(watch.day, windows, facts)
    key = company.encode() + _STATE + alert.ref.encode()
    kept = watch.state.get(COMPANY_ALERTS, key) or _take_over(watch, company, alert, key)
    before = AlertState.from_value(kept[0]) if kept is not None else AlertState()
    latest: bytes | None = kept[1] if kept is not None else None
    advanced, event = alert.advance(before, outcome, watch.day)
    after = _without_idle_counts(alert, advanced)
    if event in (AlertEvent.RAISED, AlertEvent.REPEATED):
        latest = _raise_alert(watch, company, alert, outcome, event)
    elif event is AlertEvent.CLEARED and latest is not None:
        _clear_alert(watch, latest)
    if after != before or event is not None:
        watch.state.put(COMPANY_ALERTS, key, (after.to_value(), latest))
    return event


def _take_over(watch: Watch, company: str, alert: Alert, key: bytes) -> Any:
    """Move what an earlier version of a rule left of a company to `key`; None where it left none.

    A new version goes on where the old one stood: what that raised, this one may clear.
    """
    if alert.version == 1:
        return None
    earlier = [item for item in watch.rules.alerts() if item.id == alert.id]
    for item in sorted(earlier, key=lambda item: item.version, reverse=True):
        old_key = company.encode() + _STATE + item.ref.encode()
        kept = watch.state.get(COMPANY_ALERTS, old_key)
        if item.version < alert.version and kept is not None:
            state = replace(AlertState.from_value(kept[0]), held_count=0, clear_count=0)
            watch.state.delete(COMPANY_ALERTS, old_key)
            watch.state.put(COMPANY_ALERTS, key, (state.to_value(), kept[1]))
            return watch.state.get(COMPANY_ALERTS, key)
    return None


def _without_idle_counts(alert: Alert, state: AlertState) -> AlertState:
    """Return the state with its counts no higher than they matter, so that it rests when it can."""
    if state.is_raised:
        return replace(state, held_count=0, clear_count=min(state.clear_count, alert.clear_after))
    return replace(state, held_count=min(state.held_count, alert.raise_after), clear_count=0)


def _raise_alert(
    watch: Watch, company: str, alert: Alert, outcome: AlertOutcome, event: AlertEvent
) -> bytes:
    alert_id = compute_alert_id(alert.ref, company, watch.height)
    raised = RaisedAlert(
        rule=alert.ref,
        rule_hash=alert.source_hash,
        company=company,
        severity=str(alert.severity),
        reason=alert.reason,
        text=alert.text,
        when=alert.when.source,
        inputs=outcome.inputs,
        day=watch.day,
        height=watch.height,
        is_repeat=event is AlertEvent.REPEATED,
        state=State.OPEN,
        cleared_day=None,
        handled_by="",
        handled_day=None,
        note="",
    )
    watch.state.put(ALERTS, alert_id, raised.to_value())
    place = _next_place(watch.state, watch.height)
    watch.state.put(ALERT_ORDER, place, alert_id)
    watch.state.put(COMPANY_ALERTS, company.encode() + _RAISED + place, alert_id)
    return alert_id


def _place(number: int) -> bytes:
    return number.to_bytes(PLACE_BYTES, "big")


def _next_place(state: Overlay, height: int) -> bytes:
    """Return the first free place of a block in ALERT_ORDER."""
    first, end = height << PLACE_BITS, (height + 1) << PLACE_BITS
    taken = state.scan(ALERT_ORDER, b"", start=_place(first), stop=_place(end), reverse=True)
    last = next((int.from_bytes(key, "big") for key, _ in taken), None)
    return _place(first if last is None else last + 1)


def _clear_alert(watch: Watch, alert_id: bytes) -> None:
    """Note that the rule holds no more; what nobody took up by then is resolved by it."""
    raised = get_alert(watch.state, alert_id)
    state = STATES.get((raised.state, Step.CLEAR), raised.state)
    cleared = replace(raised, state=state, cleared_day=watch.day)
    watch.state.put(ALERTS, alert_id, cleared.to_value())


def process_ack(context: Context) -> Value:
    """Take up an alert: acknowledge, escalate, dismiss as false or resolve; by a regulator."""
    body = Fields(context.body)
    alert_id = read_id(body, "alert", ALERT_ID_BYTES, Code.ALERT_UNKNOWN)
    step = Step(body.choice("outcome", _BY_HAND)) if body.has("outcome") else Step.ACKNOWLEDGE
    note = body.optional_text("note", maximum=MAX_NOTE) or ""
    body.done()
    check_role(context.sender, Role.REGULATOR)
    raised = get_alert(context.state, alert_id)
    after = STATES.get((raised.state, step))
    if after is None:
        raise Rejected(Code.ALERT_STATE, f"cannot {step} an alert that is {raised.state}")
    handled = replace(
        raised, state=after, handled_by=context.sender.id, handled_day=context.day, note=note
    )
    context.state.put(ALERTS, alert_id, handled.to_value())
    return {"alert": alert_id.hex(), "state": str(after)}


def process_review(context: Context) -> Value:
    """Evaluate every alert of the named companies as of today; by a regulator.

    For what only the passing of time makes true. It does not wait in the queue, and a company that
    waits there is evaluated once more when its turn comes.
    """
    body = Fields(context.body)
    companies = body.texts("companies", maximum=MAX_REVIEWED)
    body.done()
    check_role(context.sender, Role.REGULATOR)
    check_company_known(context.state, companies)
    watch = Watch(context.state, context.rules, context.bodies, context.height, context.day)
    touched = {LOANS_TOUCHED}
    for alert in context.rules.alerts(context.day):
        touched |= alert.categories
    happened = {}
    for company in companies:
        events = process_company_alerts(watch, company, touched)
        if events:
            happened[company] = events
    return {"companies": len(companies), "happened": happened}


def _describe(alert_id: bytes, raised: RaisedAlert) -> dict[str, Value]:
    shown: dict[str, Value] = {f.name: getattr(raised, f.name) for f in fields(raised)}
    shown["alert"] = alert_id.hex()
    shown["state"] = str(raised.state)
    return shown


def _may_see(context: QueryContext, raised: RaisedAlert) -> bool:
    """Regulators, the company itself, and a lender to whom it owes money."""
    caller = context.caller
    if caller.role is Role.REGULATOR or caller.id == raised.company:
        return True
    is_bank = caller.role is Role.BANK
    return is_bank and get_company_exposure(context.state, raised.company, caller.id).loans_open > 0


def _find_alerts(state: Overlay, company: str | None, after: int) -> Iterator[tuple[int, bytes]]:
    """Yield (place, id) of the alerts after a place, of one company or of all."""
    table, prefix = ALERT_ORDER, b""
    if company is not None:
        table, prefix = COMPANY_ALERTS, company.encode() + _RAISED
    for key, alert_id in state.scan(table, prefix, start=_place(after + 1)):
        yield int.from_bytes(key[len(prefix) :], "big"), alert_id


def query_list(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """List alerts in the order they were raised, from `from_height` on or after `cursor`.

    `cursor` of the answer resumes where this one stopped; it stays where it was when there is
    nothing new, so that a follower may ask again. `waiting` is the number of companies that were
    touched and not yet looked at: while it is 0, what is listed is everything.
    """
    reader = Fields(body)
    from_height = reader.optional_integer("from_height", maximum=2**42) or 0
    cursor = reader.optional_integer("cursor", maximum=2**62) or 0
    company = reader.optional_company("company")
    limit = reader.optional_integer("limit", minimum=1) or MAX_LISTED
    reader.done()
    cursor = max(cursor, (from_height << PLACE_BITS) - 1)
    items: list[Value] = []
    found = _find_alerts(context.state, company, cursor)
    for place, alert_id in islice(found, MAX_SCANNED):
        cursor = place
        raised = get_alert(context.state, alert_id)
        if _may_see(context, raised):
            items.append(_describe(alert_id, raised))
        if len(items) >= min(limit, MAX_LISTED):
            break
    waiting = get_waiting_count(context.state)
    return {"alerts": items, "cursor": cursor, "waiting": waiting}


def query_show(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Show one alert."""
    reader = Fields(body)
    alert_id = read_id(reader, "alert", ALERT_ID_BYTES, Code.ALERT_UNKNOWN)
    reader.done()
    raised = get_alert(context.state, alert_id)
    if not _may_see(context, raised):
        raise Rejected(Code.NOT_PERMITTED, f"{context.caller.id} may not see this alert")
    return _describe(alert_id, raised)


def query_watch(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """Tell which rules hold of a company now, and whether it is on the watch list."""
    reader = Fields(body)
    company = reader.company("company")
    reader.done()
    caller = context.caller
    is_lender = get_company_exposure(context.state, company, caller.id).loans_open > 0
    if caller.id != company and caller.role is not Role.REGULATOR and not is_lender:
        raise Rejected(Code.NOT_PERMITTED, f"{caller.id} may not see the alerts of {company}")
    prefix = company.encode() + _STATE
    rules: list[Value] = [
        key[len(prefix) :].decode()
        for key, (state, _) in context.state.scan(COMPANY_ALERTS, prefix)
        if AlertState.from_value(state).is_raised
    ]
    return {"company": company, "rules": rules, "is_watched": len(rules) >= WATCH_LIST_RULES}


HANDLERS: Mapping[str, Handler] = {"alert.ack": process_ack, "alert.review": process_review}
QUERIES: Mapping[str, Query] = {
    "alerts.list": query_list,
    "alert.show": query_show,
    "alerts.watch": query_watch,
}
