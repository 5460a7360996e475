"""Matching one company and the changes that would pass, on every product of the province."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from analytics.matching.rules import Rules, load_rules
from ledger.lending.ranking import ProductBook
from ledger.rules.decision import Outcome
from ledger.rules.matching import Matcher
from tests.analytics.random_facts import find_edges, make_facts, make_near
from tests.rules.test_changes import check_change
from tests.rules.test_matching import check_equal

NETWORK = Path(__file__).parents[2] / "genesis/networks/guangdong"
DAY = 18_600
WISH = {"as_of": DAY, "ap.amount": 50_000_000, "ap.term": 180}


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(NETWORK, DAY)


@pytest.fixture(scope="module")
def companies(rules: Rules) -> list[dict[str, Any]]:
    by_name = {item.name: item for product in rules.products for item in product.features}
    features, edges = list(by_name.values()), find_edges(rules.products)
    liked = rules.products[:: len(rules.products) // 6]
    rows = make_near(liked, features, edges, 5, 12) + make_facts(features, edges, 6, 4)
    return [{**row, **WISH} for row in rows]


def test_the_matcher_decides_as_each_of_all_products(
    rules: Rules, companies: list[dict[str, Any]]
) -> None:
    matcher = Matcher(rules.products)
    counts = Counter(item for facts in companies for item in check_equal(matcher, facts))
    assert set(counts) == set(Outcome)
    assert counts.total() == len(rules.products) * len(companies)


def test_every_change_that_is_told_passes_and_is_minimal(
    rules: Rules, companies: list[dict[str, Any]]
) -> None:
    book = ProductBook(rules.products)
    found = 0
    for facts in companies[:3]:
        ranking = book.rank(dict.fromkeys(rules.schemas, facts), DAY)
        situations = book.stand(ranking)
        for item in ranking.others:
            change, _ = book.find_change(item.product, situations)
            check_change(item.product, facts, change)
            found += change is not None
    assert found > 100
