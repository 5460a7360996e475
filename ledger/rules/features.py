"""Features: what is declared of a fact, and how one company's facts are computed on one day.

Missing is never zero: an empty window counts as zero only where the source attests that it reported
all of it, a feature older than its `fresh_days` is absent, and so is one outside its declared range
(RULES.md, "Expressions" and "An alert").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ledger.rules.failures import ErrorKind, EvalError
from ledger.rules.limits import MAX_TEXT_CHARACTERS
from ledger.rules.operations import ratio_bp
from ledger.rules.types import Variable, type_of_unit
from ledger.rules.units import FactValue, Unit, is_of_unit
from ledger.rules.windows import (
    FIRST_DAY,
    Bucket,
    Stream,
    WindowReader,
    convert_bucket,
    evaluate,
)

AS_OF = "as_of"
_ZERO_WHEN_EMPTY = frozenset({"sum", "count", "distinct", "top"})


class FeatureSource(StrEnum):
    """Where a feature's value comes from."""

    RECORDS = "records"
    APPLICATION = "application"
    ASSET = "asset"
    LEDGER = "ledger"


class Leeway(StrEnum):
    """Which way the company itself can move a fact: what a change that would pass may propose.

    A schema says it with `change`; `FIXED` is what is past, or for others to say.
    """

    FIXED = "fixed"
    UP = "up"
    DOWN = "down"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Measure:
    """What a count counts, for people: a figure of 12345 with 3 decimals in kWh is 12.345 kWh."""

    decimals: int
    name: str
    name_zh: str


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
    currency: str = ""  # the foreign money of its field, when the feature is in fen
    max_events: int = 0  # more in the window is an error; 0: no bound
    change: Leeway | None = None  # as the schema declares
    text: str = ""  # what it is called, in English and in Chinese; may be empty
    text_zh: str = ""
    measure: Measure | None = None

    @property
    def stream_id(self) -> bytes | None:
        """The id of the stream it is computed from, if any."""
        return self.stream.id if self.stream is not None else None

    @property
    def leeway(self) -> Leeway:
        """Which way the company can move it: as declared, else what its unit and source suggest.

        Days pass, dates of records and windows that ended are history, a debt can be paid back, and
        a text that is no choice among known values (a region) says who the company is.
        """
        if self.change is not None:
            return self.change
        if self.name == AS_OF:
            return Leeway.UP
        if self.source in (FeatureSource.APPLICATION, FeatureSource.ASSET):
            return Leeway.ANY
        if self.source is FeatureSource.LEDGER:
            return Leeway.FIXED if self.unit in (Unit.DAYS, Unit.DATE) else Leeway.DOWN
        is_history = self.unit is Unit.DATE or self.offset_days > 0
        is_identity = self.unit is Unit.TEXT and self.values is None
        return Leeway.FIXED if is_history or is_identity else Leeway.ANY

    @property
    def variable(self) -> Variable:
        """What an expression may know of it."""
        return Variable(type_of_unit(self.unit), self.minimum, self.maximum, self.values)

    def accepts(self, value: FactValue) -> bool:
        """Return whether `value` has the declared type and lies in the declared range."""
        if not is_of_unit(value, self.unit):
            return False
        if isinstance(value, str):
            return len(value) <= MAX_TEXT_CHARACTERS and (
                self.values is None or value in self.values
            )
        if self.minimum is not None and value < self.minimum:
            return False
        return self.maximum is None or value <= self.maximum


class Computation:
    """The record features of one company on one day, each computed at most once.

    `errors` says why a value is missing when it is for another reason than that nobody gave it.
    """

    def __init__(self, features: Mapping[str, Feature], as_of: int, read: WindowReader) -> None:
        self._features = features
        self._as_of = as_of
        self._read = read
        self._known: dict[str, FactValue | None] = {}
        self.errors: dict[str, ErrorKind] = {}

    def get(self, name: str) -> FactValue | None:
        """Return the value of a record feature, None if it is missing or of another source."""
        if name not in self._known:
            feature = self._features[name]
            try:
                value = self._compute(feature)
                if value is not None and not feature.accepts(value):
                    raise EvalError(ErrorKind.RANGE)
            except EvalError as error:
                self.errors[name] = error.kind
                value = None
            self._known[name] = value
        return self._known[name]

    def _compute(self, feature: Feature) -> FactValue | None:
        if feature.name == AS_OF:
            return self._as_of
        if feature.source is not FeatureSource.RECORDS:
            return None
        if feature.stream is not None:
            return self._aggregate(feature, feature.stream)
        parts = [self.get(name) for name in feature.of]
        if feature.agg == "days_since":
            return None if parts[0] is None else self._as_of - int(parts[0])
        if parts[0] is None or parts[1] is None:
            return None
        return ratio_bp(int(parts[0]), int(parts[1]))

    def _aggregate(self, feature: Feature, stream: Stream) -> FactValue | None:
        if feature.fresh_days is not None:
            attested = self._read.last_attested(stream.category, stream.record_schema)
            if attested is None or attested < self._as_of - feature.fresh_days:
                return None
        last_day = self._as_of - feature.offset_days
        first_day = last_day - feature.days + 1 if feature.days else FIRST_DAY
        buckets = self._read.buckets(stream, first_day, last_day)
        if feature.max_events:
            buckets = _bounded(buckets, feature.max_events)
        if feature.currency:
            # Of the last value only its own day's rate is needed.
            needed = list(buckets)[-1:] if feature.agg == "last" else buckets
            buckets = self._in_fen(feature.currency, stream, needed)
        value = evaluate(feature.agg, buckets)
        if value is None and feature.agg in _ZERO_WHEN_EMPTY:
            covered = self._read.coverage(
                stream.category, stream.record_schema, first_day, last_day
            )
            return 0 if covered else None
        return value

    def _in_fen(
        self, currency: str, stream: Stream, buckets: Iterable[tuple[int, Bucket]]
    ) -> list[tuple[int, Bucket]]:
        """Return the buckets in fen, each at its day's rate; raise `EvalError` MISSING without."""
        found = []
        for day, bucket in buckets:
            rate_ppm = self._read.rate_ppm(currency, day)
            if rate_ppm is None:
                raise EvalError(ErrorKind.MISSING)
            found.append((day, convert_bucket(stream, bucket, rate_ppm)))
        return found


def _bounded(buckets: Iterable[tuple[int, Bucket]], max_events: int) -> list[tuple[int, Bucket]]:
    """Return the buckets; raise `EvalError` RANGE if they hold more events than that."""
    found = list(buckets)
    if sum(bucket[0] for _, bucket in found) > max_events:
        raise EvalError(ErrorKind.RANGE)
    return found


def accept_facts(
    features: Iterable[Feature], facts: Mapping[str, FactValue]
) -> dict[str, FactValue]:
    """Return those of `facts` that have the declared type and range; the rest count as missing."""
    accepted: dict[str, FactValue] = {}
    for feature in features:
        value = facts.get(feature.name)
        if value is not None and feature.accepts(value):
            accepted[feature.name] = value
    return accepted


def streams_of(names: Iterable[str], features: Mapping[str, Feature]) -> tuple[Stream, ...]:
    """Return the streams that the features `names` are computed from, in the order of their ids."""
    found: dict[bytes, Stream] = {}
    for name in names:
        feature = features[name]
        for part in (feature, *(features[of] for of in feature.of)):
            if part.stream is not None:
                found[part.stream.id] = part.stream
    return tuple(found[key] for key in sorted(found))
