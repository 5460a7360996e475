"""Facts that no record gives: the asset an application names, and the loan book of this ledger.

A schema declares them with `source = "asset"` or `source = "ledger"`. One with `category`, `key`
and `field` looks up the latest record of the company in that category whose `key` field is the
asset's document number. The others are the built-in ones of the two tables below, found by the last
part of the feature's name ("rv.amount" is `amount`); a feature that no table knows is refused when
a product that reads it is registered, never silently absent. What is not known is absent: an asset
of another kind than declared, an amount in foreign money, a value outside the declared range.
The loan book is complete by construction, so a company without loans has a debt of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ledger.credit.assets import Asset, AssetState, find_pledged_match, get_pledge
from ledger.credit.currencies import HOME_CURRENCY
from ledger.credit.records import find_by_identity, find_latest, read_fields
from ledger.credit.windows_state import CompanyWindows
from ledger.lending.loans.loan import (
    LATE_KEPT_DAYS,
    Loan,
    compute_days_past_due,
    compute_late_days_max,
)
from ledger.lending.registry_facts import REGISTRY_CATEGORIES, REGISTRY_FACTS
from ledger.membership.context import BodyReader
from ledger.rules.features import Feature, FeatureSource
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue, Unit
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_LOANS, LOANS

INVOICE_CATEGORY, INVOICE_LINES = "C044", "C044/line"  # its identity: invoice_no, issued_on


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and what the facts are about, on which day."""

    state: Overlay
    bodies: BodyReader
    company: str
    asset: Asset | None
    day: int


def get_loans(state: Overlay, company: str) -> Iterator[tuple[bytes, Loan]]:
    """Yield (id, loan) of every loan of the company, by id."""
    for key, _ in state.scan(COMPANY_LOANS, company.encode()):
        loan_id = key[len(company) :]
        yield loan_id, Loan.from_value(state.get(LOANS, loan_id))


def _debt_outstanding(loans: list[Loan], _day: int) -> int:
    return sum(loan.outstanding_fen for loan in loans)


def _overdue_days_max_24m(loans: list[Loan], day: int) -> int:
    return max((compute_late_days_max(loan, day, LATE_KEPT_DAYS) for loan in loans), default=0)


def _overdue_days(loans: list[Loan], day: int) -> int:
    open_loans = (loan for loan in loans if not loan.is_closed)
    return max((compute_days_past_due(loan, day) for loan in open_loans), default=0)


def _loans_open(loans: list[Loan], _day: int) -> int:
    return sum(1 for loan in loans if not loan.is_closed)


def _lenders(loans: list[Loan], _day: int) -> int:
    return len({loan.lender for loan in loans if not loan.is_closed})


LEDGER_FACTS: Mapping[str, tuple[frozenset[Unit], Callable[[list[Loan], int], int]]] = {
    "debt_outstanding": (frozenset({Unit.FEN}), _debt_outstanding),
    "overdue_days_max_24m": (frozenset({Unit.DAYS}), _overdue_days_max_24m),
    "overdue_days": (frozenset({Unit.DAYS}), _overdue_days),
    "loans_open": (frozenset({Unit.COUNT}), _loans_open),
    "lenders": (frozenset({Unit.COUNT}), _lenders),
}


def _amount(subject: Subject, asset: Asset) -> FactValue | None:
    del subject
    return asset.amount_fen if asset.currency == HOME_CURRENCY and asset.amount_fen else None


def _due(subject: Subject, asset: Asset) -> FactValue | None:
    del subject
    return asset.due_day


def _dated(subject: Subject, asset: Asset) -> FactValue | None:
    del subject
    return asset.day


def _kind(subject: Subject, asset: Asset) -> FactValue | None:
    del subject
    return asset.kind


def _confirmed(subject: Subject, asset: Asset) -> FactValue | None:
    del subject
    return asset.state is AssetState.CONFIRMED


def _pledged_fen(subject: Subject, asset: Asset) -> FactValue | None:
    pledge = get_pledge(subject.state, asset)
    return pledge.amount_fen if pledge is not None else 0


def _is_pledged(subject: Subject, asset: Asset) -> FactValue | None:
    return get_pledge(subject.state, asset) is not None


def _pledged_match(subject: Subject, asset: Asset) -> FactValue | None:
    return str(find_pledged_match(subject.state, asset))


def _invoice_verified(subject: Subject, asset: Asset) -> FactValue | None:
    """Tell whether tax records hold a valid invoice of this number, date and at least amount.

    Tax records are in yuan: of a claim in other money it is not known.
    """
    if asset.currency != HOME_CURRENCY:
        return None
    identity = (asset.document_no, asset.day)
    entry = find_by_identity(subject.state, asset.company, INVOICE_LINES, asset.day, identity)
    if entry is None:
        return False
    invoice = read_fields(subject.bodies, entry.height, entry.position, entry.index)
    return invoice["status"] == "V" and bool(invoice["gross"] >= asset.amount_fen)


