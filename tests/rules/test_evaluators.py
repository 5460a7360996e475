"""The two evaluators against each other, case by case shrunk to the smallest (RULES.md).

tests/rules/test_oracle.py holds both against Google's, on the whole language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import RuleSourceError
from ledger.rules import intervals
from ledger.rules.checker import Environment
from ledger.rules.compiler import Expression, compile_expression
from ledger.rules.failures import EvalError
from ledger.rules.operations import OPERATIONS
from ledger.rules.source import Source
from ledger.rules.types import BOOL, NUMBER, STRING, Variable
from tests.rules.expressions import FLAGS, INTS, TEXTS, facts, flags, ints

_VARIABLES = {
    **dict.fromkeys(INTS, Variable(NUMBER)),
    **dict.fromkeys(FLAGS, Variable(BOOL)),
    **dict.fromkeys(TEXTS, Variable(STRING)),
}
_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


def _outcome(run: Any, values: Mapping[str, Any]) -> object:
    try:
        return run(values)
    except EvalError as error:
        return error.kind


def _compile(text: str, variables: Mapping[str, Variable]) -> Expression | None:
    try:
        return compile_expression(Source.of_text(text), Environment(variables))
    except RuleSourceError:
        return None  # too high or too costly: refused is fine, but never anything else


@settings(max_examples=300, deadline=None, suppress_health_check=_QUIET)
@given(st.one_of(flags(4), ints(4)), facts())
def test_f90_generated_code_agrees_with_closures(text: str, values: dict[str, Any]) -> None:
    expression = _compile(text, _VARIABLES)
    if expression is not None:
        assert _outcome(expression.run, values) == _outcome(expression.interpret, values)


@settings(max_examples=200, deadline=None, suppress_health_check=_QUIET)
@given(ints(3), st.data())
def test_generated_code_agrees_where_ranges_are_declared(text: str, data: st.DataObject) -> None:
    """Here checks are left out where the ranges prove them needless."""
    variables = dict(_VARIABLES)
    values: dict[str, Any] = {"f": True, "g": False, "s": "aé", "t": ""}
    for name in INTS:
        low, high = sorted(data.draw(st.tuples(_BOUNDS, _BOUNDS)))
        variables[name] = Variable(NUMBER, low, high)
        values[name] = data.draw(st.sampled_from([low, high]) | st.integers(low, high))
    expression = _compile(text, variables)
    if expression is not None:
        assert _outcome(expression.run, values) == _outcome(expression.interpret, values)


_BOUNDS = st.sampled_from([-(2**63), -(10**15), -10, -1, 0, 1, 3, 10**9, 10**15, 2**63 - 1])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["add", "sub", "mul", "div", "mod", "mul_bp", "mul_bp_up", "ratio_bp"]),
    st.tuples(_BOUNDS, _BOUNDS),
    st.tuples(_BOUNDS, _BOUNDS),
    st.data(),
)
def test_an_interval_holds_every_value_and_a_safe_one_never_fails(
    operation: str, left: tuple[int, int], right: tuple[int, int], data: st.DataObject
) -> None:
    ranges = [(min(left), max(left)), (min(right), max(right))]
    (low, high), is_safe = intervals.bound(operation, ranges)
    values = [data.draw(st.sampled_from(item) | st.integers(*item)) for item in ranges]
    try:
        found = OPERATIONS[operation](*values)
    except EvalError:
        assert not is_safe
    else:
        assert low <= found <= high


@settings(max_examples=150, deadline=None, suppress_health_check=_QUIET)
@given(flags(3), facts(), st.sets(st.sampled_from([*INTS, *FLAGS, *TEXTS])))
def test_a_missing_fact_changes_nothing_but_to_an_error(
    text: str, values: dict[str, Any], absent: set[str]
) -> None:
    """What is known without a fact stays so, whatever the fact turns out to be."""
    expression = _compile(text, _VARIABLES)
    if expression is None:
        return
    known = {name: value for name, value in values.items() if name not in absent}
    found = _outcome(expression.evaluate, known)
    if isinstance(found, bool):
        assert _outcome(expression.evaluate, values) is found
