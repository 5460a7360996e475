"""What a reader may keep and for how long: deletion is told on the chain, and what is late shows.

A look under a consent in mode `store` lets the reader keep what it saw for the consent's data life.
By the last of those days it tells the ledger, with `access.deleted`, that it has deleted it. The
ledger cannot look into the reader's files; it holds the reader to its word by a clock. From the day
after, the deletion is late: the reader, the company and the regulators are told, all three see it
listed (`access.overdue`), and the reader gets no further look at this company until it has told. A
company that revokes the consent ends the data life: what was kept is due `WITHDRAWAL_DAYS` later
at the latest (PIPL 47 asks for deletion when consent is withdrawn; the number of days is ours).

DELETIONS holds what was kept by the id of the look, and the open ones in two orders: by due day
until they are late, then as late. COMPANY_ACCESSES has the open ones of a company by reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ledger.credit.notices import REGULATORS, NoticeKind, notify
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Query, QueryContext, Role
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_ACCESSES, DELETIONS
from ledger.transactions.fields import Fields

WITHDRAWAL_DAYS = 15
DUE_A_BLOCK = 32  # deletions that one block may find late; the next one goes on
MAX_LISTED = 500
_KEPT, _BY_DAY, _LATE = b"E", b"D", b"L"
_BY_READER = b"K"
_DAY_BYTES = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """What a reader keeps of one look; days are days since 1970-01-01."""

    reader: str
    company: str
    categories: tuple[str, ...]
    consents: tuple[str, ...]
    due_day: int  # the last day on which it may be kept
    told_day: int | None = None
    is_late: bool = False  # it was found late, and whom it concerns was told

    def to_value(self) -> tuple[Any, ...]:
        """Return it as a canonical value, the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))


def get_kept(state: Overlay, access_id: bytes) -> Kept | None:
    """Return what is kept of a look, None where nothing may be."""
    value = state.get(DELETIONS, _KEPT + access_id)
    return None if value is None else Kept(*value)


def process_kept(state: Overlay, access_id: bytes, kept: Kept) -> None:
    """Enter what a reader keeps, with another due day if it has one already."""
    before = get_kept(state, access_id)
    if before is not None:
        state.delete(DELETIONS, _place(before, access_id))
    is_open = kept.told_day is None
    state.put(DELETIONS, _KEPT + access_id, kept.to_value())
    state.put(DELETIONS, _place(kept, access_id), 1 if is_open else None)
    state.put(COMPANY_ACCESSES, _shelf(kept) + access_id, kept.due_day if is_open else None)


def _place(kept: Kept, access_id: bytes) -> bytes:
    if kept.is_late:
        return _LATE + access_id
    return _BY_DAY + kept.due_day.to_bytes(_DAY_BYTES, "big") + access_id


def _shelf(kept: Kept) -> bytes:
    return kept.company.encode() + _BY_READER + kept.reader.encode() + b"\x00"


def process_told(state: Overlay, access_id: bytes, reader: str, day: int) -> Kept:
    """Take note that `reader` has deleted what it kept; raise `Rejected` (2006, 2225)."""
    kept = get_kept(state, access_id)
    if kept is None:
        raise Rejected(Code.DELETION_STATE, "nothing may be kept of this look")
    if kept.reader != reader:
        raise Rejected(Code.NOT_PERMITTED, f"it is {kept.reader} that keeps what it saw")
    if kept.told_day is not None:
        raise Rejected(Code.DELETION_STATE, f"its deletion was told on day {kept.told_day}")
    told = replace(kept, told_day=day)
    # Its place follows from what it was before.
    process_kept(state, access_id, told)
    return told


def process_withdrawn(state: Overlay, company: str, consent: str, day: int) -> None:
    """Let what was kept under a consent that the company revokes be due soon."""
    last_day = day + WITHDRAWAL_DAYS
    for key, due_day in list(state.scan(COMPANY_ACCESSES, company.encode() + _BY_READER)):
        if due_day <= last_day:
            continue
        access_id = _access_of(key)
        kept = get_kept(state, access_id)
        if kept is not None and consent in kept.consents:
            process_kept(state, access_id, replace(kept, due_day=last_day))


