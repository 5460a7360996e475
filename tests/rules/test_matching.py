"""Matching many products at once against each product's own decision."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import LocalError
from ledger.rules.decision import Outcome
from ledger.rules.matching import Matcher
from ledger.rules.product import Product
from tests.rules.matchers import SAMPLE, compile_over, product_of, products, some_facts

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


def check_equal(matcher: Matcher, facts: dict[str, Any]) -> list[Outcome]:
    """Check both answers of the matcher against every product; return the outcomes."""
    want = [product.decide(facts) for product in matcher.products]
    assert matcher.decide(facts) == want
    for answer, decision in zip(matcher.outcomes(facts), want, strict=True):
        assert (answer.product.ref, answer.outcome) == (decision.product, decision.outcome)
        terms = (decision.limit_fen, decision.amount_fen, decision.rate_bp)
        assert (answer.terms or (None, None, None)) == terms
    return [decision.outcome for decision in want]


@settings(max_examples=150, deadline=None, suppress_health_check=_QUIET)
@given(products(4), st.lists(some_facts(), min_size=1, max_size=6))
def test_a_matcher_decides_as_each_product_does(
    made: list[Product], companies: list[dict[str, Any]]
) -> None:
    matcher = Matcher(made)
    for facts in companies:
        check_equal(matcher, facts)


_FACTS: dict[str, Any] = {
    "as_of": 18_312,
    "co.sales_12m": 1_000_000_000,
    "co.tax_grade": "A",
    "co.void_rate": 300,
    "co.overdue_days_max_24m": 0,
    "rv.amount": 150_000_000,
    "rv.confirmed": True,
    "ap.amount": 112_000_000,
    "ap.term": 120,
}


def test_a_registered_product_with_every_fact_missing_in_turn() -> None:
    matcher = Matcher([SAMPLE])
    outcomes = set(check_equal(matcher, _FACTS))
    for name in _FACTS:
        outcomes |= set(check_equal(matcher, {n: v for n, v in _FACTS.items() if n != name}))
    outcomes |= set(check_equal(matcher, {**_FACTS, "rv.confirmed": False}))
    assert outcomes == set(Outcome)


def test_products_of_several_schemas_are_not_matched_together() -> None:
    number = compile_over("a")
    assert number is not None
    with pytest.raises(LocalError, match=r"company/7, letters/1, want one schema"):
        Matcher([SAMPLE, product_of("OTHER", [], number, [])])


def test_a_condition_that_many_products_ask_is_computed_once() -> None:
    condition, number = compile_over("a / b == 7 && f"), compile_over("a")
    assert condition is not None
    assert number is not None
    matcher = Matcher([product_of(f"P{n}", [condition], number, [number]) for n in range(20)])
    assert set(check_equal(matcher, {"a": 700, "b": 100, "f": True, "ap.amount": 50})) == {
        Outcome.GRANT
    }
    assert set(check_equal(matcher, {"a": 700, "b": 0, "f": True})) == {Outcome.REFER}
    assert set(check_equal(matcher, {"a": 700, "b": 0, "f": False})) == {Outcome.DECLINE}
