"""Windows of the past for rules adopted later: built by every replica, a bounded part a block.

Missing is never zero, so a rule may not count on windows that hold only what came after it. When
the members adopt a feature schema or an alert that asks of records what no rule asked before, it
becomes a `FillJob`. From the block that registered it on, new records count in its streams like in
any; for the records before, `process_backfill` walks the companies in the order of their codes at
the end of each block and builds the buckets of the new streams from the bodies of the records that
are current now, day by day. A day is built anew as a whole, so it does not matter which of its
records came before and which after. When the last company is done the rule is ready.

The bodies of current records are what every replica has, one that began at a snapshot too (ADR
0014): execution reads them for corrections. A step ends once it has read `backfill_records`
records, a setting of the chain, at the end of a day. Only blocks drive it, the empty ones of an
idle network too (rule 36). Records that were erased are not current and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ledger.credit.lookups import keep_lookup
from ledger.credit.records import (
    PlacedRecord,
    RecordStatus,
    get_records,
    read_fields,
)
from ledger.credit.rule_terms import FillJob, get_fill_jobs, put_fill_jobs
from ledger.credit.rulebook import Rules, compute_lookups
from ledger.credit.voted_settings import BACKFILL_RECORDS, get_number
from ledger.credit.windows_state import DatedEvent, process_built_day, schema_key
from ledger.membership.context import BodyReader
from ledger.rules.windows import Stream
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANIES

_COMPANY_COST = 1  # looking whether a company has records of a schema, in records


def needs_backfill(rules: Rules, kind: str, ref: str) -> bool:
    """Tell whether a registered schema or alert asks what no rule with built windows asks."""
    return bool(_find_work(rules, kind, ref))


def add_fill_job(state: Overlay, kind: str, ref: str, height: int) -> None:
    """Let the windows of a rule be built, after those that wait already."""
    put_fill_jobs(state, (*get_fill_jobs(state), FillJob(kind, ref, height)))


@dataclass(frozen=True, slots=True)
class _Work:
    """What a job builds of one record schema ("C044/line")."""

    name: str
    streams: tuple[Stream, ...]
    lookups: tuple[str, ...]


def _find_work(rules: Rules, kind: str, ref: str) -> tuple[_Work, ...]:
    streams: dict[str, list[Stream]] = {}
    for stream in _fresh_streams(rules, kind, ref):
        streams.setdefault(stream.record_name, []).append(stream)
    lookups = _fresh_lookups(rules, kind, ref)
    return tuple(
        _Work(name, tuple(streams.get(name, ())), lookups.get(name, ()))
        for name in sorted(streams.keys() | lookups.keys())
    )


def _streams_of(rules: Rules, kind: str, ref: str) -> tuple[Stream, ...]:
    return rules.registered_schema(ref).streams if kind == "schema" else rules.alert(ref).streams


def _others(rules: Rules, kind: str, ref: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, reference) of the schemas and alerts whose windows are built."""
    filling = rules.filling() | {(kind, ref)}
    for other in ("schema", "alert"):
        for item in rules.references(other):
            if (other, item) not in filling:
                yield other, item


def _fresh_streams(rules: Rules, kind: str, ref: str) -> tuple[Stream, ...]:
    kept = {
        stream.id
        for other, item in _others(rules, kind, ref)
        for stream in _streams_of(rules, other, item)
    }
    return tuple(item for item in _streams_of(rules, kind, ref) if item.id not in kept)


def _fresh_lookups(rules: Rules, kind: str, ref: str) -> Mapping[str, tuple[str, ...]]:
    if kind != "schema":
        return {}
    kept = compute_lookups(
        rules.registered_schema(item)
        for other, item in _others(rules, kind, ref)
        if other == "schema"
    )
    own = compute_lookups((rules.registered_schema(ref),))
    fresh = {name: fields - kept.get(name, frozenset()) for name, fields in own.items()}
    return {name: tuple(sorted(fields)) for name, fields in fresh.items() if fields}


def process_backfill(state: Overlay, rules: Rules, bodies: BodyReader, day: int) -> None:
    """Go on with the first job as far as a block may; called at a block's end, in a transaction."""
    jobs = get_fill_jobs(state)
    if not jobs:
        return
    work = _find_work(rules, jobs[0].kind, jobs[0].ref)
    left = get_number(state, BACKFILL_RECORDS, day)
    job: FillJob | None = jobs[0]
    while left > 0 and job is not None:
        job, cost = _step(state, bodies, job, work, left)
        left -= cost
    put_fill_jobs(state, jobs[1:] if job is None else (job, *jobs[1:]))


def _step(
    state: Overlay, bodies: BodyReader, job: FillJob, work: tuple[_Work, ...], most: int
) -> tuple[FillJob | None, int]:
    """Build days of one company's record schema; return the job after it (None: done), the cost."""
    company = _find_company(state, job) if work else None
    if company is None:
        return None, 0
    if company != job.company:
        job = replace(job, company=company, place=0, day=None)
    done, next_day = _fill(state, bodies, company, work[job.place], job.day, most)
    job = replace(job, record_count=job.record_count + done, day=next_day)
    return job if next_day is not None else _after_schema(job, len(work)), done + _COMPANY_COST


def _after_schema(job: FillJob, count: int) -> FillJob:
    """Return the job at the next record schema, or past the company when that was the last."""
    if job.place + 1 < count:
        return replace(job, place=job.place + 1)
    return replace(job, company=job.company + "\x00", place=0)


def _find_company(state: Overlay, job: FillJob) -> str | None:
    """Return the first company at or after the place where the job is."""
    for key, _ in state.scan(COMPANIES, b"", start=job.company.encode()):
        return key.decode()
    return None


def _fill(
    state: Overlay, bodies: BodyReader, company: str, work: _Work, day: int | None, most: int
) -> tuple[int, int | None]:
    """Build the days of a company's record schema from `day` on.

    Returns how many records were read, and the day to go on from, None at the end.
    """
    by_day: dict[int, list[PlacedRecord]] = {}
    count, next_day = 0, None
    last_day = day
    for placed in get_records(state, company, work.name, day, None):
        # Never stop within a day: it is built as a whole, and the next step begins with the next.
        if count >= most and placed.day != last_day:
            next_day = placed.day
            break
        last_day = placed.day
        if placed.entry.status is RecordStatus.CURRENT:
            by_day.setdefault(placed.day, []).append(placed)
        count += 1
    key = schema_key(work.name)
    for of_day, records in by_day.items():
        records.sort(key=lambda item: item.entry.seq)
        events: list[DatedEvent] = []
        for placed in records:
            entry = placed.entry
            fields = read_fields(bodies, entry.height, entry.position, entry.index)
            events.append((of_day, entry.seq, fields))
            for name in work.lookups:
                pointer = (of_day, entry.seq, entry.height, entry.position, entry.index)
                keep_lookup(state, company.encode(), key, fields, name, pointer)
        process_built_day(state, company.encode(), key, work.streams, of_day, events)
    return count, next_day
