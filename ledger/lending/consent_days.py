"""Which days of which categories a product reads, and whether the company's consents open them.

A decision by rule that a company applies for shows no record to the lender, and still reads what
the company has to have authorised: for each category that needs it, from the first to the last day
of the windows of the product's features. A feature without a window reads all that is known, from
`FIRST_DAY` on. The record that an asset names by its document number is looked up by that number:
who registers the asset and applies with it has named the record, whatever its day.

An application whose consents do not open these days is refused (CONSENT_DAYS, ADR 0026);
`consent.needed` says before it is sent which days of which categories the consents must open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ledger.credit.consent import DECIDING, Consent, find_basis, get_consent
from ledger.credit.looks import check_border, show_day
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.products import get_effective_product, select_authorised
from ledger.membership.context import (
    Query,
    QueryContext,
    Role,
    check_acts_for,
    check_company_known,
)
from ledger.membership.members import get_company_key
from ledger.rules.features import Feature, FeatureSource
from ledger.rules.product import Product
from ledger.rules.schema import Schema
from ledger.state.overlay import Overlay
from ledger.transactions.fields import FIRST_DAY, Fields

Days = tuple[int, int]  # first and last, both included


def compute_first_day(feature: Feature, day: int) -> int:
    """Return the first day that a feature's own window reads when it is computed as of `day`."""
    return day - feature.offset_days - feature.days + 1 if feature.days else FIRST_DAY


def compute_needed_days(
    product: Product, schema: Schema, categories: Iterable[str], day: int
) -> dict[str, Days]:
    """Return the days that the product reads of each of `categories`, decided on `day`.

    A category of which it reads no window is left out.
    """
    wanted = set(categories)
    needed: dict[str, Days] = {}
    for feature in _windows(schema, product.features):
        if feature.category in wanted:
            first, last = compute_first_day(feature, day), day - feature.offset_days
            before = needed.get(feature.category, (first, last))
            needed[feature.category] = (min(first, before[0]), max(last, before[1]))
    return needed


def _windows(schema: Schema, features: Iterable[Feature]) -> Iterator[Feature]:
    """Yield the features over windows of records that `features` are made of."""
    for feature in features:
        if feature.of:
            yield from _windows(schema, (schema.features[name] for name in feature.of))
        elif feature.source is FeatureSource.RECORDS and feature.category:
            yield feature


def find_decision_basis(
    state: Overlay, company: str, product: Product, schema: Schema, day: int, time_ms: int
) -> tuple[str, ...]:
    """Return the consents that a decision which the company applies for rests on.

    Raises `Rejected`: CONSENT_MISSING without one, CONSENT_DAYS where none opens all the days that
    the product reads of a category, CONSENT_BORDER where the lender is abroad and data may not go.
    """
    categories = select_authorised(state, product.requires)
    needed = compute_needed_days(product, schema, categories, day)

    def is_fit(consent_id: str, consent: Consent, category: str) -> bool:
        try:
            check_border(state, product.lender, consent_id, consent)
        except Rejected:
            return False
        return _opens(consent, needed.get(category))

    found = find_basis(state, company, product.lender, categories, DECIDING, time_ms, is_fit)
    known = {item: _get(state, item) for item in found}
    for category in categories:
        fits = [item for item in found if category in known[item].categories]
        if not any(is_fit(item, known[item], category) for item in fits):
            _refuse(state, product, (fits[0], known[fits[0]]), category, needed.get(category))
    return found


def _get(state: Overlay, consent_id: str) -> Consent:
    consent = get_consent(state, bytes.fromhex(consent_id))
    if consent is None:
        raise Rejected(Code.CONSENT_UNKNOWN, f"consent {consent_id} is not known")
    return consent


def _opens(consent: Consent, days: Days | None) -> bool:
    if days is None:
        return True
    return consent.decision_from_day <= days[0] and days[1] <= consent.to_day


def _refuse(
    state: Overlay,
    product: Product,
    found: tuple[str, Consent],
    category: str,
    days: Days | None,
) -> None:
    """Raise `Rejected` for a consent that covers a category and still does not do."""
    consent_id, consent = found
    check_border(state, product.lender, consent_id, consent)
    if days is not None:
        raise Rejected(
            Code.CONSENT_DAYS,
            f"{product.ref} reads {category} from {show_day(days[0])} to {show_day(days[1])},"
            f" consent {consent_id} opens {show_day(consent.decision_from_day)} to"
            f" {show_day(consent.to_day)} for decisions",
        )


def query_needed(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`consent.needed` {company, product}: the days that consents must open for an application.

    For the company, a counter, the lender and regulators. `consents` are those that an application
    today would rest on; `code` and `text` say why it would be refused, 0 and "" that it would not.
    """
    fields = Fields(params)
    company, ref = fields.company("company"), fields.text("product")
    fields.done()
    state, day, caller = context.state, context.day, context.caller
    product = get_effective_product(state, context.rules, ref, day)
    if caller.id != product.lender and caller.role is not Role.REGULATOR:
        check_acts_for(caller, company)
    if caller.is_company and get_company_key(state, company) is None:
        raise Rejected(Code.SENDER_UNKNOWN, f"company {company} has no bound key to apply with")
    check_company_known(state, (company,))
    schema: Schema = context.rules.schema(product.schema_ref)
    categories = select_authorised(state, product.requires)
    needed = compute_needed_days(product, schema, categories, day)
    consents: tuple[str, ...] = ()
    code, text = Code.OK, ""
    try:
        consents = find_decision_basis(state, company, product, schema, day, context.time_ms)
    except Rejected as refusal:
        code, text = refusal.code, refusal.message
    return {
        "company": company,
        "product": product.ref,
        "lender": product.lender,
        "categories": tuple(_describe(category, needed) for category in categories),
        "consents": consents,
        "code": int(code),
        "text": text,
    }


def _describe(category: str, needed: Mapping[str, Days]) -> dict[str, Value]:
    first, last = needed.get(category, (None, None))
    return {"category": category, "first_day": first, "last_day": last}


QUERIES: Mapping[str, Query] = {"consent.needed": query_needed}
