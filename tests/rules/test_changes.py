"""The smallest change that would pass: it passes, nothing of it can be left out or made smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.rules import changes
from ledger.rules.changes import Change, ChangeFinder, find_change, find_points
from ledger.rules.decision import Decision, Outcome
from ledger.rules.features import Feature, FeatureSource, Leeway
from ledger.rules.product import Product
from ledger.rules.units import FactValue, Unit
from tests.rules.expressions import ints
from tests.rules.matchers import (
    FEATURES,
    SAMPLE,
    SAMPLE_SCORECARD,
    compile_over,
    conditions_text,
    product_of,
    products,
    some_facts,
)

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
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


def check_change(product: Product, facts: Mapping[str, Any], change: Change | None) -> None:
    """Check that a change is allowed, grants, and is minimal; None is always right here."""
    if change is None:
        return
    situation = ChangeFinder([product]).stand(facts)
    features = {feature.name: feature for feature in product.features}
    moves = {move.feature: move.after for move in change.moves}

    def decide(tried: Mapping[str, FactValue]) -> Decision:
        return product.decide(situation.after(dict(tried)).facts)

    def outcome(tried: Mapping[str, FactValue]) -> Outcome:
        return decide(tried).outcome

    assert outcome(moves) is Outcome.GRANT
    assert change.verdict is not None
    decision = decide(moves)
    assert change.verdict.terms == (decision.limit_fen, decision.amount_fen, decision.rate_bp)
    assert change.score == decision.score
    for move in change.moves:
        _check_allowed(features[move.feature], move.before, move.after)
        rest = {name: value for name, value in moves.items() if name != move.feature}
        assert outcome(rest) is not Outcome.GRANT, f"{move.feature} is not needed"
        for other in move.others:
            assert outcome({**moves, move.feature: other}) is Outcome.GRANT
        if move.before is not None and type(move.after) is int:
            step = 1 if int(move.before) > move.after else -1
            nearer = {**moves, move.feature: move.after + step}
            assert outcome(nearer) is not Outcome.GRANT, f"{move.feature} moves too far"


def _check_allowed(feature: Feature, before: FactValue | None, after: FactValue) -> None:
    assert feature.accepts(after)
    assert before != after
    assert feature.leeway is not Leeway.FIXED
    if before is not None and feature.unit not in (Unit.TEXT, Unit.FLAG):
        assert feature.leeway is not Leeway.UP or int(after) > int(before)
        assert feature.leeway is not Leeway.DOWN or int(after) < int(before)


@settings(max_examples=80, deadline=None, suppress_health_check=_QUIET)
@given(products(1), some_facts())
def test_a_change_passes_and_none_of_it_is_too_much(
    made: list[Product], facts: dict[str, Any]
) -> None:
    check_change(made[0], facts, find_change(made[0], facts))


_SMALL = {
    **{
        name: replace(item, minimum=-4, maximum=9)
        for name, item in FEATURES.items()
        if item.unit is Unit.NUMBER
    },
    **{name: item for name, item in FEATURES.items() if item.unit is Unit.FLAG},
    **{
        name: replace(item, values=frozenset({"", "a", "é企"}), change=Leeway.ANY)
        for name, item in FEATURES.items()
        if item.unit is Unit.TEXT
    },
    "ap.amount": replace(FEATURES["ap.amount"], minimum=1, maximum=10_000),
}


def _domain(feature: Feature) -> list[FactValue]:
    if feature.unit is Unit.FLAG:
        return [False, True]
    if feature.unit is Unit.TEXT:
        return sorted(feature.values or ())
    return list(range(feature.minimum or 0, min(feature.maximum or 0, 20) + 1))


@st.composite
def _small_case(draw: st.DrawFn) -> tuple[Product, dict[str, FactValue]]:
    found = [compile_over(draw(conditions_text), _SMALL) for _ in range(draw(st.integers(1, 3)))]
    conditions = [item for item in found if item is not None]
    amount = compile_over(
        draw(st.sampled_from(["ap.amount * 50", "a * 100", "b * c * 60"])), _SMALL
    )
    inputs = [compile_over(draw(ints(1)), _SMALL) or amount for _ in range(2)]
    assert amount is not None
    product = product_of("S", conditions, amount, [i for i in inputs if i is not None], _SMALL)
    values = {item.name: st.sampled_from(_domain(item)) for item in product.features}
    return product, draw(st.fixed_dictionaries({}, optional=values))


@settings(max_examples=150, deadline=None, suppress_health_check=_QUIET)
@given(_small_case())
def test_where_one_fact_is_enough_a_change_is_found(
    case: tuple[Product, dict[str, FactValue]],
) -> None:
    """Against the dumb twin: every fact with every value it may take."""
    product, facts = case
    change = find_change(product, facts)
    check_change(product, facts, change)
    enough = [
        (feature.name, value)
        for feature in product.features
        for value in _domain(feature)
        if product.decide({**facts, feature.name: value}).outcome is Outcome.GRANT
    ]
    assert change is not None or not enough, enough[:3]


@pytest.mark.parametrize(
    ("given", "moves"),
    [
        ({}, {}),
        ({"rv.confirmed": False}, {"rv.confirmed": True}),
        ({"ap.term": 900}, {"ap.term": 365}),
        ({"rv.amount": 1_249_999}, {"rv.amount": 1_250_000}),
        ({"rv.amount": None}, {"rv.amount": 1_250_000}),
        ({"ap.amount": 0}, {"ap.amount": 1}),
        ({"co.void_rate": 2_000, "co.tax_grade": "D", "co.sales_12m": 0},
         {"co.tax_grade": "B", "co.void_rate": 1_999}),
        ({"ap.term": 900, "rv.confirmed": None}, {"ap.term": 365, "rv.confirmed": True}),
    ],
)  # fmt: skip
def test_what_would_have_to_differ_for_a_supply_chain_loan(
    given: dict[str, Any], moves: dict[str, Any]
) -> None:
    facts = {name: value for name, value in {**_FACTS, **given}.items() if value is not None}
    change = find_change(SAMPLE, facts)
    check_change(SAMPLE, facts, change)
    assert change is not None
    assert {move.feature: move.after for move in change.moves} == moves


def test_days_past_due_are_history_and_nothing_is_proposed() -> None:
    assert find_change(SAMPLE, {**_FACTS, "co.overdue_days_max_24m": 31}) is None


def test_a_score_says_the_least_that_would_lift_it() -> None:
    facts: dict[str, FactValue] = {
        "co.sales_12m": 0,
        "co.tax_grade": "C",
        "co.void_rate": 1_600,
    }
    assert SAMPLE_SCORECARD.score(facts).points == 360
    change = find_points(SAMPLE_SCORECARD, facts, 400)
    assert change is not None
    assert change.score is not None
    assert change.score >= 400
    assert [(move.feature, move.after) for move in change.moves] == [("co.void_rate", 1_499)]
    assert find_points(SAMPLE_SCORECARD, facts, 601) is None


def test_days_that_pass_are_waited_for() -> None:
    """What counts the days since something grows with the day; the date itself is history."""
    age = Feature(
        "age",
        Unit.DAYS,
        FeatureSource.RECORDS,
        agg="days_since",
        of=("began",),
        change=Leeway.FIXED,
    )
    features = {
        **FEATURES,
        "age": age,
        "began": Feature("began", Unit.DATE, FeatureSource.RECORDS),
        "as_of": Feature("as_of", Unit.DATE, FeatureSource.RECORDS),
    }
    condition = compile_over("age >= days(365) && as_of - began >= days(400)", features)
    amount = compile_over("ap.amount * 50 + a", features)
    assert condition is not None
    assert amount is not None
    product = product_of("WAIT", [condition], amount, [amount], features)
    facts = {"as_of": 18_300, "began": 18_000, "age": 300, "ap.amount": 7, "a": 0}
    change = find_change(product, facts)
    assert change is not None
    assert [(move.feature, move.after) for move in change.moves] == [("as_of", 18_400)]
    check_change(product, facts, change)
    assert find_change(product, {**facts, "began": 20_000, "age": -1_700}) is None


def test_what_is_not_known_may_turn_out_either_way() -> None:
    """A company brings a share down, not up; where nobody attested it, it may yet be great."""
    features = {
        **FEATURES,
        "a": replace(FEATURES["a"], minimum=0, maximum=10_000, change=Leeway.DOWN),
        "f": replace(FEATURES["f"], change=Leeway.DOWN),
    }
    condition = compile_over("a >= 3000 && f", features)
    amount = compile_over("ap.amount * 50", features)
    assert condition is not None
    assert amount is not None
    product = product_of("SHARE", [condition], amount, [amount], features)
    change = find_change(product, {"ap.amount": 7})
    assert change is not None
    assert {move.feature: move.after for move in change.moves} == {"a": 3_000, "f": True}
    check_change(product, {"ap.amount": 7}, change)
    assert find_change(product, {"ap.amount": 7, "a": 2_000, "f": True}) is None


def test_a_search_ends_with_its_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {**_FACTS, "rv.amount": 1_249_999}
    assert find_change(SAMPLE, facts) is not None
    monkeypatch.setattr(changes, "MAX_EVALUATIONS", 5)
    assert find_change(SAMPLE, facts) is None
