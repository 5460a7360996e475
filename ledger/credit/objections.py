"""Objections: a company says that a record about it is wrong, and clocks begin to run.

An objection marks its record as disputed for every later reader at once. The department that
supplied the record decides within `OBJECTION_DAYS`: corrected (a correction stands on the chain by
then), rejected, or annotated (the company's word stands beside the record). The company may
complain to the regulator, about the outcome or when the time is over, and the regulator rules
within `COMPLAINT_DAYS`: upheld opens the objection again, dismissed ends it. What was decided is
told to every member that saw the record's category (Credit Reporting Regulation 25, 26).

OBJECTIONS holds an objection under the id of its transaction; COMPANY_OBJECTIONS lists them for the
company in the order of the chain, and has the mark of each disputed or annotated record by digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from ledger.credit.access_log import get_readers
from ledger.credit.ids import read_id
from ledger.credit.notices import REGULATORS, NoticeKind, notify
from ledger.credit.records import PlacedRecord, RecordStatus, find_by_digest
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import (
    Context,
    Handler,
    Query,
    QueryContext,
    Role,
    check_acts_for,
    check_role,
)
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_OBJECTIONS, OBJECTIONS
from ledger.transactions.fields import Fields

OBJECTION_DAYS = 20
COMPLAINT_DAYS = 30
OBJECTION_ID_BYTES = 32
MAX_LISTED = 500
_IN_ORDER, _MARKS = b"A", b"M"


class ObjectionState(StrEnum):
    """Where an objection stands; the values are stored and never change."""

    OPEN = "OPEN"
    CORRECTED = "CORRECTED"
    REJECTED = "REJECTED"
    ANNOTATED = "ANNOTATED"
    WITHDRAWN = "WITHDRAWN"
    COMPLAINED = "COMPLAINED"
    DISMISSED = "DISMISSED"


class Step(StrEnum):
    """What can be done with an objection."""

    CORRECT = "corrected"
    REJECT = "rejected"
    ANNOTATE = "annotated"
    WITHDRAW = "withdraw"
    COMPLAIN = "complain"
    UPHOLD = "upheld"
    DISMISS = "dismissed"


_S = ObjectionState
STATES: Mapping[tuple[ObjectionState, Step], ObjectionState] = {
    (_S.OPEN, Step.CORRECT): _S.CORRECTED,
    (_S.OPEN, Step.REJECT): _S.REJECTED,
    (_S.OPEN, Step.ANNOTATE): _S.ANNOTATED,
    (_S.OPEN, Step.WITHDRAW): _S.WITHDRAWN,
    (_S.OPEN, Step.COMPLAIN): _S.COMPLAINED,  # only when the time to decide is over
    (_S.REJECTED, Step.COMPLAIN): _S.COMPLAINED,
    (_S.ANNOTATED, Step.COMPLAIN): _S.COMPLAINED,
    (_S.COMPLAINED, Step.CORRECT): _S.CORRECTED,
    (_S.COMPLAINED, Step.WITHDRAW): _S.WITHDRAWN,
    (_S.COMPLAINED, Step.UPHOLD): _S.OPEN,
    (_S.COMPLAINED, Step.DISMISS): _S.DISMISSED,
}
_DISPUTED = frozenset({_S.OPEN, _S.COMPLAINED})
_DECISIONS = (Step.CORRECT, Step.REJECT, Step.ANNOTATE)
_RULINGS = (Step.UPHOLD, Step.DISMISS)


@dataclass(frozen=True, slots=True)
class Objection:
    """One objection; the record is named by schema, day and digest."""

    company: str
    category: str
    schema: str
    day: int
    digest: bytes
    owner: str
    text: str
    opened_day: int
    due_day: int
    state: ObjectionState
    answer: str = ""
    decided_by: str = ""
    decided_day: int | None = None
    complaint: str = ""
    is_annotated: bool = False  # the supplier's last decision left the company's word standing

    @property
    def full_name(self) -> str:
        """The record schema: "C044", "C044/line"."""
        return f"{self.category}/{self.schema}" if self.schema else self.category

    @property
    def has_annotation(self) -> bool:
        """Whether the company's word stands beside the record: no later end took it away."""
        is_ended = self.state in (_S.CORRECTED, _S.REJECTED, _S.WITHDRAWN)
        return self.is_annotated and not is_ended

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(str(v) if isinstance(v, ObjectionState) else v for v in values)

    @classmethod
    def from_value(cls, value: Any) -> Objection:
        """Return the objection of `to_value`."""
        named = dict(zip((field.name for field in fields(cls)), value, strict=True))
        named["state"] = ObjectionState(named["state"])
        return cls(**named)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a reader is told of a record besides itself."""

    objection: str
    state: str
    text: str


def get_marks(state: Overlay, company: str) -> dict[bytes, Mark]:
    """Return the marks of a company's disputed and annotated records, by digest."""
    prefix = company.encode() + _MARKS
    marks: dict[bytes, Mark] = {}
    for key, objection_id in state.scan(COMPANY_OBJECTIONS, prefix):
        objection = _get(state, objection_id)
        text = objection.text if objection.has_annotation else ""
        is_standing = objection.state is _S.DISMISSED
        state_shown = _S.ANNOTATED if is_standing else objection.state
        marks[key[len(prefix) :]] = Mark(objection_id.hex(), str(state_shown), text)
    return marks