AssetFact = Callable[[Subject, Asset], "FactValue | None"]
ASSET_FACTS: Mapping[str, Mapping[Unit, AssetFact]] = {
    "amount": {Unit.FEN: _amount},
    "due": {Unit.DATE: _due},
    "dated": {Unit.DATE: _dated},
    "kind": {Unit.TEXT: _kind},
    "confirmed": {Unit.FLAG: _confirmed},
    "pledged": {Unit.FEN: _pledged_fen, Unit.FLAG: _is_pledged},
    "pledged_match": {Unit.TEXT: _pledged_match},
    "invoice_verified": {Unit.FLAG: _invoice_verified},
}


def builtin_name(feature: Feature) -> str:
    """Return the name under which a built-in feature is looked up."""
    return feature.name.rpartition(".")[2]


def find_unsupported(feature: Feature) -> str | None:
    """Return why no replica can compute the feature, or None when each can."""
    if feature.source is FeatureSource.ASSET and not feature.category:
        units = frozenset(ASSET_FACTS.get(builtin_name(feature), {}))
        names = ASSET_FACTS
    elif feature.source is FeatureSource.LEDGER:
        known = {name: units for name, (units, _) in LEDGER_FACTS.items()}
        known |= {name: units for name, (units, _) in REGISTRY_FACTS.items()}
        units = known.get(builtin_name(feature), frozenset[Unit]())
        names = known  # type: ignore[assignment]
    else:
        return None
    if not units:
        return f"{feature.name}: the {feature.source} gives only {', '.join(sorted(names))}"
    if feature.unit not in units:
        return f"{feature.name}: got unit {feature.unit}, want {' or '.join(sorted(units))}"
    return None


def read_categories(feature: Feature) -> frozenset[str]:
    """Return the categories that the feature reads, when it is not made from others."""
    if feature.category:
        return frozenset({feature.category})
    if feature.source is FeatureSource.ASSET and builtin_name(feature) == "invoice_verified":
        return frozenset({INVOICE_CATEGORY})
    if feature.source is FeatureSource.LEDGER:
        return REGISTRY_CATEGORIES.get(builtin_name(feature), frozenset())
    return frozenset()


def compute_record_facts(
    subject: Subject, schema: Schema, features: Iterable[Feature]
) -> dict[str, FactValue]:
    """Return those of `features` that records give, from the windows kept of them."""
    names = [feature.name for feature in features if feature.source is FeatureSource.RECORDS]
    return schema.compute(subject.day, CompanyWindows(subject.state, subject.company), names)


def compute_ledger_facts(subject: Subject, features: Iterable[Feature]) -> dict[str, FactValue]:
    """Return those of `features` that the loan book and the registry of assets give."""
    wanted = [feature for feature in features if feature.source is FeatureSource.LEDGER]
    if not wanted:
        return {}
    loans = [loan for _, loan in get_loans(subject.state, subject.company)]
    found: dict[str, tuple[Feature, FactValue | None]] = {}
    for feature in wanted:
        name = builtin_name(feature)
        if name in LEDGER_FACTS:
            found[feature.name] = (feature, LEDGER_FACTS[name][1](loans, subject.day))
        elif name in REGISTRY_FACTS:
            value = REGISTRY_FACTS[name][1](
                subject.state, subject.bodies, subject.company, subject.day
            )
            found[feature.name] = (feature, value)
    return _fitting(found)


def compute_asset_facts(subject: Subject, features: Iterable[Feature]) -> dict[str, FactValue]:
    """Return those of `features` that the named asset gives; none without an asset."""
    asset = subject.asset
    if asset is None:
        return {}
    return _fitting(
        {
            feature.name: (feature, _asset_fact(subject, asset, feature))
            for feature in features
            if feature.source is FeatureSource.ASSET and feature.kind in ("", asset.kind)
        }
    )


def _asset_fact(subject: Subject, asset: Asset, feature: Feature) -> FactValue | None:
    if not feature.category:
        compute = ASSET_FACTS.get(builtin_name(feature), {}).get(feature.unit)
        return compute(subject, asset) if compute is not None else None
    pointer = find_latest(
        subject.state,
        asset.company,
        feature.category + (f"/{feature.record_schema}" if feature.record_schema else ""),
        feature.key,
        asset.document_no,
    )
    if pointer is None:
        return None
    if feature.fresh_days is not None and pointer[0] < subject.day - feature.fresh_days:
        return None
    value: FactValue | None = read_fields(subject.bodies, *pointer[1:]).get(feature.field)
    return value


def _fitting(found: Mapping[str, tuple[Feature, FactValue | None]]) -> dict[str, FactValue]:
    """Keep the values that exist and are what the schema declares."""
    return {
        name: value
        for name, (feature, value) in found.items()
        if value is not None and feature.accepts(value)
    }
