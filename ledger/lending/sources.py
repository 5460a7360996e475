"""Where the facts of a decision came from: for each input the records, the asset or the loan book.

A decision keeps the values it saw. For a person that is not enough: who is declined asks which
record said so, to object to it. The schema says how each input is made; the windows that it names
are read again as they stood at the application's place in the chain: records that came later do not
count, one that was corrected since is shown with its standing of today. Nothing is shown but the
day, number and digest of records; what they say is asked for with `company.records`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger.credit.assets import get_asset
from ledger.credit.records import PlacedRecord, RecordStatus, find_latest, get_records
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.applications import (
    Application,
    find_open_days,
    get_facts,
    read_application,
)
from ledger.membership.context import Query, QueryContext, Role
from ledger.rules.features import AS_OF, Feature, FeatureSource
from ledger.rules.product import Product
from ledger.rules.schema import Schema
from ledger.rules.windows import FIRST_DAY
from ledger.transactions.fields import Fields

MAX_COUNTED = 10_000
MAX_SHOWN = 3


def query_sources(context: QueryContext, body: Mapping[str, Any]) -> Value:
    """`application.sources` {application}: what each input of its decision was made from.

    For the company, the lender, the applicant and regulators. Raise `Rejected` (2006, 2406).
    """
    reader = Fields(body)
    application_id, application = read_application(context.state, reader, "application")
    reader.done()
    caller = context.caller
    concerned = (application.company, application.lender, application.applicant)
    if caller.id not in concerned and caller.role is not Role.REGULATOR:
        raise Rejected(Code.NOT_PERMITTED, f"{caller.id} may not see this application")
    product: Product = context.rules.product(application.product)
    schema: Schema = context.rules.schema(product.schema_ref)
    facts = get_facts(context.state, application_id, application)
    tracing = _Tracing(context, application, schema, _find_open_days(context, application, product))
    names = sorted({feature.name for feature in product.features} | facts.keys())
    return {
        "application": application_id.hex(),
        "company": application.company,
        "schema": schema.ref,
        "day": application.day,
        "height": application.height,
        "inputs": [tracing.describe(name, facts.get(name)) for name in names],
    }


def _find_open_days(
    context: QueryContext, application: Application, product: Product
) -> Mapping[str, tuple[int, int]]:
    """Return the days to which the windows are cut: those of a look, but for the company itself."""
    is_look = application.applicant == application.lender
    if not is_look or context.caller.id == application.company:
        return {}
    return find_open_days(context.state, product, application.consents)


@dataclass(slots=True)
class _Tracing:
    """One application's inputs; windows that several of them share are read once."""

    context: QueryContext
    application: Application
    schema: Schema
    open_days: Mapping[str, tuple[int, int]]  # where not all is open to whom asks
    _windows: dict[tuple[str, int, int], Value] = field(default_factory=dict)

    def describe(self, name: str, value: Any) -> Value:
        """Return an input with its value and what that was made from."""
        feature = self.schema.features.get(name)
        if feature is None:  # the wish itself: amount and term
            return {"input": name, "value": value, "source": "application", "records": []}
        source = "block" if name == AS_OF else str(feature.source)
        windows = [self._window(part) for part in self._parts(feature)]
        shown: dict[str, Value] = {
            "input": name,
            "value": value,
            "unit": str(feature.unit),
            "source": source,
            "records": windows,
        }
        if feature.source is FeatureSource.ASSET:
            shown["asset"] = self.application.asset
        return shown

    def _parts(self, feature: Feature) -> Iterator[Feature]:
        """Yield the features made from records that this one is made of."""
        if feature.of:
            for name in feature.of:
                yield from self._parts(self.schema.features[name])
        elif feature.category:
            yield feature

    def _window(self, feature: Feature) -> Value:
        full_name = feature.category
        if feature.record_schema:
            full_name += f"/{feature.record_schema}"
        if feature.source is FeatureSource.ASSET:
            return self._looked_up(feature, full_name)
        last = self.application.day - feature.offset_days
        first = last - feature.days + 1 if feature.days else FIRST_DAY
        opened = self.open_days.get(feature.category, (first, last))
        first, last = max(first, opened[0]), min(last, opened[1])
        key = (full_name, first, last)
        if key not in self._windows:
            self._windows[key] = self._read(feature, *key)
        return self._windows[key]

    def _read(self, feature: Feature, full_name: str, first: int, last: int) -> Value:
        found: list[PlacedRecord] = []
        records = get_records(self.context.state, self.application.company, full_name, first, last)
        for placed in records:
            if len(found) == MAX_COUNTED:
                break
            if self._is_before(placed):
                found.append(placed)
        counted = self._standing(found)
        latest = sorted(counted, key=lambda placed: (placed.day, placed.entry.seq))[-MAX_SHOWN:]
        return {
            **_named(feature, first if first > FIRST_DAY else None, last),
            "count": len(counted),
            "is_more": len(found) == MAX_COUNTED,
            "latest": [_describe(placed) for placed in reversed(latest)],
        }

    def _looked_up(self, feature: Feature, full_name: str) -> Value:
        """Describe the one record whose key is the asset's document number, as it stands now."""
        state, company = self.context.state, self.application.company
        document = _document_of(self.context, self.application)
        place = find_latest(state, company, full_name, feature.key, document)
        day, *where = (0,) if place is None else place
        shown = [
            _describe(placed)
            for placed in get_records(state, company, full_name, day, day)
            if [placed.entry.height, placed.entry.position, placed.entry.index] == where
            and self._is_before(placed)
        ]
        named = _named(feature, None, self.application.day)
        return {**named, "count": len(shown), "is_more": False, "latest": shown}

    def _is_before(self, placed: PlacedRecord) -> bool:
        place = (placed.entry.height, placed.entry.position)
        return place < (self.application.height, self.application.position)

    def _standing(self, found: list[PlacedRecord]) -> list[PlacedRecord]:
        """Return the records that counted then: no conflicts, and none corrected before."""
        known = {placed.entry.seq for placed in found}
        return [
            placed
            for placed in found
            if placed.entry.status is not RecordStatus.CONFLICT
            and placed.entry.corrected_by not in known
        ]


def _named(feature: Feature, first: int | None, last: int) -> dict[str, Value]:
    return {
        "category": feature.category,
        "schema": feature.record_schema,
        "aggregate": feature.agg,
        "field": feature.field,
        "from_day": first,
        "to_day": last,
    }


def _describe(placed: PlacedRecord) -> Value:
    entry = placed.entry
    return {
        "number": entry.seq,
        "day": placed.day,
        "digest": entry.digest,
        "height": entry.height,
        "status": entry.status.name,
    }


def _document_of(context: QueryContext, application: Application) -> str:
    if not application.asset:
        return ""
    return get_asset(context.state, bytes.fromhex(application.asset)).document_no


QUERIES: Mapping[str, Query] = {"application.sources": query_sources}
