"""Daily buckets and coverage in the state: what windows over a company's records are computed from.

WINDOWS holds, under company ‖ record schema ‖ chunk, the buckets of every stream of that schema for
16 days: a record changes one entry, however many streams it counts in, and a window of a year reads
two dozen. COVERAGE holds, for each record schema of a company, the
days its source attests completely, the days its records span, and their counts. `CompanyWindows`
answers the rule language's questions from both (`ledger.rules.windows.WindowReader`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.credit.day_keys import day_key
from ledger.credit.rates import get_rate_ppm
from ledger.rules.windows import FIRST_DAY, Bucket, Stream, add_events, new_bucket
from ledger.state.overlay import Overlay
from ledger.state.tables import COVERAGE, WINDOWS

CHUNK_DAYS = 16
FIRST_CHUNK = -25_600 // CHUNK_DAYS  # before 1900

# (day, order, fields) of one record that counts
DatedEvent: TypeAlias = tuple[int, int, Mapping[str, Any]]
# The matching events of each day, as (order, fields)
_DayEvents: TypeAlias = dict[int, list[tuple[int, Mapping[str, Any]]]]
_DayBuckets: TypeAlias = "tuple[tuple[int, Bucket], ...]"


def process_events(
    state: Overlay,
    company: bytes,
    schema_key: bytes,
    streams: Sequence[Stream],
    events: Sequence[DatedEvent],
) -> None:
    """Add records of one schema that count to the buckets of every stream they match."""
    by_chunk: dict[int, list[tuple[Stream, _DayEvents]]] = {}
    for stream, days in _match_events(streams, events):
        of_chunks: dict[int, _DayEvents] = {}
        for day, of_day in days.items():
            of_chunks.setdefault(day // CHUNK_DAYS, {})[day] = of_day
        for chunk, part in of_chunks.items():
            by_chunk.setdefault(chunk, []).append((stream, part))
    for chunk, additions in by_chunk.items():
        key = company + schema_key + day_key(chunk)
        kept: dict[bytes, _DayBuckets] = dict(state.get(WINDOWS, key) or ())
        for stream, days in additions:
            kept[stream.id] = _with_events(stream, kept.get(stream.id, ()), days)
        state.put(WINDOWS, key, tuple(sorted(kept.items())))


def _match_events(
    streams: Sequence[Stream], events: Sequence[DatedEvent]
) -> list[tuple[Stream, _DayEvents]]:
    """Return the streams that some of the events count in, each with these by day.

    Streams share conditions: each is asked once a record.
    """
    matching: list[tuple[Stream, _DayEvents]] = [(stream, {}) for stream in streams]
    by_condition: dict[str, list[tuple[Stream, _DayEvents]]] = {}
    for item in matching:
        by_condition.setdefault(item[0].where_source, []).append(item)
    groups = [(items[0][0].holds, items) for items in by_condition.values()]
    for day, order, fields in events:
        event = (order, fields)
        for holds, items in groups:
            if holds(fields):
                for stream, days in items:
                    if stream.has_fields(fields):
                        days.setdefault(day, []).append(event)
    return [item for item in matching if item[1]]


def _with_events(stream: Stream, present: _DayBuckets, days: _DayEvents) -> _DayBuckets:
    buckets = dict(present)
    for day, matching in days.items():
        bucket = buckets.get(day) or new_bucket(stream.kind)
        buckets[day] = add_events(stream, bucket, matching)
    return tuple(sorted(buckets.items()))


def process_rebuilt_day(
    state: Overlay,
    company: bytes,
    schema_key: bytes,
    streams: Sequence[Stream],
    day: int,
    events: Sequence[DatedEvent],
) -> None:
    """Build a day's buckets again from all its records that count, after a correction."""
    key = company + schema_key + day_key(day // CHUNK_DAYS)
    kept: dict[bytes, _DayBuckets] = dict(state.get(WINDOWS, key) or ())
    rest = {
        stream_id: tuple(item for item in buckets if item[0] != day)
        for stream_id, buckets in kept.items()
    }
    if rest != kept:
        others = tuple((stream_id, buckets) for stream_id, buckets in rest.items() if buckets)
        state.put(WINDOWS, key, others or None)
    process_events(state, company, schema_key, streams, events)


def process_built_day(
    state: Overlay,
    company: bytes,
    schema_key: bytes,
    streams: Sequence[Stream],
    day: int,
    events: Sequence[DatedEvent],
) -> None:
    """Build a day's buckets of some streams from all its records that count; others stay."""
    key = company + schema_key + day_key(day // CHUNK_DAYS)
    kept: dict[bytes, _DayBuckets] = dict(state.get(WINDOWS, key) or ())
    rest = dict(kept)
    for stream in streams:
        rest[stream.id] = tuple(item for item in kept.get(stream.id, ()) if item[0] != day)
    others = tuple((item, buckets) for item, buckets in sorted(rest.items()) if buckets)
    if others != tuple(sorted(kept.items())):
        state.put(WINDOWS, key, others or None)
    process_events(state, company, schema_key, streams, events)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is known of one record schema of a company; days since 1970, both ends included."""

    intervals: tuple[tuple[int, int], ...] = ()  # attested: apart and in order
    first_day: int | None = None  # of the records
    last_day: int | None = None
    record_count: int = 0
    conflict_count: int = 0

    def to_value(self) -> tuple[Any, ...]:
        """Return the canonical value that COVERAGE holds."""
        return (
            self.intervals,
            self.first_day,
            self.last_day,
            self.record_count,
            self.conflict_count,
        )

    def covers(self, first_day: int, last_day: int) -> bool:
        """Tell whether one attested interval holds all these days."""
        return any(low <= first_day and last_day <= high for low, high in self.intervals)

    def last_attested(self) -> int | None:
        """Return the latest day that a record or an attestation covers."""
        attested = self.intervals[-1][1] if self.intervals else None
        days = [day for day in (attested, self.last_day) if day is not None]
        return max(days, default=None)


def merge_interval(
    intervals: Sequence[tuple[int, int]], first_day: int, last_day: int
) -> tuple[tuple[int, int], ...]:
    """Return the intervals with one more; those that touch or overlap become one."""
    before, after = [], []
    for low, high in intervals:
        if high < first_day - 1:
            before.append((low, high))
        elif low > last_day + 1:
            after.append((low, high))
        else:
            first_day, last_day = min(first_day, low), max(last_day, high)
    return (*before, (first_day, last_day), *after)


def cut_day(intervals: Sequence[tuple[int, int]], day: int) -> tuple[tuple[int, int], ...]:
    """Return the intervals without one day; the one that held it becomes two, one or none."""
    kept: list[tuple[int, int]] = []
    for low, high in intervals:
        if low <= day <= high:
            kept += [part for part in ((low, day - 1), (day + 1, high)) if part[0] <= part[1]]
        else:
            kept.append((low, high))
    return tuple(kept)


def get_coverage(state: Overlay, company: bytes, schema_key: bytes) -> Coverage:
    """Return what is known of one record schema (`RecordSchema.key`) of a company."""
    value = state.get(COVERAGE, company + schema_key)
    return Coverage() if value is None else Coverage(*value)


def put_coverage(state: Overlay, company: bytes, schema_key: bytes, coverage: Coverage) -> None:
    """Keep it."""
    state.put(COVERAGE, company + schema_key, coverage.to_value())


def get_all_coverage(state: Overlay, company: bytes) -> Iterator[tuple[str, Coverage]]:
    """Yield (full name of the record schema, coverage) of everything known of a company."""
    for key, value in state.scan(COVERAGE, company):
        yield key[len(company) : -1].decode(), Coverage(*value)


@dataclass(slots=True)
class _Loaded:
    """The buckets of one record schema from `first_chunk` to `last_chunk`, ascending, by stream."""

    first_chunk: int
    last_chunk: int
    buckets: dict[bytes, list[tuple[int, Bucket]]]


class CompanyWindows:
    """The windows of one company in one state (`ledger.rules.windows.WindowReader`).

    It reads each chunk of days and each coverage once: make a new one when the state has changed.
    """

    __slots__ = ("_company", "_known", "_loaded", "_state")

    def __init__(self, state: Overlay, company: str) -> None:
        self._state = state
        self._company = company.encode()
        self._loaded: dict[str, _Loaded] = {}
        self._known: dict[tuple[str, str], Coverage] = {}

    def buckets(
        self, stream: Stream, first_day: int, last_day: int
    ) -> Iterable[tuple[int, Bucket]]:
        """Return the stream's buckets of these days, ascending; from 1970 means from the start."""
        low = FIRST_CHUNK if first_day <= FIRST_DAY else first_day // CHUNK_DAYS
        loaded = self._load(stream.record_name, low, last_day // CHUNK_DAYS)
        buckets = loaded.buckets.get(stream.id, [])
        begin = 0 if low == FIRST_CHUNK else bisect_left(buckets, first_day, key=_day)
        return buckets[begin : bisect_right(buckets, last_day, key=_day)]

    def coverage(self, category: str, record_schema: str, first_day: int, last_day: int) -> bool:
        """Return whether the source attests that it reported everything of these days."""
        return self._coverage(category, record_schema).covers(first_day, last_day)

    def last_attested(self, category: str, record_schema: str) -> int | None:
        """Return the latest day that a record or an attestation of the company covers."""
        return self._coverage(category, record_schema).last_attested()

    def rate_ppm(self, currency: str, day: int) -> int | None:
        """Return the exchange rate that counts on a day, None where there is none."""
        return get_rate_ppm(self._state, currency, day)

    def _load(self, record_name: str, low: int, high: int) -> _Loaded:
        """Return what was read of a record schema, with the chunks from `low` to `high` in it."""
        loaded = self._loaded.get(record_name)
        if loaded is None:
            loaded = _Loaded(low, high, self._read(record_name, low, high))
            self._loaded[record_name] = loaded
        if low < loaded.first_chunk:
            earlier = self._read(record_name, low, loaded.first_chunk - 1)
            for stream_id, buckets in loaded.buckets.items():
                earlier.setdefault(stream_id, []).extend(buckets)
            loaded.buckets, loaded.first_chunk = earlier, low
        if high > loaded.last_chunk:
            later = self._read(record_name, loaded.last_chunk + 1, high)
            for stream_id, buckets in later.items():
                loaded.buckets.setdefault(stream_id, []).extend(buckets)
            loaded.last_chunk = high
        return loaded

    def _read(self, record_name: str, low: int, high: int) -> dict[bytes, list[tuple[int, Bucket]]]:
        prefix = self._company + schema_key(record_name)
        found: dict[bytes, list[tuple[int, Bucket]]] = {}
        entries = self._state.scan(WINDOWS, prefix, start=day_key(low), stop=day_key(high + 1))
        for _, chunk in entries:
            for stream_id, buckets in chunk:
                found.setdefault(stream_id, []).extend(buckets)
        return found

    def _coverage(self, category: str, record_schema: str) -> Coverage:
        found = self._known.get((category, record_schema))
        if found is None:
            name = f"{category}/{record_schema}" if record_schema else category
            found = get_coverage(self._state, self._company, schema_key(name))
            self._known[category, record_schema] = found
        return found


def _day(item: tuple[int, Bucket]) -> int:
    return item[0]


def schema_key(full_name: str) -> bytes:
    """Return the part of state keys for a record schema's full name, as `RecordSchema.key`."""
    return full_name.encode() + b"\x00"
