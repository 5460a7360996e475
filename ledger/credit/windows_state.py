"""Daily buckets and coverage in the state: what windows over a company's records are computed from.

WINDOWS holds the buckets of one stream for 32 days under company ‖ stream id ‖ chunk, so that a
window of a year reads a dozen entries. COVERAGE holds, for each record schema of a company, the
days its source attests completely, the days its records span, and their counts. `CompanyWindows`
answers the rule language's questions from both (`ledger.rules.windows.WindowReader`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.rules.windows import FIRST_DAY, Bucket, Stream, add_events, new_bucket
from ledger.state.overlay import Overlay
from ledger.state.tables import COVERAGE, WINDOWS

CHUNK_DAYS = 32
FIRST_CHUNK = -1_024  # before 1900
_DAY_OFFSET = 2**31

# (day, order, fields) of one record that counts
DatedEvent: TypeAlias = tuple[int, int, Mapping[str, Any]]


def day_key(day: int) -> bytes:
    """Return a day as four bytes that sort in order, days before 1970 included."""
    return (day + _DAY_OFFSET).to_bytes(4, "big")


def day_of_key(key: bytes) -> int:
    """Return the day of `day_key`."""
    return int.from_bytes(key, "big") - _DAY_OFFSET


def _chunk_key(company: bytes, stream: Stream, day: int) -> bytes:
    return company + stream.id + day_key(day // CHUNK_DAYS)


def process_events(
    state: Overlay, company: bytes, streams: Sequence[Stream], events: Sequence[DatedEvent]
) -> None:
    """Add records that count to the buckets of every stream they match."""
    for stream in streams:
        by_chunk: dict[int, dict[int, list[tuple[int, Any]]]] = {}
        for day, order, fields in events:
            if stream.matches(fields):
                days = by_chunk.setdefault(day // CHUNK_DAYS, {})
                days.setdefault(day, []).append((order, fields))
        for chunk, days in by_chunk.items():
            key = company + stream.id + day_key(chunk)
            buckets: dict[int, Bucket] = dict(state.get(WINDOWS, key) or ())
            for day, matching in days.items():
                bucket = buckets.get(day) or new_bucket(stream.kind)
                buckets[day] = add_events(stream, bucket, matching)
            state.put(WINDOWS, key, tuple(sorted(buckets.items())))


def process_rebuilt_day(
    state: Overlay,
    company: bytes,
    streams: Sequence[Stream],
    day: int,
    events: Sequence[DatedEvent],
) -> None:
    """Build a day's buckets again from all its records that count, after a correction."""
    for stream in streams:
        key = _chunk_key(company, stream, day)
        buckets: dict[int, Bucket] = dict(state.get(WINDOWS, key) or ())
        was_there = buckets.pop(day, None) is not None
        if was_there:
            state.put(WINDOWS, key, tuple(sorted(buckets.items())) or None)
    process_events(state, company, streams, events)


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
    """The buckets of one stream from `first_chunk` on, ascending; `days` are theirs."""

    first_chunk: int
    last_chunk: int
    buckets: list[tuple[int, Bucket]]
    days: list[int]


class CompanyWindows:
    """The windows of one company in one state (`ledger.rules.windows.WindowReader`).

    It reads each stream and each coverage once: make a new one when the state has changed.
    """

    __slots__ = ("_company", "_known", "_loaded", "_state")

    def __init__(self, state: Overlay, company: str) -> None:
        self._state = state
        self._company = company.encode()
        self._loaded: dict[bytes, _Loaded] = {}
        self._known: dict[tuple[str, str], Coverage] = {}

    def buckets(
        self, stream: Stream, first_day: int, last_day: int
    ) -> Iterable[tuple[int, Bucket]]:
        """Return the stream's buckets of these days, ascending; from 1970 means from the start."""
        low = FIRST_CHUNK if first_day <= FIRST_DAY else first_day // CHUNK_DAYS
        high = last_day // CHUNK_DAYS
        loaded = self._loaded.get(stream.id)
        if loaded is None or low < loaded.first_chunk or high > loaded.last_chunk:
            loaded = self._load(stream, loaded, low, high)
        days = loaded.days
        begin = 0 if low == FIRST_CHUNK else bisect_left(days, first_day)
        return loaded.buckets[begin : bisect_right(days, last_day)]

    def coverage(self, category: str, record_schema: str, first_day: int, last_day: int) -> bool:
        """Return whether the source attests that it reported everything of these days."""
        return self._coverage(category, record_schema).covers(first_day, last_day)

    def last_attested(self, category: str, record_schema: str) -> int | None:
        """Return the latest day that a record or an attestation of the company covers."""
        return self._coverage(category, record_schema).last_attested()

    def _load(self, stream: Stream, loaded: _Loaded | None, low: int, high: int) -> _Loaded:
        if loaded is not None:
            low, high = min(low, loaded.first_chunk), max(high, loaded.last_chunk)
        buckets: list[tuple[int, Bucket]] = []
        entries = self._state.scan(
            WINDOWS, self._company + stream.id, start=day_key(low), stop=day_key(high + 1)
        )
        for _, chunk in entries:
            buckets.extend(chunk)
        found = _Loaded(low, high, buckets, [day for day, _ in buckets])
        self._loaded[stream.id] = found
        return found

    def _coverage(self, category: str, record_schema: str) -> Coverage:
        found = self._known.get((category, record_schema))
        if found is None:
            name = f"{category}/{record_schema}" if record_schema else category
            found = get_coverage(self._state, self._company, schema_key(name))
            self._known[category, record_schema] = found
        return found


def schema_key(full_name: str) -> bytes:
    """Return the part of state keys for a record schema's full name, as `RecordSchema.key`."""
    return full_name.encode() + b"\x00"
