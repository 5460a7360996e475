"""How far the products of a network differ: what each says of the same companies.

Two products are twins when they give every company the same outcome. A product that grants nobody,
or nearly everybody, is no product. Conditions are compared with their figures blanked: numbers,
amounts, rates and codes, so that a base rule with another figure counts once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from analytics.province.facts import Province
from analytics.province.parquet import make_tables
from ledger.rules.decision import Outcome
from ledger.rules.features import AS_OF
from ledger.rules.matching import Matcher
from ledger.rules.product import AMOUNT, Condition, Product
from ledger.rules.units import FactValue

TERM = "ap.term"
CHUNK = 2_000  # companies made at a time
_FIGURE = re.compile(r"[0-9]+|\bp\.[a-z0-9_]+")
_COMPANY = "company"


@dataclass(frozen=True, slots=True)
class Share:
    """What one product says of the companies, in numbers of them."""

    product: Product
    granted: int
    referred: int
    declined: int


@dataclass(frozen=True, slots=True)
class Spread:
    """What all products say of the same companies; `twins` are ids that never differ."""

    company_count: int
    shares: tuple[Share, ...]
    twins: tuple[tuple[str, ...], ...]
    condition_sets: int

    def granted_share(self, share: Share) -> float:
        """Return which part of the companies a product grants, 0 to 1."""
        return share.granted / self.company_count


@dataclass(frozen=True, slots=True)
class Wish:
    """What every company asks for: an amount in fen and a term in days."""

    amount_fen: int = 50_000_000
    term_days: int = 180

    def to_facts(self) -> dict[str, FactValue]:
        """Return the facts of the application."""
        return {AMOUNT: self.amount_fen, TERM: self.term_days}


def make_companies(count: int, seed: int, wish: Wish) -> Iterator[dict[str, FactValue]]:
    """Yield the facts of companies 0 to `count` - 1 of a synthetic province, with the wish."""
    province = Province(seed)
    for first in range(0, count, CHUNK):
        table = make_tables(province, first, min(CHUNK, count - first))[0]
        asked = {AS_OF: province.as_of, **wish.to_facts()}
        for row in table.to_pylist():
            del row[_COMPANY]
            yield {name: value for name, value in row.items() if value is not None} | asked


def find_wish_refusals(products: Iterable[Product], wish: Wish) -> dict[str, Condition]:
    """Return, by product id, the condition that declines the wish whoever asks.

    Such as a pawnbroker's, whom the law allows six months: of a longer wish its product says the
    same to every company, and as many companies cannot tell it from the next pawnbroker's.
    """
    asked = wish.to_facts()
    return {
        product.id: condition
        for product in products
        for condition in product.conditions
        if condition.when.reads <= asked.keys() and not condition.when.evaluate(asked)
    }


def count_condition_sets(products: Iterable[Product]) -> int:
    """Return how many sets of conditions there are when their figures are blanked."""
    return len(
        {
            frozenset(_FIGURE.sub("#", condition.when.source) for condition in product.conditions)
            for product in products
        }
    )


def measure_spread(
    products: Sequence[Product], companies: Iterable[Mapping[str, FactValue]]
) -> Spread:
    """Return what the products say of the companies."""
    matcher = Matcher(products)
    outcomes = [bytearray() for _ in products]
    marks = {outcome: ord(outcome[0]) for outcome in Outcome}
    company_count = 0
    for facts in companies:
        company_count += 1
        for vector, answer in zip(outcomes, matcher.outcomes(facts), strict=True):
            vector.append(marks[answer.outcome])
    alike: dict[bytes, list[str]] = defaultdict(list)
    for product, vector in zip(products, outcomes, strict=True):
        alike[bytes(vector)].append(product.id)
    shares = tuple(
        Share(
            product,
            vector.count(marks[Outcome.GRANT]),
            vector.count(marks[Outcome.REFER]),
            vector.count(marks[Outcome.DECLINE]),
        )
        for product, vector in zip(products, outcomes, strict=True)
    )
    twins = tuple(tuple(ids) for ids in alike.values() if len(ids) > 1)
    return Spread(company_count, shares, twins, count_condition_sets(products))