def _get(state: Overlay, objection_id: bytes) -> Objection:
    value = state.get(OBJECTIONS, objection_id)
    if value is None:
        raise Rejected(Code.OBJECTION_UNKNOWN, f"objection {objection_id.hex()} is not known")
    return Objection.from_value(value)


def _put(state: Overlay, objection_id: bytes, objection: Objection) -> None:
    """Keep an objection, and set or take away the mark of its record.

    An annotation of an earlier objection to the record comes to light again when this one ends.
    """
    state.put(OBJECTIONS, objection_id, objection.to_value())
    is_marked = objection.state in _DISPUTED or objection.has_annotation
    mark = objection_id if is_marked else None
    if mark is None and objection.state is not _S.CORRECTED:
        mark = _find_annotation(state, objection)
    key = objection.company.encode() + _MARKS + objection.digest
    state.put(COMPANY_OBJECTIONS, key, mark)


def _find_annotation(state: Overlay, objection: Objection) -> bytes | None:
    """Return the last objection that left the company's word beside the record, if any."""
    found = None
    for objection_id, other in get_objections(state, objection.company):
        if other.digest == objection.digest and other.has_annotation:
            found = objection_id
    return found


def _read_text(body: Fields) -> str:
    return body.text("text") if body.has("text") else ""


def _find_record(state: Overlay, objection: Objection) -> PlacedRecord:
    placed = find_by_digest(
        state, objection.company, objection.full_name, objection.day, objection.digest
    )
    if placed is None:
        raise Rejected(Code.OBJECTION_UNKNOWN, "there is no such record to object to")
    return placed


def process_open(context: Context) -> Value:
    """Object to a record; by the company or a counter for it."""
    body = Fields(context.body)
    category = context.rules.category(body.identifier("category"))
    objection = Objection(
        body.company("company"),
        category.id,
        body.optional_identifier("schema") or "",
        body.day("day"),
        body.bytes32("digest"),
        category.owner,
        body.text("text"),
        context.day,
        context.day + OBJECTION_DAYS,
        ObjectionState.OPEN,
    )
    body.done()
    check_acts_for(context.sender, objection.company)
    if category.is_self_declared:
        raise Rejected(
            Code.RECORD_SELF_DECLARED, "the company declared the record itself: it corrects it"
        )
    if _find_record(context.state, objection).entry.status is RecordStatus.SUPERSEDED:
        raise Rejected(Code.OBJECTION_STATE, "the record was corrected already")
    marked = get_marks(context.state, objection.company).get(objection.digest)
    if marked is not None and marked.state in _DISPUTED:
        raise Rejected(Code.OBJECTION_EXISTS, f"objection {marked.objection} is {marked.state}")
    objection_id = context.transaction.id
    _put(context.state, objection_id, objection)
    place = context.height.to_bytes(8, "big") + context.position.to_bytes(4, "big")
    key = objection.company.encode() + _IN_ORDER + place
    context.state.put(COMPANY_OBJECTIONS, key, objection_id)
    _notify(context, objection.owner, NoticeKind.OBJECTION, objection_id, objection)
    return _describe(objection_id, objection, context.day)


def _notify(
    context: Context, recipient: str, kind: NoticeKind, objection_id: bytes, objection: Objection
) -> None:
    about: dict[str, Value] = {
        "objection": objection_id.hex(),
        "company": objection.company,
        "schema": objection.full_name,
        "digest": objection.digest,
        "state": str(objection.state),
        "due_day": objection.due_day,
    }
    notify(context.state, recipient, context.height, kind, about)


def _read(context: Context, body: Fields) -> tuple[bytes, Objection]:
    objection_id = read_id(body, "objection", OBJECTION_ID_BYTES, Code.OBJECTION_UNKNOWN)
    return objection_id, _get(context.state, objection_id)


def _next_state(objection: Objection, step: Step) -> ObjectionState:
    after = STATES.get((objection.state, step))
    if after is None:
        raise Rejected(
            Code.OBJECTION_STATE, f"cannot do {step} with an objection that is {objection.state}"
        )
    return after


