"""Matching: every product in force, looked at for one company, as a preview that only it sees.

`company.match` computes the company's facts as an application would, decides all products at once
(`ledger.rules.matching`), and ranks the answers by what they cost: a grant of all that is asked
before one of less, then the cheaper one by its own schedule of repayment, then the greater limit.
Of the others the nearest come first, each with the smallest change that would pass. It is answered
to the company's own key or to a counter acting for it, and nothing of it is kept: no application,
no entry in the log of looks, no word to any lender.

Which asset stands for an asset product: the company's best one of its kind, unpledged first, then
confirmed, then of the greatest amount, then registered first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.credit.assets import ASSET_ID_BYTES, Asset, AssetState, get_asset, get_pledge
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.lending.applications import MAX_DECLARED
from ledger.lending.facts import (
    Subject,
    compute_asset_facts,
    compute_ledger_facts,
    compute_record_facts,
)
from ledger.lending.loans.loan import TERM_DAYS_MAX
from ledger.lending.products import get_effective_product
from ledger.lending.ranking import TERM, Match, ProductBook, Ranking
from ledger.membership.context import (
    Query,
    QueryContext,
    RuleBook,
    check_acts_for,
    check_company_known,
)
from ledger.rules.changes import Change
from ledger.rules.decision import FAIL, Reason
from ledger.rules.features import Feature, FeatureSource
from ledger.rules.product import AMOUNT, Product
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue
from ledger.state.overlay import Overlay
from ledger.state.tables import COMPANY_ASSETS, PRODUCTS
from ledger.transactions.fields import Fields

ASKED_FEN = 50_000_000  # CNY 500,000.00, when nothing is said
ASKED_DAYS = 180
TOP = 20
# A change takes a part of a millisecond, or a few; a node that answers has other work as well.
MAX_TOP = 50
MAX_NAMED = 400


@dataclass(frozen=True, slots=True)
class Wish:
    """What the company asks of everybody: fen, days, and further facts of an application."""

    amount_fen: int = ASKED_FEN
    term_days: int = ASKED_DAYS
    declared: Mapping[str, FactValue] | None = None

    def to_facts(self) -> dict[str, FactValue]:
        """Return the facts of the application."""
        return {**(self.declared or {}), AMOUNT: self.amount_fen, TERM: self.term_days}


def get_products_in_force(state: Overlay, rules: RuleBook, day: int) -> tuple[Product, ...]:
    """Return every product that may be applied for on `day`, by id."""
    found = []
    for key, _ in state.scan(PRODUCTS, b""):
        try:
            found.append(get_effective_product(state, rules, key.decode(), day))
        except Rejected as error:
            if error.code is not Code.PRODUCT_NOT_EFFECTIVE:
                raise
    return tuple(found)


def find_best_assets(state: Overlay, company: str) -> dict[str, tuple[bytes, Asset]]:
    """Return (id, asset) of the company's best asset of each kind that it has."""
    best: dict[str, tuple[tuple[int, int, int, int, bytes], bytes, Asset]] = {}
    for key, _ in state.scan(COMPANY_ASSETS, company.encode()):
        asset_id = key[-ASSET_ID_BYTES:]
        asset = get_asset(state, asset_id)
        if asset.state is AssetState.WITHDRAWN:
            continue
        rank = (
            int(get_pledge(state, asset) is not None),
            int(asset.state is not AssetState.CONFIRMED),
            -asset.amount_fen,
            asset.registered_day,
            asset_id,
        )
        if asset.kind not in best or rank < best[asset.kind][0]:
            best[asset.kind] = rank, asset_id, asset
    return {kind: (asset_id, asset) for kind, (_, asset_id, asset) in best.items()}


def compute_match_facts(
    subject: Subject, assets: Iterable[Asset], schema: Schema, features: Iterable[Feature]
) -> dict[str, FactValue]:
    """Return the facts of a company on a day: by its records, loans and best assets.

    A feature of the asset that names no kind is left out: it would be another one's for each
    product.
    """
    named = {item.name: item for item in features}
    # What is computed from others follows them when a change is sought.
    named |= {part: schema.features[part] for item in named.values() for part in item.of}
    wanted = list(named.values())
    of_assets = [item for item in wanted if item.source is FeatureSource.ASSET and item.kind]
    facts = compute_record_facts(subject, schema, wanted)
    facts.update(compute_ledger_facts(subject, wanted))
    for asset in assets:
        about = Subject(subject.state, subject.bodies, subject.company, asset, subject.day)
        kind = [item for item in of_assets if item.kind == asset.kind]
        facts.update(compute_asset_facts(about, kind))
    return facts


def _read_wish(body: Fields) -> Wish:
    declared = body.raw("declared") if body.has("declared") else {}
    if not isinstance(declared, Mapping) or len(declared) > MAX_DECLARED:
        raise Rejected(Code.BODY_MALFORMED, f"field declared: want a map of at most {MAX_DECLARED}")
    if not all(name.startswith("ap.") for name in declared):
        raise Rejected(Code.BODY_MALFORMED, "field declared: want facts of applicants (ap.*)")
    return Wish(
        body.amount("amount_fen") if body.has("amount_fen") else ASKED_FEN,
        body.optional_integer("term_days", minimum=1, maximum=TERM_DAYS_MAX) or ASKED_DAYS,
        declared,
    )


