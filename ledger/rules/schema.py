"""Feature schemas: what a rule may know, and how every replica computes it (RULES.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ledger.rules.units import FactValue, Unit
from ledger.rules.windows import Stream, WindowReader


@dataclass(frozen=True, slots=True)
class EventField:
    """A field of a record schema, as rules see it; `values` for an enumeration."""

    unit: Unit
    values: frozenset[str] | None = None


# Record schema ("C044", "C044/line") → field → what it is.
EventTypes = Mapping[str, Mapping[str, EventField]]


class FeatureSource(StrEnum):
    """Where a feature's value comes from."""

    RECORDS = "records"
    APPLICATION = "application"
    ASSET = "asset"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class Feature:
    """One declared fact; empty strings, zeros and None where a key does not apply."""

    name: str
    unit: Unit
    source: FeatureSource
    category: str = ""
    record_schema: str = ""
    agg: str = ""
    field: str = ""
    by: str = ""
    where_source: str = ""
    days: int = 0
    offset_days: int = 0
    fresh_days: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    values: frozenset[str] | None = None
    of: tuple[str, ...] = ()
    kind: str = ""  # the kind of asset, for source "asset" and "ledger"
    key: str = ""  # the field that equals the asset's document number
    stream: Stream | None = None

    @property
    def stream_id(self) -> bytes | None:
        """The id of the stream it is computed from, if any."""
        return self.stream.id if self.stream is not None else None


@dataclass(frozen=True, slots=True)
class Schema:
    """A registered schema; `ref` ("company/7") is how other documents name it."""

    id: str
    version: int
    source_hash: bytes
    features: Mapping[str, Feature]
    streams: tuple[Stream, ...]

    @property
    def ref(self) -> str:
        """The id and version, as other documents write them."""
        return f"{self.id}/{self.version}"

    def compute(
        self, as_of: int, read: WindowReader, names: Iterable[str] | None = None
    ) -> dict[str, FactValue]:
        """Return the facts of the record features `names` (default all) on the day `as_of`.

        What is missing, stale or out of its declared range is absent; `as_of` is always there.
        """
        raise NotImplementedError


def load_schema(source: bytes, events: EventTypes) -> Schema:
    """Return the schema that `source` declares; raise `RuleSourceError` with line and column."""
    raise NotImplementedError
