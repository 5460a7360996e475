"""The book of alerts: what was raised, in which order, and where each one stands.

Two things raise alerts: rules over a company's records and loans (`ledger.lending.alerts.raising`)
and prudential limits over an institution's loans (`ledger.lending.limits.watch`). Both keep them
here, so that a regulator follows one stream, in one order, with one set of states.

ALERTS holds an alert under its id, the first 16 bytes of the hash of rule, subject and height.
ALERT_ORDER gives it a place: the height shifted by PLACE_BITS plus its number in the block, from
which a follower reads on where it stopped. What concerns a company is also listed under it. An
alert is OPEN until a regulator takes it up; when its rule clears, what is still OPEN or
ACKNOWLEDGED is RESOLVED. While a rule holds it is told again now and then, each time as a new alert
that names the one before it; all of them clear together. The states move only as `STATES` draws
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any

from ledger.encoding import encode
from ledger.errors import Code, Rejected
from ledger.rules.units import FactValue
from ledger.state.overlay import Overlay
from ledger.state.tables import ALERT_ORDER, ALERTS, COMPANY_ALERTS

ALERT_ID_BYTES = 16
MAX_CLEARED = 100  # alerts on one matter that clear together, the latest
PLACE_BITS = 20
PLACE_BYTES = 8
_RAISED = b"A"


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


class Feedback(StrEnum):
    """What a regulator found out about an alert afterwards; "" until then."""

    NONE = ""
    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """One alert as stored; heights of blocks, days since 1970-01-01.

    An alert on a company names it in `company`; one on a prudential limit names the `institution`,
    and in `company` whose loans it is about, if it is about one company's.
    """

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
    state: State = State.OPEN
    cleared_day: int | None = None
    handled_by: str = ""
    handled_day: int | None = None
    note: str = ""
    institution: str = ""
    recipient: str = ""  # whose matter it is; "" stands for every regulator
    escalated_to: str = ""
    due_day: int | None = None  # by when whom it was escalated to has to end it
    feedback: Feedback = Feedback.NONE
    repeats: str = ""  # the id of the alert on the same matter before this one, when it is a repeat

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(str(v) if isinstance(v, StrEnum) else v for v in values)

    @classmethod
    def from_value(cls, value: Any) -> RaisedAlert:
        """Return the alert of `to_value`."""
        named = dict(zip((field.name for field in fields(cls)), value, strict=True))
        named["state"] = State(named["state"])
        named["feedback"] = Feedback(named["feedback"])
        return cls(**named)


def compute_alert_id(rule: str, subject: str, height: int) -> bytes:
    """Return the 16-byte id of what `rule` raises on `subject` in block `height`."""
    return sha256(encode((rule, subject, height))).digest()[:ALERT_ID_BYTES]


def get_alert(state: Overlay, alert_id: bytes) -> RaisedAlert:
    """Return the alert of an id; raise `Rejected` ALERT_UNKNOWN."""
    value = state.get(ALERTS, alert_id)
    if value is None:
        raise Rejected(Code.ALERT_UNKNOWN, f"alert {alert_id.hex()} is not known")
    return RaisedAlert.from_value(value)


def put_alert(state: Overlay, alert_id: bytes, raised: RaisedAlert) -> None:
    """Keep an alert that changed."""
    state.put(ALERTS, alert_id, raised.to_value())


def process_raised(state: Overlay, alert_id: bytes, raised: RaisedAlert) -> None:
    """Keep a new alert and give it its place; a company's own alerts are listed under it too.

    What is raised, clears and is raised again within one block is one alert.
    """
    is_known = state.get(ALERTS, alert_id) is not None
    put_alert(state, alert_id, raised)
    if is_known:
        return
    place = _next_place(state, raised.height)
    state.put(ALERT_ORDER, place, alert_id)
    if not raised.institution:
        state.put(COMPANY_ALERTS, raised.company.encode() + _RAISED + place, alert_id)


def process_cleared(state: Overlay, alert_id: bytes, day: int) -> None:
    """Note that the rule holds no more; what is not escalated or ended by then is resolved by it.

    So are the alerts that this one repeats, of MAX_CLEARED in all.
    """
    for _ in range(MAX_CLEARED):
        raised = get_alert(state, alert_id)
        after = STATES.get((raised.state, Step.CLEAR), raised.state)
        put_alert(state, alert_id, replace(raised, state=after, cleared_day=day))
        if not raised.repeats:
            return
        alert_id = bytes.fromhex(raised.repeats)


def compute_place(height: int, number: int) -> int:
    """Return the place of alert `number` (from 0) of block `height`."""
    return (height << PLACE_BITS) + number


def find_alerts(state: Overlay, company: str | None, after: int) -> Iterator[tuple[int, bytes]]:
    """Yield (place, id) of the alerts after a place, of one company or of all."""
    table, prefix = ALERT_ORDER, b""
    if company is not None:
        table, prefix = COMPANY_ALERTS, company.encode() + _RAISED
    for key, alert_id in state.scan(table, prefix, start=_place(after + 1)):
        yield int.from_bytes(key[len(prefix) :], "big"), alert_id


def _place(number: int) -> bytes:
    return number.to_bytes(PLACE_BYTES, "big")


def _next_place(state: Overlay, height: int) -> bytes:
    """Return the first free place of a block in ALERT_ORDER."""
    first, end = compute_place(height, 0), compute_place(height + 1, 0)
    taken = state.scan(ALERT_ORDER, b"", start=_place(first), stop=_place(end), reverse=True)
    last = next((int.from_bytes(key, "big") for key, _ in taken), None)
    return _place(first if last is None else last + 1)
