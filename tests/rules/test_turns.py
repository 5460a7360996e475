"""Where a condition turns: between two turns it has one value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ledger.rules.compiler import Expression
from ledger.rules.failures import EvalError
from ledger.rules.features import Feature, FeatureSource
from ledger.rules.turns import find_turns
from ledger.rules.units import Unit
from tests.rules.expressions import FLAGS, TEXTS, flags
from tests.rules.matchers import FEATURES, compile_over

_RANGE = range(-40, 41)
_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_SMALL: dict[str, Feature] = {
    name: replace(item, minimum=-40, maximum=40) if item.unit is Unit.NUMBER else item
    for name, item in FEATURES.items()
}
_OPERANDS = st.recursive(
    st.sampled_from(["a", "b", "c", "3", "-7", "0", "12000", "25000"]),
    lambda inner: st.one_of(
        st.builds("math.least({}, {})".format, inner, inner),
        st.builds("math.greatest({}, {})".format, inner, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("(-{})".format, inner),
        st.builds("({} > {} ? {} : {})".format, inner, inner, inner, inner),
    ),
    max_leaves=5,
)
_SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
_COMPARED = st.builds("{} {} {}".format, _OPERANDS, _SIGNS, _OPERANDS)
_MONEY = {
    name: Feature(name, unit, FeatureSource.RECORDS)
    for name, unit in (("a", Unit.FEN), ("b", Unit.FEN), ("r", Unit.BP), ("s", Unit.BP))
}
_SUMS = st.recursive(
    st.sampled_from(["a", "b", "yuan(0)"]),
    lambda inner: st.one_of(
        st.builds("mul_bp({}, {})".format, inner, st.sampled_from(["r", "s"])),
        st.builds("math.{}({}, {})".format, st.sampled_from(["least", "greatest"]), inner, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from("+-"), inner),
        st.builds("({} / 3)".format, inner),
        st.builds("({} > {} ? {} : {})".format, inner, inner, inner, inner),
    ),
    max_leaves=5,
)
_OF_MONEY = st.builds("{} {} {}".format, _SUMS, _SIGNS, _SUMS) | st.builds(
    "ratio_bp({}, b) {} r".format, _SUMS, _SIGNS
)


def _value(found: Expression, facts: dict[str, Any]) -> Any:
    try:
        return found.evaluate(facts)
    except EvalError:
        return None


def _check(found: Expression | None, facts: dict[str, Any]) -> None:
    """Check each number at which the value is another one than before against the turns."""
    assume(found is not None)
    assert found is not None
    turns = find_turns(found.tree, "a")
    assume(turns is not None)
    assert turns is not None
    facts = {**dict.fromkeys(found.reads, 3), **facts}
    values = {value: _value(found, {**facts, "a": value}) for value in _RANGE}
    assume(None not in values.values())
    expected = {value for value in _RANGE[1:] if values[value] != values[value - 1]}
    assert expected <= set(turns({**facts, "a": 0}))


_SOME = st.sampled_from(_RANGE)


@settings(max_examples=300, deadline=None, suppress_health_check=_QUIET)
@given(_COMPARED | flags(2), st.fixed_dictionaries({"b": _SOME, "c": _SOME}))
def test_a_condition_has_one_value_between_two_turns(text: str, others: dict[str, int]) -> None:
    facts: dict[str, Any] = {**others, **dict.fromkeys(FLAGS, True), **dict.fromkeys(TEXTS, "a")}
    _check(compile_over(text, _SMALL), facts)


@settings(max_examples=300, deadline=None, suppress_health_check=_QUIET)
@given(_OF_MONEY, _SOME, st.integers(-30_000, 30_000), st.sampled_from([0, 1, 4_000, -9_000]))
def test_money_and_shares_of_it_turn_where_it_is_said(text: str, b: int, r: int, s: int) -> None:
    _check(compile_over(text, _MONEY), {"b": b, "r": r, "s": s})


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("a >= b", {3}),
        ("math.least(mul_bp(a, r), yuan(50)) >= yuan(1)", {1_250}),
        ("b - a > yuan(1)", {-97}),
        ("mul_bp(a, s) >= yuan(1)", {-100}),
        ("ratio_bp(a, b) <= r", {1}),
        ("a / 4 == yuan(2)", {800, 804}),
    ],
)
def test_turns_are_computed(text: str, turns: set[int]) -> None:
    found = compile_over(text, _MONEY)
    assert found is not None
    where = find_turns(found.tree, "a")
    assert where is not None
    assert turns <= set(where({"a": 0, "b": 3, "r": 800, "s": -10_000}))


@pytest.mark.parametrize("text", ["a >= a * b", "b / a > 3", "string(a) == s"])
def test_what_is_not_understood_is_left_to_trying(text: str) -> None:
    found = compile_over(text)
    assert found is not None
    assert find_turns(found.tree, "a") is None
