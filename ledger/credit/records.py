"""Records: submission in signed batches, duplicates, conflicts, corrections.

RECORDS keeps what is known of each record and never its body: company ‖ schema ‖ day ‖ identity
leads to the entries that share these, usually one. The identity is a hash of the schema's identity
fields, or of the whole content where it has none, so one look-up tells three cases apart:

    the same content is there       a duplicate: counted in the result, not stored (DOMAIN)
    other content is current there  a conflict: stored and reported; it counts in no window
    nothing current is there        a record: it counts

A correction names the record it corrects by day and digest; that one is then superseded, and the
windows of its day are built again from what remains. Every stored record, conflicts included, is a
leaf of the company's log, and its position there is its `seq`. One bad record rejects the whole
transaction, with the index of the record and the field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from ledger.chain.merkle import leaf_hash
from ledger.credit.company import check_company_code
from ledger.credit.day_keys import day_key, day_of_key
from ledger.credit.lookups import hash16, keep_lookup, lookup_key
from ledger.credit.rulebook import RecordPlan
from ledger.credit.windows_state import (
    Coverage,
    DatedEvent,
    get_coverage,
    process_events,
    process_rebuilt_day,
    put_coverage,
    schema_key,
)
from ledger.encoding import Value, encode, encode_own
from ledger.errors import Code, Refused, Rejected, StorageError
from ledger.membership.context import BodyReader, Context, Handler
from ledger.state.overlay import Overlay
from ledger.state.tables import LATEST_BY_KEY, RECORDS
from ledger.transactions.envelope import MAX_ATTACHMENTS
from ledger.transactions.fields import FIRST_DAY, Fields
from ledger.transactions.records import (
    Record,
    Reference,
    check_attachments,
    decode_checked_record,
    decode_record,
    encoded_fields,
)

MAX_VERSIONS = 64  # records of one identity and day: corrections and conflicts
_DAY_KEY_BYTES = 4
# A department's midnight is up to a day before UTC's.
DAYS_AHEAD_MAX = 1


class RecordStatus(IntEnum):
    """Whether a stored record counts."""

    CURRENT = 0
    SUPERSEDED = 1
    CONFLICT = 2
    ERASED = 3  # by an order of the chain: its body is never read again


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """What the state keeps of one record; the body is attachment (height, position, index)."""

    seq: int
    version: int
    digest: bytes
    content: bytes
    height: int
    position: int
    index: int
    status: RecordStatus
    corrects: int | None  # seq of the record it corrects
    corrected_by: int | None  # seq of its correction

    def to_value(self) -> tuple[Any, ...]:
        """Return the canonical value that RECORDS holds a list of."""
        return (
            self.seq,
            self.version,
            self.digest,
            self.content,
            self.height,
            self.position,
            self.index,
            int(self.status),
            self.corrects,
            self.corrected_by,
        )


def entry_from_value(value: Any) -> RecordEntry:
    """Return the entry of `RecordEntry.to_value`."""
    seq, version, digest, content, height, position, index, status, corrects, corrected_by = value
    return RecordEntry(
        seq,
        version,
        digest,
        content,
        height,
        position,
        index,
        RecordStatus(status),
        corrects,
        corrected_by,
    )


@dataclass(frozen=True, slots=True)
class PlacedRecord:
    """A stored record and where it stands: record schema ("C044/line") and day."""

    full_name: str
    day: int
    entry: RecordEntry


def get_records(
    state: Overlay, company: str, full_name: str, first_day: int | None, last_day: int | None
) -> Iterator[PlacedRecord]:
    """Yield the records of one schema of a company by day, from `first_day` to `last_day`."""
    prefix = company.encode() + schema_key(full_name)
    start = b"" if first_day is None else day_key(first_day)
    stop = None if last_day is None else day_key(last_day + 1)
    for key, value in state.scan(RECORDS, prefix, start=start, stop=stop):
        day = day_of_key(key[len(prefix) : len(prefix) + _DAY_KEY_BYTES])
        for item in value:
            yield PlacedRecord(full_name, day, entry_from_value(item))


def find_by_digest(
    state: Overlay, company: str, full_name: str, day: int, digest: bytes
) -> PlacedRecord | None:
    """Return the record of that digest among the records of one day, or None."""
    for placed in get_records(state, company, full_name, day, day):
        if placed.entry.digest == digest:
            return placed
    return None


def find_by_identity(
    state: Overlay, company: str, full_name: str, day: int, identity: Sequence[Any]
) -> RecordEntry | None:
    """Return the current record whose identity fields (in the schema's order) have these values."""
    key = _record_key(company.encode(), schema_key(full_name), day, hash16(encode(identity)))
    for item in state.get(RECORDS, key) or ():
        entry = entry_from_value(item)
        if entry.status is RecordStatus.CURRENT:
            return entry
    return None


def find_latest(
    state: Overlay, company: str, full_name: str, key: str, value: str
) -> tuple[int, int, int, int] | None:
    """Return (day, height, position, index) of the latest current record whose `key` is `value`.

    Kept only for the fields that asset features of a registered schema look up; the body is read
    with `read_fields`.
    """
    found = state.get(
        LATEST_BY_KEY, lookup_key(company.encode(), schema_key(full_name), key, value)
    )
    return None if found is None else (found[0], *found[2:])


def read_fields(bodies: BodyReader, height: int, position: int, index: int) -> Mapping[str, Any]:
    """Return the fields of a stored record; raise `StorageError` when its body is gone (6103)."""
    return _read_body(bodies, height, position, index).fields


def _read_body(bodies: BodyReader, height: int, position: int, index: int) -> Record:
    data = bodies.body(height, position, index)
    if data is None:
        raise StorageError(
            Code.HOME_INCOMPLETE,
            f"body {index} of transaction {position} of block {height} is gone",
        )
    try:
        return decode_record(data)
    except Refused as error:
        raise StorageError(
            Code.STORE_CORRUPT,
            f"body {index} of transaction {position} of block {height}: {error.message}",
        ) from None


def _record_key(company: bytes, schema: bytes, day: int, identity: bytes) -> bytes:
    return company + schema + day_key(day) + identity


@dataclass(slots=True)
class _CompanyPart:
    """What one transaction says about one company, applied to windows and coverage at its end."""

    company: bytes
    seq: int
    leaves: list[bytes] = field(default_factory=list)
    events: list[DatedEvent] = field(default_factory=list)
    rebuilt_days: set[int] = field(default_factory=set)
    conflict_count: int = 0
    first_day: int | None = None
    last_day: int | None = None


class _Submission:
    """One `records.submit` while it is processed."""

    def __init__(self, context: Context, plan: RecordPlan) -> None:
        self._context = context
        self._state = context.state
        self._plan = plan
        self._tx_id = context.transaction.id
        self._parts: dict[str, _CompanyPart] = {}
        self.duplicates: list[int] = []
        self.conflicts: list[int] = []

    def process(self, index: int, data: bytes, digest: bytes) -> None:
        """Check and keep one record; raise `Rejected`."""
        record = decode_checked_record(data)
        self._check(record)
        part = self._part(record.company)
        content = hash16(encode_own(record.supersedes) + encoded_fields(record, data))
        key = _record_key(part.company, self._plan.key, record.day, self._identity(record, content))
        present = [entry_from_value(item) for item in self._state.get(RECORDS, key) or ()]
        if any(entry.content == content for entry in present):
            self.duplicates.append(index)
            return
        if len(present) >= MAX_VERSIONS:
            raise Rejected(
                Code.RECORD_VERSIONS, f"{MAX_VERSIONS} records have its identity already"
            )
        corrects = None
        if record.supersedes is not None:
            corrects = self._supersede(record.company, part, record.supersedes)
            present = [entry_from_value(item) for item in self._state.get(RECORDS, key) or ()]
        is_conflict = any(entry.status is RecordStatus.CURRENT for entry in present)
        entry = RecordEntry(
            part.seq,
            self._plan.schema.version,
            digest,
            content,
            self._context.height,
            self._context.position,
            index,
            RecordStatus.CONFLICT if is_conflict else RecordStatus.CURRENT,
            corrects,
            None,
        )
        self._state.put(RECORDS, key, tuple(item.to_value() for item in (*present, entry)))
        self._note(part, record, entry)

    def finish(self) -> None:
        """Bring logs, windows and coverage up to date, once for each company."""
        for company, part in self._parts.items():
            if not part.leaves:
                continue
            self._state.append_company_log(company, part.leaves)
            self._update_windows(company, part)
            self._update_coverage(part)
            schema = self._plan.schema
            self._context.notes.touch(company, schema.category, schema.name)

    def _check(self, record: Record) -> None:
        check_company_code(self._state, record.company)
        plan = self._plan
        if not FIRST_DAY <= record.day <= self._context.day + DAYS_AHEAD_MAX:
            raise Rejected(
                Code.RECORD_DATE, f"day {record.day} is before 1900 or after the block's day"
            )
        if plan.is_salted and record.salt is None:
            raise Rejected(Code.RECORD_FIELD_MISSING, "salt is missing, want 16 bytes")
        plan.checks.check(record.fields)
        date_field = plan.schema.date_field
        if date_field and record.fields[date_field] != record.day:
            raise Rejected(
                Code.RECORD_DATE,
                f"field {date_field}: got {record.fields[date_field]}, want the day {record.day}",
            )

    def _part(self, company: str) -> _CompanyPart:
        part = self._parts.get(company)
        if part is None:
            part = _CompanyPart(company.encode(), self._state.company_log_size(company))
            self._parts[company] = part
        return part

    def _identity(self, record: Record, content: bytes) -> bytes:
        names = self._plan.schema.identity
        if not names:
            return content
        return hash16(encode_own([record.fields.get(name) for name in names]))

    def _supersede(self, company: str, part: _CompanyPart, reference: Reference) -> int:
        """Mark the corrected record, and return its seq; raise `Rejected` (2108)."""
        day, digest = reference
        if not FIRST_DAY <= day <= self._context.day + DAYS_AHEAD_MAX:
            raise Rejected(Code.RECORD_SUPERSEDES_UNKNOWN, "record to correct has no such day")
        prefix = part.company + self._plan.key + day_key(day)
        for key, value in self._state.scan(RECORDS, prefix):
            entries = [entry_from_value(item) for item in value]
            for place, entry in enumerate(entries):
                if entry.digest != digest:
                    continue
                if entry.corrected_by is not None:
                    raise Rejected(
                        Code.RECORD_SUPERSEDES_UNKNOWN,
                        f"record was corrected already by number {entry.corrected_by}",
                    )
                if entry.status is RecordStatus.ERASED:  # nobody is to read its body again
                    raise Rejected(
                        Code.RECORD_SUPERSEDES_UNKNOWN,
                        "record was erased: send what is true as a record of its own",
                    )
                self._context.notes.correct(company, self._plan.schema.full_name, entry.height)
                entries[place] = replace(
                    entry, status=RecordStatus.SUPERSEDED, corrected_by=part.seq
                )
                self._state.put(RECORDS, key, tuple(item.to_value() for item in entries))
                forget_lookups(self._context, self._plan, company, entry)
                part.rebuilt_days.add(day)
                return entry.seq
        raise Rejected(
            Code.RECORD_SUPERSEDES_UNKNOWN,
            f"company {company} has no record {digest.hex()} on day {day}",
        )

    def _note(self, part: _CompanyPart, record: Record, entry: RecordEntry) -> None:
        schema = self._plan.schema
        item = (schema.category, schema.name, record.day, entry.digest, self._tx_id, entry.index)
        part.leaves.append(leaf_hash(encode_own(item)))
        part.seq += 1
        part.first_day = record.day if part.first_day is None else min(part.first_day, record.day)
        part.last_day = record.day if part.last_day is None else max(part.last_day, record.day)
        if entry.status is RecordStatus.CONFLICT:
            self.conflicts.append(entry.index)
            part.conflict_count += 1
            return
        if self._plan.streams:
            part.events.append((record.day, entry.seq, record.fields))
        for name in self._plan.lookups:
            keep_lookup(
                self._state,
                part.company,
                self._plan.key,
                record.fields,
                name,
                (record.day, entry.seq, entry.height, entry.position, entry.index),
            )

    def _update_windows(self, company: str, part: _CompanyPart) -> None:
        streams = self._plan.streams
        if not streams:
            return
        fresh = [event for event in part.events if event[0] not in part.rebuilt_days]
        process_events(self._state, part.company, self._plan.key, streams, fresh)
        for day in sorted(part.rebuilt_days):
            rebuild_day(self._context, self._plan, company, day)

    def _update_coverage(self, part: _CompanyPart) -> None:
        known = get_coverage(self._state, part.company, self._plan.key)
        first_days = [day for day in (known.first_day, part.first_day) if day is not None]
        last_days = [day for day in (known.last_day, part.last_day) if day is not None]
        coverage = Coverage(
            known.intervals,
            min(first_days),
            max(last_days),
            known.record_count + len(part.leaves),
            known.conflict_count + part.conflict_count,
        )
        put_coverage(self._state, part.company, self._plan.key, coverage)


def forget_lookups(context: Context, plan: RecordPlan, company: str, entry: RecordEntry) -> None:
    """Drop pointers to a record that counts no more; a correction sets its own.

    An earlier record of the same key is not looked for: the feature is then missing, and what
    is missing is referred to a person.
    """
    if not plan.lookups:
        return
    old = _read_body(context.bodies, entry.height, entry.position, entry.index)
    for name in plan.lookups:
        value = old.fields.get(name)
        if type(value) is not str:
            continue
        key = lookup_key(company.encode(), plan.key, name, value)
        present = context.state.get(LATEST_BY_KEY, key)
        if present is not None and present[1] == entry.seq:
            context.state.delete(LATEST_BY_KEY, key)


def rebuild_day(context: Context, plan: RecordPlan, company: str, day: int) -> None:
    """Build a day's windows again from the records that count, after one of them ceased to."""
    if not plan.streams:
        return
    events = [
        (day, entry.seq, read_fields(context.bodies, entry.height, entry.position, entry.index))
        for entry in (
            placed.entry
            for placed in get_records(context.state, company, plan.schema.full_name, day, day)
        )
        if entry.status is RecordStatus.CURRENT
    ]
    events.sort(key=lambda event: event[1])
    process_rebuilt_day(context.state, company.encode(), plan.key, plan.streams, day, events)


@dataclass(frozen=True, slots=True)
class BatchHead:
    """What a transaction says of the records attached to it; an empty schema is the category's."""

    category: str
    schema: str
    version: int


def handle_submit(context: Context) -> Value:
    """`records.submit` {category, schema, version, count, root} with the records attached."""
    head = read_batch_head(context)
    return process_batch(context, get_owned_plan(context, head.category, head.schema, head.version))


def read_batch_head(context: Context) -> BatchHead:
    """Return the body of a transaction that carries records; raise `Rejected` (12xx, 2105)."""
    body = Fields(context.body)
    category = body.identifier("category")
    schema = body.identifier("schema") if body.text("schema", minimum=0) else ""
    version = body.integer("version", minimum=1)
    count = body.integer("count")
    body.bytes32("root")
    body.done()
    if not 1 <= count <= MAX_ATTACHMENTS:
        code = Code.BATCH_TOO_LARGE if count else Code.BATCH_EMPTY
        raise Rejected(code, f"got {count} records, want 1 to {MAX_ATTACHMENTS}")
    return BatchHead(category, schema, version)


def process_batch(context: Context, plan: RecordPlan) -> Value:
    """Keep the attached records of one schema, whoever may send them; raise `Rejected` (21xx)."""
    plan.check_accepted(context.day)
    digests = get_digests(context)
    submission = _Submission(context, plan)
    for index, data in enumerate(context.transaction.attachments):
        try:
            submission.process(index, data, digests[index])
        except Rejected as error:
            raise Rejected(error.code, f"record {index}, {error.message}") from None
    submission.finish()
    return {
        "accepted": len(digests) - len(submission.duplicates),
        "conflicts": tuple(submission.conflicts),
        "duplicates": tuple(submission.duplicates),
    }


def get_owned_plan(context: Context, category: str, schema: str, version: int) -> RecordPlan:
    """Return the plan of one of the sender's record schemas; `Rejected` (2101, 2102, 2109)."""
    plan: RecordPlan = context.rules.plan(category, schema, version)
    if context.sender.id != plan.owner:
        raise Rejected(
            Code.CATEGORY_NOT_OWNED, f"category {category} is {plan.owner}'s, not the sender's"
        )
    return plan


def get_digests(context: Context) -> tuple[bytes, ...]:
    """Return the digests of the attachments, checked here unless the door did; `Rejected` 1207."""
    if context.digests is not None:
        return context.digests
    try:
        return check_attachments(context.transaction)
    except Refused as error:
        raise Rejected(error.code, error.message) from None


HANDLERS: Mapping[str, Handler] = {
    "records.submit": handle_submit,
}