def query_match(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`company.match` {company, amount_fen?, term_days?, declared?, products?, top?}.

    For the company itself or a counter: the `top` cheapest grants, the `top` nearest of the others
    with the change that would pass, and how many there are of each outcome. `products` names some
    of those in force, by id or reference.
    """
    fields = Fields(params)
    company = fields.company("company")
    wish = _read_wish(fields)
    named = fields.texts("products", maximum=MAX_NAMED) if fields.has("products") else None
    top = fields.optional_integer("top", minimum=1, maximum=MAX_TOP) or TOP
    fields.done()
    check_acts_for(context.caller, company)
    check_company_known(context.state, (company,))
    state, day = context.state, context.day
    only = None
    if named is not None:
        only = {get_effective_product(state, context.rules, ref, day).ref for ref in named}
    book = get_book(state, context.rules, day)
    assets = find_best_assets(state, company)
    best = [asset for _, asset in assets.values()]
    subject = Subject(state, context.chain, company, None, day)
    facts: dict[str, dict[str, FactValue]] = {}
    for ref, features in book.get_features().items():
        schema: Schema = context.rules.schema(ref)
        known = compute_match_facts(subject, best, schema, features)
        facts[ref] = known | wish.to_facts()
    ranking = book.rank(facts, day)
    if only is not None:
        ranking = ranking.keep(only)
    return {
        "company": company,
        "as_of": day,
        "asked_fen": wish.amount_fen,
        "term_days": wish.term_days,
        "assets": {kind: asset_id.hex() for kind, (asset_id, _) in sorted(assets.items())},
        **describe_ranking(book, ranking, top),
    }


def get_book(state: Overlay, rules: RuleBook, day: int) -> ProductBook:
    """Return the products in force on `day`, compiled once for all queries of the node."""
    products = get_products_in_force(state, rules, day)
    hashes = tuple(product.source_hash for product in products)
    book: ProductBook = rules.derived(("match", hashes), lambda: ProductBook(products))
    return book


def describe_ranking(book: ProductBook, ranking: Ranking, top: int) -> dict[str, Value]:
    """Return what is told of a company; amounts in fen, rates in basis points."""
    counts = Counter(found.verdict.outcome for found in ranking.all)
    reasons = Counter(reason.code for found in ranking.all for reason in found.verdict.reasons)
    return {
        "counts": {str(outcome): count for outcome, count in sorted(counts.items())},
        "reasons": dict(sorted(reasons.items())),
        "eligible": tuple([_describe(item) for item in ranking.grants[:top]]),
        "others": tuple([_describe(item) for item in book.explain(ranking, top)]),
        "units": book.units,
        "labels": book.labels,
        "measures": book.measures,
    }


def _describe(match: Match) -> dict[str, Value]:
    product, score, verdict = match.found
    limit_fen, amount_fen, rate_bp = verdict.terms or (None, None, None)
    return {
        "product": product.ref,
        "name": product.name,
        "name_zh": product.name_zh,
        "lender": product.lender,
        "line": product.line,
        "asset": product.asset,
        "requires": product.requires,
        "outcome": str(verdict.outcome),
        "limit_fen": limit_fen,
        "amount_fen": amount_fen,
        "rate_bp": rate_bp,
        "interest_fen": match.interest_fen,
        "score": score.points,
        "reasons": tuple([_describe_reason(product, reason) for reason in verdict.reasons]),
        "missing": verdict.missing,
        "change": None if match.change is None else describe_change(match.change),
    }


def _describe_reason(product: Product, reason: Reason) -> dict[str, Value]:
    text, text_zh = _find_texts(product, reason)
    return {
        "code": reason.code,
        "condition": reason.condition,
        "result": reason.result,
        "text": text,
        "text_zh": text_zh,
        "inputs": reason.inputs,
    }


def _find_texts(product: Product, reason: Reason) -> tuple[str, str]:
    """Return what the author says of a reason; a score that cannot be told has no text of his."""
    for item in product.conditions:
        if (item.id, item.reason) == (reason.condition, reason.code):
            return item.text, item.text_zh
    if reason.condition == "limit":
        return product.limit.text, product.limit.text_zh
    if reason.condition == "score" and reason.result == FAIL:
        return product.score_text, product.score_text_zh
    return "", ""


def describe_change(change: Change) -> dict[str, Value]:
    """Return a change as answers show it; a move of `as_of` is a day from which it would pass."""
    terms = None if change.verdict is None else change.verdict.terms
    limit_fen, amount_fen, rate_bp = terms or (None, None, None)
    return {
        "moves": tuple(
            {
                "feature": move.feature,
                "unit": move.unit,
                "before": move.before,
                "after": move.after,
                "others": move.others,
            }
            for move in change.moves
        ),
        "limit_fen": limit_fen,
        "amount_fen": amount_fen,
        "rate_bp": rate_bp,
    }


QUERIES: Mapping[str, Query] = {"company.match": query_match}