def process_due_deletions(state: Overlay, height: int, day: int) -> None:
    """Tell whom it concerns of deletions that are late since today; at the end of a block."""
    for _ in range(DUE_A_BLOCK):
        first = next(iter(state.scan(DELETIONS, _BY_DAY)), None)
        if first is None or _day_of(first[0]) >= day:
            return
        access_id = first[0][1 + _DAY_BYTES :]
        kept = get_kept(state, access_id)
        if kept is None:
            state.delete(DELETIONS, first[0])
            continue
        process_kept(state, access_id, replace(kept, is_late=True))
        about: dict[str, Value] = {
            "access": access_id.hex(),
            "reader": kept.reader,
            "company": kept.company,
            "due_day": kept.due_day,
        }
        for recipient in (kept.reader, kept.company, REGULATORS):
            notify(state, recipient, height, NoticeKind.DELETION_OVERDUE, about)


def _day_of(key: bytes) -> int:
    return int.from_bytes(key[1 : 1 + _DAY_BYTES], "big")


def _access_of(key: bytes) -> bytes:
    """Return the id at the end of a key of the company's shelf."""
    return key[-32:]


def check_nothing_late(state: Overlay, company: str, reader: str, day: int) -> None:
    """Raise `Rejected` DELETION_OVERDUE while the reader owes the company word of a deletion."""
    prefix = company.encode() + _BY_READER + reader.encode() + b"\x00"
    for key, due_day in state.scan(COMPANY_ACCESSES, prefix):
        if due_day < day:
            raise Rejected(
                Code.DELETION_OVERDUE,
                f"{reader} may keep what it saw by access {_access_of(key).hex()} until day"
                f" {due_day} and has not told its deletion, today is day {day}",
            )


def describe_kept(access_id: bytes, kept: Kept, day: int) -> dict[str, Value]:
    """Return what is kept as queries show it; `deletion` is DUE, LATE or TOLD."""
    shown: dict[str, Value] = {
        field.name: getattr(kept, field.name) for field in fields(kept) if field.name != "is_late"
    }
    is_late = kept.told_day is None and kept.due_day < day
    shown["access"] = access_id.hex()
    shown["deletion"] = "TOLD" if kept.told_day is not None else "LATE" if is_late else "DUE"
    return shown


def query_overdue(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`access.overdue` {company?}: whose deletion is late; all for regulators.

    A company sees those of its own data, a reader those of its own; at most MAX_LISTED.
    """
    reader = Fields(params)
    company = reader.optional_company("company")
    reader.done()
    caller = context.caller
    if caller.is_company:
        company = company or caller.id
    items: list[Value] = []
    for access_id in _find_late(context.state, company, context.day):
        kept = get_kept(context.state, access_id)
        if kept is None or len(items) >= MAX_LISTED:
            continue
        if caller.role is Role.REGULATOR or caller.id in (kept.company, kept.reader):
            items.append(describe_kept(access_id, kept, context.day))
    return {"overdue": items}


def _find_late(state: Overlay, company: str | None, day: int) -> Iterator[bytes]:
    """Yield the ids of what is late: what blocks found, and what only today has made so."""
    if company is not None:
        for key, due_day in state.scan(COMPANY_ACCESSES, company.encode() + _BY_READER):
            if due_day < day:
                yield _access_of(key)
        return
    for key, _ in state.scan(DELETIONS, _LATE):
        yield key[len(_LATE) :]
    for key, _ in state.scan(DELETIONS, _BY_DAY):
        if _day_of(key) >= day:
            return
        yield key[1 + _DAY_BYTES :]


QUERIES: Mapping[str, Query] = {"access.overdue": query_overdue}