def process_decide(context: Context) -> Value:
    """Decide an objection: corrected, rejected or annotated; by the supplier of the record."""
    body = Fields(context.body)
    objection_id, objection = _read(context, body)
    step = Step(body.choice("outcome", _DECISIONS))
    text = _read_text(body)
    body.done()
    if context.sender.id != objection.owner:
        raise Rejected(Code.NOT_PERMITTED, f"{objection.owner} decides on its own records")
    after = _next_state(objection, step)
    is_corrected = _find_record(context.state, objection).entry.status is RecordStatus.SUPERSEDED
    if step is Step.CORRECT and not is_corrected:
        raise Rejected(Code.OBJECTION_STATE, "the record is not corrected: submit a correction")
    decided = _decided(context, objection, after, text)
    decided = replace(decided, is_annotated=step is Step.ANNOTATE)
    _put(context.state, objection_id, decided)
    for reader, height in get_readers(context.state, objection.company, objection.category):
        if height:
            _notify(context, reader, NoticeKind.OBJECTION_DECIDED, objection_id, decided)
    return _describe(objection_id, decided, context.day)


def _decided(context: Context, objection: Objection, state: ObjectionState, text: str) -> Objection:
    return replace(
        objection,
        state=state,
        answer=text,
        decided_by=context.sender.id,
        decided_day=context.day,
    )


def process_withdraw(context: Context) -> Value:
    """Take an objection back; by the company or a counter for it."""
    body = Fields(context.body)
    objection_id, objection = _read(context, body)
    body.done()
    check_acts_for(context.sender, objection.company)
    withdrawn = replace(objection, state=_next_state(objection, Step.WITHDRAW))
    _put(context.state, objection_id, withdrawn)
    return _describe(objection_id, withdrawn, context.day)


def process_complain(context: Context) -> Value:
    """Complain to the regulator about an outcome, or that none came in time."""
    body = Fields(context.body)
    objection_id, objection = _read(context, body)
    text = body.text("text")
    body.done()
    check_acts_for(context.sender, objection.company)
    after = _next_state(objection, Step.COMPLAIN)
    if objection.state is _S.OPEN and context.day <= objection.due_day:
        raise Rejected(
            Code.OBJECTION_STATE, f"{objection.owner} has until day {objection.due_day} to decide"
        )
    complained = replace(
        objection, state=after, complaint=text, due_day=context.day + COMPLAINT_DAYS
    )
    _put(context.state, objection_id, complained)
    _notify(context, REGULATORS, NoticeKind.COMPLAINT, objection_id, complained)
    return _describe(objection_id, complained, context.day)


def process_rule(context: Context) -> Value:
    """Rule on a complaint: upheld opens the objection again, dismissed ends it; by a regulator."""
    body = Fields(context.body)
    objection_id, objection = _read(context, body)
    step = Step(body.choice("outcome", _RULINGS))
    text = _read_text(body)
    body.done()
    check_role(context.sender, Role.REGULATOR)
    ruled = _decided(context, objection, _next_state(objection, step), text)
    if step is Step.UPHOLD:
        ruled = replace(ruled, due_day=context.day + OBJECTION_DAYS)
        _notify(context, objection.owner, NoticeKind.OBJECTION, objection_id, ruled)
    _put(context.state, objection_id, ruled)
    return _describe(objection_id, ruled, context.day)


def _describe(objection_id: bytes, objection: Objection, day: int) -> dict[str, Value]:
    shown: dict[str, Value] = {f.name: getattr(objection, f.name) for f in fields(objection)}
    shown["objection"] = objection_id.hex()
    shown["state"] = str(objection.state)
    shown["is_overdue"] = objection.state in _DISPUTED and day > objection.due_day
    return shown


def get_objections(state: Overlay, company: str) -> Iterator[tuple[bytes, Objection]]:
    """Yield (id, objection) of a company, in the order of the chain."""
    for _, objection_id in state.scan(COMPANY_OBJECTIONS, company.encode() + _IN_ORDER):
        yield objection_id, _get(state, objection_id)


def query_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`objection.list` {company}: all for the company and regulators, its own for a supplier."""
    reader = Fields(params)
    company = reader.company("company")
    reader.done()
    caller = context.caller
    sees_all = caller.id == company or caller.role is Role.REGULATOR
    items: list[Value] = []
    for objection_id, objection in get_objections(context.state, company):
        if len(items) < MAX_LISTED and (sees_all or caller.id == objection.owner):
            items.append(_describe(objection_id, objection, context.day))
    return {"company": company, "objections": items}


HANDLERS: Mapping[str, Handler] = {
    "objection.open": process_open,
    "objection.decide": process_decide,
    "objection.withdraw": process_withdraw,
    "objection.complain": process_complain,
    "objection.rule": process_rule,
}
QUERIES: Mapping[str, Query] = {"objection.list": query_list}
