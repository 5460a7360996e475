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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from ledger.rules.units import FactValue

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
    id: bytes  # 8 bytes
    predicate: Callable[[Event], bool] = dataclasses.field(compare=False, repr=False)

    def matches(self, event: Event) -> bool:
        """Return whether the event counts: its condition holds and its field is there."""
        raise NotImplementedError


class WindowReader(Protocol):
    """What the state answers about one company."""

    def buckets(
        self, stream: Stream, first_day: int, last_day: int
    ) -> Iterable[tuple[int, Bucket]]:
        """Return the stream's buckets from `first_day` to `last_day`, both included, ascending."""

    def coverage(
        self, category: str, record_schema: str, first_day: int, last_day: int
    ) -> bool:
        """Return whether the source attests that it reported everything of these days."""

    def last_attested(self, category: str, record_schema: str) -> int | None:
        """Return the latest day that a record or an attestation of the company covers."""


def new_bucket(kind: StreamKind) -> Bucket:
    """Return the bucket of a day without events."""
    raise NotImplementedError


def add_event(stream: Stream, bucket: Bucket, event: Event, order: int) -> Bucket:
    """Return `bucket` with one matching event more; `order` ranks the events of a day."""
    raise NotImplementedError


def add_events(stream: Stream, bucket: Bucket, events: Iterable[tuple[int, Event]]) -> Bucket:
    """Return `bucket` with many matching events more, each as (order, event)."""
    raise NotImplementedError


def build_bucket(stream: Stream, events: Iterable[tuple[int, Event]]) -> Bucket | None:
    """Return the bucket of those of a day's events that match, None if none does."""
    raise NotImplementedError


def evaluate(agg: str, buckets: Iterable[tuple[int, Bucket]]) -> FactValue | None:
    """Return the aggregate of the buckets, None when they hold no event.

    Raises `EvalError` OVERFLOW for a total outside 64 bits, RANGE for too many groups.
    """
    raise NotImplementedError
