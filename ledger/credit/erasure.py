"""Erasing records: what is ordered on the chain, so that every node stops using them at once.

`records.erase` names records by company, day and digest. From its block on they are ERASED: they
are shown to nobody, count in no window, feature or look-up, and their bodies are never read again
by execution; who saw them is told, as of a correction. What stays is the digest, which of a salted
record says nothing, and the order itself: who, when, on what ground. So every root, receipt and
proof from before holds, and a new one says ERASED.

Because no later block depends on such a body, a node may delete it from its disk whenever it wants;
when it does is its own affair (ADR 0020). The ground `retention` is for records whose time is over
(`ledger.credit.retention`: by category, or three years after their day); `order` for a court's or
regulator's order and `withdrawal` for a person's own (PIPL 15, 47) do not wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ledger.chain.hashes import HASH_BYTES
from ledger.credit.day_keys import day_key
from ledger.credit.records import (
    PlacedRecord,
    RecordEntry,
    RecordStatus,
    entry_from_value,
    find_by_digest,
    forget_lookups,
    read_fields,
    rebuild_day,
)
from ledger.credit.retention import find_last_day
from ledger.credit.rulebook import RecordPlan
from ledger.credit.windows_state import cut_day, get_coverage, put_coverage, schema_key
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.catalogue import Category
from ledger.membership.context import Context, Handler, Party, Role, check_acts_for
from ledger.state.overlay import Overlay
from ledger.state.tables import RECORDS
from ledger.transactions.fields import FIRST_DAY, LAST_DAY, Fields

GROUNDS = ("retention", "order", "withdrawal")
MAX_ERASED = 256
MAX_REFERENCE = 200


def handle_erase(context: Context) -> Value:
    """`records.erase` {company, category, schema?, records, ground, reference}.

    `records` are (day, digest); `reference` names the order or rule. By a regulator, the category's
    owner, or of what it declared itself the company. Raises `Rejected` 2006 or 2102 for others,
    2110 before the time, 2115 where there is no such record.
    """
    body = Fields(context.body)
    company = body.company("company")
    category_id = body.identifier("category")
    schema = body.optional_identifier("schema") or ""
    wanted = _read_records(body.raw("records"))
    ground = body.choice("ground", GROUNDS)
    body.text("reference", maximum=MAX_REFERENCE)
    body.done()
    category = context.rules.category(category_id)
    _check_may_erase(context.sender, category, company)
    versions = [version for name, version in category.schemas if name == schema]
    plan: RecordPlan = context.rules.plan(category_id, schema, max(versions, default=1))
    erasing = _Erasing(context, category, plan, company, ground)
    days = {_erase(erasing, day, digest) for day, digest in wanted}
    for day in sorted(day for day in days if day is not None):
        rebuild_day(context, plan, company, day)
    context.notes.touch(company, category_id, schema)
    return {"company": company, "erased": len(wanted)}


def _check_may_erase(sender: Party, category: Category, company: str) -> None:
    """Raise `Rejected` unless the sender owns the records, or is a regulator."""
    if sender.role is Role.REGULATOR:
        return
    if category.is_self_declared:
        check_acts_for(sender, company)
    elif sender.id != category.owner:
        raise Rejected(
            Code.CATEGORY_NOT_OWNED,
            f"category {category.id} is {category.owner}'s; only it or a regulator erases",
        )


def _read_records(value: Any) -> tuple[tuple[int, bytes], ...]:
    is_list = type(value) is tuple and 1 <= len(value) <= MAX_ERASED
    if not is_list or not all(_is_reference(item) for item in value):
        raise Rejected(
            Code.BODY_MALFORMED, f"field records: want 1 to {MAX_ERASED} of (day, digest)"
        )
    references: tuple[tuple[int, bytes], ...] = value
    return references


def _is_reference(value: Any) -> bool:
    if type(value) is not tuple or len(value) != 2:
        return False
    day, digest = value
    is_day = type(day) is int and FIRST_DAY <= day <= LAST_DAY
    return is_day and type(digest) is bytes and len(digest) == HASH_BYTES


@dataclass(frozen=True, slots=True)
class _Erasing:
    """Of whom what is erased in one transaction, and on what ground."""

    context: Context
    category: Category
    plan: RecordPlan
    company: str
    ground: str


def _erase(erasing: _Erasing, day: int, digest: bytes) -> int | None:
    """Erase one record; return its day if it counted until now."""
    context, plan, company = erasing.context, erasing.plan, erasing.company
    placed = find_by_digest(context.state, company, plan.schema.full_name, day, digest)
    if placed is None or placed.entry.status is RecordStatus.ERASED:
        what = "has no record" if placed is None else "has erased already record"
        raise Rejected(Code.RECORD_UNKNOWN, f"{company} {what} {digest.hex()} on day {day}")
    if erasing.ground == "retention":
        _check_over(erasing, placed)
    return _put_erased(erasing, placed)


def _check_over(erasing: _Erasing, placed: PlacedRecord) -> None:
    """Raise `Rejected` (2110) while a record is to be kept."""
    entry, fields = placed.entry, None
    # The body of a corrected record is not on every node; what corrects it says when it ended.
    if erasing.category.retention is not None and entry.corrected_by is None:
        fields = read_fields(erasing.context.bodies, entry.height, entry.position, entry.index)
    last_day = find_last_day(erasing.category, placed.day, fields)
    if last_day is None:
        raise Rejected(Code.RECORD_DATE, "what the record says has not ended: it is kept")
    if last_day >= erasing.context.day:
        raise Rejected(
            Code.RECORD_DATE, f"a record of day {placed.day} is kept until day {last_day + 1}"
        )


def _put_erased(erasing: _Erasing, placed: PlacedRecord) -> int | None:
    context, plan, company = erasing.context, erasing.plan, erasing.company
    entry = placed.entry
    was_current = entry.status is RecordStatus.CURRENT
    if was_current:
        forget_lookups(context, plan, company, entry)
        context.notes.correct(company, plan.schema.full_name, entry.height)
    _count_out(erasing, placed)
    # The content's hash has no salt: it goes, so that nobody can guess at what it was.
    erased = replace(entry, status=RecordStatus.ERASED, content=b"")
    _put_entry(context.state, company, placed, erased)
    return placed.day if was_current else None


def _count_out(erasing: _Erasing, placed: PlacedRecord) -> None:
    """Take a record out of the numbers that summaries of the company show.

    Its day is no longer one of which everything is known, so a window left empty is missing and not
    zero, until the source attests the day anew. A record that spoke against the company is as if it
    had never been: there nothing is what is known of the day.
    """
    state, company = erasing.context.state, erasing.company
    key = schema_key(placed.full_name)
    known = get_coverage(state, company.encode(), key)
    is_conflict = placed.entry.status is RecordStatus.CONFLICT
    was_counted = placed.entry.status is RecordStatus.CURRENT
    is_cut = was_counted and not erasing.category.is_negative
    fewer = replace(
        known,
        intervals=cut_day(known.intervals, placed.day) if is_cut else known.intervals,
        record_count=known.record_count - 1,
        conflict_count=known.conflict_count - is_conflict,
    )
    put_coverage(state, company.encode(), key, fewer)


def _put_entry(state: Overlay, company: str, placed: PlacedRecord, entry: RecordEntry) -> None:
    """Keep a record in another standing; it stays where it stood."""
    prefix = company.encode() + schema_key(placed.full_name) + day_key(placed.day)
    for key, value in state.scan(RECORDS, prefix):
        entries = [entry_from_value(item) for item in value]
        if placed.entry in entries:
            entries[entries.index(placed.entry)] = entry
            state.put(RECORDS, key, tuple(item.to_value() for item in entries))
            return


HANDLERS: Mapping[str, Handler] = {"records.erase": handle_erase}
