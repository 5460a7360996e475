"""Daily buckets: the arithmetic of windows over a company's records (RULES.md, "An alert").

A stream is a question asked of every event of one category: does it match, and what of it is kept.
Each day with a matching event has one bucket of the stream; a window is a range of days, and its
value is computed from the buckets in it, never from the events, so that an evaluation reads a
bounded number of values. A stream's id is the hash of its definition: features and alerts that ask
the same question share the buckets. Buckets are plain canonical values that the state can hold:

    sum       (count, total)               total is None once it left 64 bits
    min, max  (count, value)
    last      (count, order, value)        the event with the greatest order of the day
    distinct  (count, {value: events})     the map is None once it held more than 4096 values
    top       (count, {group: total})      the same; a total is None once it left 64 bits

A correction is made by building the day's bucket again from its events (`build_bucket`).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from ledger.encoding import encode
from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.units import INT_MAX, INT_MIN, FactValue

Bucket: TypeAlias = tuple[Any, ...]
Event: TypeAlias = Mapping[str, FactValue]

MAX_GROUPS_A_DAY = 4096
MAX_GROUPS_A_WINDOW = 65_536
MAX_WINDOW_DAYS = 3_660
FIRST_DAY = 0  # a window without `days` begins here: as far back as the ledger has records


class StreamKind(StrEnum):
    """What a stream keeps of a day's events."""

    SUM = "sum"  # how many and their total; `count` uses it without a field
    MIN = "min"
    MAX = "max"
    LAST = "last"
    DISTINCT = "distinct"
    TOP = "top"


@dataclass(frozen=True, slots=True)
class Stream:
    """One question asked of the events of a category; equal definitions have equal ids."""

    category: str
    record_schema: str  # "" for the category's main schema
    where_source: str
    kind: StreamKind
    field: str  # "" when only counted
    by: str  # "" but for TOP
    predicate: Callable[[Event], bool] | None = dataclasses.field(compare=False, repr=False)
    cost: int = dataclasses.field(default=0, compare=False)  # worst-case units of the predicate
    id: bytes = dataclasses.field(init=False)  # 8 bytes

    def __post_init__(self) -> None:
        definition = (
            self.category,
            self.record_schema,
            self.where_source,
            str(self.kind),
            self.field,
            self.by,
        )
        digest = hashlib.sha256(encode(definition)).digest()
        object.__setattr__(self, "id", digest[:8])

    @property
    def record_name(self) -> str:
        """The record schema it listens to: "C044" or "C044/line"."""
        return f"{self.category}/{self.record_schema}" if self.record_schema else self.category

    def matches(self, event: Event) -> bool:
        """Return whether the event counts: its condition holds and its fields are there.

        A condition that errs, for a field it needs is absent, say, does not hold.
        """
        return self.has_fields(event) and self.holds(event)

    def has_fields(self, event: Event) -> bool:
        """Return whether the fields that are kept of an event are there."""
        return (not self.field or self.field in event) and (not self.by or self.by in event)

    def holds(self, event: Event) -> bool:
        """Return whether the condition holds, which equal sources over one schema agree on."""
        if self.predicate is None:
            return True
        try:
            return self.predicate(event)
        except EvalError:
            return False


class WindowReader(Protocol):
    """What the state answers about one company."""

    def buckets(
        self, stream: Stream, first_day: int, last_day: int
    ) -> Iterable[tuple[int, Bucket]]:
        """Return the stream's buckets from `first_day` to `last_day`, both included, ascending."""

    def coverage(self, category: str, record_schema: str, first_day: int, last_day: int) -> bool:
        """Return whether the source attests that it reported everything of these days."""

    def last_attested(self, category: str, record_schema: str) -> int | None:
        """Return the latest day that a record or an attestation of the company covers."""

    def rate_ppm(self, currency: str, day: int) -> int | None:
        """Return the exchange rate of a day, in millionths of a fen for one minor unit, or None."""


def convert_bucket(stream: Stream, bucket: Bucket, rate_ppm: int) -> Bucket:
    """Return the bucket of a day's amounts in foreign money with its value in fen.

    A day is converted as a whole, truncated toward zero; what leaves 64 bits is an overflow.
    """
    *counts, value = bucket
    if value is None:
        return bucket
    product = abs(int(value)) * rate_ppm // _PPM
    converted = _narrow(-product if value < 0 else product)
    if converted is None and stream.kind is not StreamKind.SUM:
        raise EvalError(ErrorKind.OVERFLOW)
    return (*counts, converted)


_PPM = 1_000_000
_NEW: dict[StreamKind, Bucket] = {
    StreamKind.SUM: (0, 0),
    StreamKind.MIN: (0, None),
    StreamKind.MAX: (0, None),
    StreamKind.LAST: (0, 0, None),
    StreamKind.DISTINCT: (0, {}),
    StreamKind.TOP: (0, {}),
}


def new_bucket(kind: StreamKind) -> Bucket:
    """Return the bucket of a day without events."""
    return _NEW[kind]


def add_event(stream: Stream, bucket: Bucket, event: Event, order: int) -> Bucket:
    """Return `bucket` with one matching event more; `order` ranks the events of a day."""
    return add_events(stream, bucket, ((order, event),))


def add_events(stream: Stream, bucket: Bucket, events: Iterable[tuple[int, Event]]) -> Bucket:
    """Return `bucket` with many matching events more, each as (order, event)."""
    match stream.kind:
        case StreamKind.SUM:
            return _add_to_sum(stream, bucket, events)
        case StreamKind.MIN | StreamKind.MAX:
            return _add_to_extreme(stream, bucket, events)
        case StreamKind.LAST:
            return _add_to_last(stream, bucket, events)
        case _:
            return _add_to_groups(stream, bucket, events)


