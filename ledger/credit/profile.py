"""What is known of a company: its features, and its profile by dimension.

A profile lists every category of the catalogue, by dimension: how many records the caller may see,
how fresh they are for the category's cadence, and for how much of the last year their source
attests that nothing is missing. What the caller may not see is named as withheld, so that an empty
line is never taken for a clean one. Records whose time is over (`ledger.credit.retention`) do not
count for those who are not shown them, and under an authorisation none but those of its days that
stood on the chain when the look was logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeAlias

from ledger.credit.access import Basis, find_basis_or_none
from ledger.credit.access_log import read_access_id
from ledger.credit.company import check_company_code
from ledger.credit.records import PlacedRecord, RecordStatus, get_records
from ledger.credit.retention import is_hidden, is_shown_all
from ledger.credit.windows_state import CompanyWindows, Coverage, get_all_coverage
from ledger.encoding import Value
from ledger.membership.catalogue import Category
from ledger.membership.context import Query, QueryContext, RuleBook
from ledger.rules.schema import FeatureSource, Schema
from ledger.rules.units import FactValue
from ledger.state.overlay import Overlay
from ledger.state.tables import CATEGORIES
from ledger.transactions.fields import Fields
from ledger.transactions.records import decode_record

RecordSubject: TypeAlias = tuple[Category, str]  # the full name of one of its record schemas
YEAR_DAYS = 365
_BP = 10_000
# The longest that the latest record or attestation may lie back: a period and its usual delay.
FRESH_DAYS: Mapping[str, int] = {
    "daily": 7,
    "weekly": 14,
    "monthly": 45,
    "quarterly": 120,
    "yearly": 550,
    "event": 45,
}


class Freshness(StrEnum):
    """How recent what is known of a category is."""

    FRESH = "fresh"
    STALE = "stale"
    NONE = "none"  # nothing was ever supplied


def get_shown_coverage(
    context: QueryContext, company: str, basis: Basis, subject: RecordSubject, coverage: Coverage
) -> Coverage:
    """Return the coverage of a record schema without the records that are hidden from the caller.

    Only bodies of records are read that are older than their category's time.
    """
    category, full_name = subject
    is_all = category.retention is None or is_shown_all(context, category, company)
    if is_all and basis.log_size is None:
        return coverage
    oldest = context.day - (0 if category.retention is None else category.retention.days)
    records = get_records(context.state, company, full_name, basis.first_day, basis.last_day)
    found = [
        placed
        for placed in records
        if placed.entry.status is not RecordStatus.ERASED
        and is_within(basis, placed)
        and (is_all or placed.day >= oldest or not _is_over(context, category, company, placed))
    ]
    days = [placed.day for placed in found]
    return replace(
        coverage,
        intervals=tuple(_cut(basis, coverage.intervals)),
        record_count=len(days),
        conflict_count=sum(item.entry.status is RecordStatus.CONFLICT for item in found),
        first_day=min(days, default=None),
        last_day=max(days, default=None),
    )


def is_within(basis: Basis, placed: PlacedRecord) -> bool:
    """Tell whether the record stood on the chain when the look that is the basis was logged."""
    return basis.log_size is None or placed.entry.seq < basis.log_size


def _cut(basis: Basis, intervals: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the attested days among those that the basis opens."""
    for low, high in intervals:
        first = low if basis.first_day is None else max(low, basis.first_day)
        last = high if basis.last_day is None else min(high, basis.last_day)
        if first <= last:
            yield first, last


def _is_over(context: QueryContext, category: Category, company: str, placed: PlacedRecord) -> bool:
    entry = placed.entry
    fields = None
    # The body of a corrected record is not on every node (ADR 0023).
    if entry.corrected_by is None and entry.status is not RecordStatus.ERASED:
        body = context.chain.body(entry.height, entry.position, entry.index)
        fields = None if body is None else decode_record(body).fields
    return is_hidden(context, category, company, placed.day, fields)


def compute_freshness(coverage: Coverage | None, cadence: str, day: int) -> Freshness:
    """Return how fresh a record schema's coverage is on `day` for its category's cadence."""
    last = None if coverage is None else coverage.last_attested()
    if last is None:
        return Freshness.NONE
    return Freshness.FRESH if day - last <= FRESH_DAYS.get(cadence, 45) else Freshness.STALE


def compute_completeness_bp(coverage: Coverage | None, day: int) -> int:
    """Return the share of the last year that the source attests, in basis points."""
    intervals = () if coverage is None else coverage.intervals
    first = day - YEAR_DAYS + 1
    days = sum(max(0, min(high, day) - max(low, first) + 1) for low, high in intervals)
    return days * _BP // YEAR_DAYS


def query_profile(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`company.profile` {company, access?}: everything readable, by dimension (DOMAIN.md)."""
    fields = Fields(params)
    company = fields.text("company")
    check_company_code(context.state, company)
    access_id = read_access_id(fields)
    fields.done()
    coverages = dict(get_all_coverage(context.state, company.encode()))
    dimensions: dict[str, list[Value]] = {}
    withheld: list[Value] = []
    for category_id, _ in context.state.scan(CATEGORIES, b""):
        category = context.rules.category(category_id.decode())
        basis = find_basis_or_none(context, company, category, access_id)
        if basis is None:
            withheld.append(category.id)
            continue
        lines = dimensions.setdefault(category.dimension or "other", [])
        lines += _describe_category(context, company, (category, basis), coverages)
    log = context.state.company_log(company)
    return {
        "company": company,
        "as_of": context.day,
        "log_size": log.size,
        "log_root": log.root(),
        "dimensions": dimensions,
        "withheld": withheld,
    }


def _describe_category(
    context: QueryContext,
    company: str,
    readable: tuple[Category, Basis],
    coverages: Mapping[str, Coverage],
) -> Iterator[dict[str, Value]]:
    """Yield a line for each record schema: one without any record still says so."""
    day = context.day
    category, basis = readable
    for schema in category.latest().values():
        coverage = coverages.get(schema.full_name)
        if coverage is not None:
            subject = (category, schema.full_name)
            coverage = get_shown_coverage(context, company, basis, subject, coverage)
        yield {
            "schema": schema.full_name,
            "name": category.name,
            "cadence": category.cadence,
            "is_negative": category.is_negative,
            "is_self_declared": category.is_self_declared,
            "record_count": 0 if coverage is None else coverage.record_count,
            "last_day": None if coverage is None else coverage.last_day,
            "freshness": str(compute_freshness(coverage, category.cadence, day)),
            "complete_bp": compute_completeness_bp(coverage, day),
        }


def compute_features(
    state: Overlay,
    rules: RuleBook,
    company: str,
    schema_ref: str,
    names: Iterable[str] | None,
    day: int,
) -> dict[str, FactValue]:
    """Return the record features `names` (default all) of a company as of `day`, and `as_of`.

    Names of other sources (`ap.*`, assets, the loan book) and unknown ones are left out, and so is
    what is missing, stale or out of its declared range (RULES.md). Raise `Rejected` (2504).
    """
    schema: Schema = rules.schema(schema_ref)
    wanted = [
        name
        for name in (schema.features if names is None else sorted(names))
        if name in schema.features and schema.features[name].source is FeatureSource.RECORDS
    ]
    return schema.compute(day, CompanyWindows(state, company), wanted)


QUERIES: Mapping[str, Query] = {"company.profile": query_profile}