def build_bucket(stream: Stream, events: Iterable[tuple[int, Event]]) -> Bucket | None:
    """Return the bucket of those of a day's events that match, None if none does."""
    matching = [(order, event) for order, event in events if stream.matches(event)]
    if not matching:
        return None
    return add_events(stream, new_bucket(stream.kind), matching)


def _add_to_sum(stream: Stream, bucket: Bucket, events: Iterable[tuple[int, Event]]) -> Bucket:
    count, total = bucket
    for _, event in events:
        count += 1
        if stream.field and total is not None:
            total = _narrow(total + event[stream.field])
    return count, total


def _add_to_extreme(stream: Stream, bucket: Bucket, events: Iterable[tuple[int, Event]]) -> Bucket:
    count, best = bucket
    pick = min if stream.kind is StreamKind.MIN else max
    for _, event in events:
        count += 1
        value = event[stream.field]
        best = value if best is None else pick(best, value)
    return count, best


def _add_to_last(stream: Stream, bucket: Bucket, events: Iterable[tuple[int, Event]]) -> Bucket:
    count, latest, value = bucket
    for order, event in events:
        if count == 0 or order >= latest:
            latest, value = order, event[stream.field]
        count += 1
    return count, latest, value


def _add_to_groups(stream: Stream, bucket: Bucket, events: Iterable[tuple[int, Event]]) -> Bucket:
    count, groups = bucket
    groups = dict(groups) if groups is not None else None
    for _, event in events:
        count += 1
        if groups is None:
            continue
        if stream.kind is StreamKind.DISTINCT:
            group, amount = str(event[stream.field]), 1
        else:
            group, amount = str(event[stream.by]), int(event[stream.field])
        total = groups.get(group, 0)
        groups[group] = None if total is None else _narrow(total + amount)
        if len(groups) > MAX_GROUPS_A_DAY:
            groups = None
    # In the order in which they are stored, so that nobody has to order them again.
    return count, groups and dict(sorted(groups.items()))


def _narrow(total: int) -> int | None:
    """Return a total of 64 bits, None once it is wider: never wrapped."""
    return total if INT_MIN <= total <= INT_MAX else None


def evaluate(agg: str, buckets: Iterable[tuple[int, Bucket]]) -> FactValue | None:
    """Return the aggregate of the buckets, None when they hold no event.

    Raises `EvalError` OVERFLOW for a total outside 64 bits, RANGE for too many groups.
    """
    return _EVALUATORS[agg](buckets)


def _evaluate_count(buckets: Iterable[tuple[int, Bucket]]) -> int | None:
    count = 0
    for _, bucket in buckets:
        count += bucket[0]
    return count or None


def _evaluate_sum(buckets: Iterable[tuple[int, Bucket]]) -> int | None:
    count = total = 0
    for _, (events, part) in buckets:
        if part is None:
            raise EvalError(ErrorKind.OVERFLOW)
        count += events
        total += part
    if not INT_MIN <= total <= INT_MAX:
        raise EvalError(ErrorKind.OVERFLOW)
    return total if count else None


def _evaluate_min(buckets: Iterable[tuple[int, Bucket]]) -> int | None:
    return min((bucket[1] for _, bucket in buckets if bucket[0]), default=None)


def _evaluate_max(buckets: Iterable[tuple[int, Bucket]]) -> int | None:
    return max((bucket[1] for _, bucket in buckets if bucket[0]), default=None)


def _evaluate_last(buckets: Iterable[tuple[int, Bucket]]) -> FactValue | None:
    latest: tuple[int, FactValue] | None = None
    for day, (count, _, value) in buckets:
        if count and (latest is None or day >= latest[0]):
            latest = (day, value)
    return latest[1] if latest is not None else None


def _evaluate_distinct(buckets: Iterable[tuple[int, Bucket]]) -> int | None:
    found: set[str] = set()
    for _, (_, groups) in buckets:
        if groups is None:
            raise EvalError(ErrorKind.RANGE)
        found.update(groups)
        if len(found) > MAX_GROUPS_A_WINDOW:
            raise EvalError(ErrorKind.RANGE)
    return len(found) or None


def _evaluate_top(buckets: Iterable[tuple[int, Bucket]]) -> int | None:
    totals: dict[str, int] = {}
    for _, (_, groups) in buckets:
        if groups is None:
            raise EvalError(ErrorKind.RANGE)
        for group, total in groups.items():
            if total is None:
                raise EvalError(ErrorKind.OVERFLOW)
            totals[group] = totals.get(group, 0) + total
        if len(totals) > MAX_GROUPS_A_WINDOW:
            raise EvalError(ErrorKind.RANGE)
    top = max(totals.values(), default=None)
    if top is not None and not INT_MIN <= top <= INT_MAX:
        raise EvalError(ErrorKind.OVERFLOW)
    return top


_EVALUATORS: dict[str, Callable[[Iterable[tuple[int, Bucket]]], FactValue | None]] = {
    "count": _evaluate_count,
    "sum": _evaluate_sum,
    "min": _evaluate_min,
    "max": _evaluate_max,
    "last": _evaluate_last,
    "distinct": _evaluate_distinct,
    "top": _evaluate_top,
}
AGGREGATES = tuple(_EVALUATORS)
