"""Both evaluators and Google's, on generated expressions and facts (RULES.md, "Expressions")."""

from __future__ import annotations

import pytest

from ledger.rules.failures import ErrorKind
from ledger.rules.operations import OPERATIONS
from tests.rules.fuzz.agreement import Tally, run_seeds
from tests.rules.fuzz.oracle import Oracle

_SEEDS = 4_400
_CASES = 20_000
_REACHED = (
    "all of 1", "exists of 1", "exists_one of 1", "filter of 1", "map of 1", "map of 2",
    "nested macro", "nested ternary", "&&", "||", "has", "bool", "int", "str", "bytes", "tuple",
)  # fmt: skip


@pytest.fixture(scope="module")
def tally() -> Tally:
    try:
        oracle = Oracle()
    except ImportError:
        pytest.skip("cel-expr-python, the oracle, is not installed")
    return run_seeds(range(_SEEDS), oracle)


def test_two_evaluators_and_the_oracle_agree(tally: Tally) -> None:
    assert tally.failures == []
    assert tally.cases >= _CASES


def test_the_expressions_reach_the_whole_language(tally: Tally) -> None:
    reached = set(tally.reached)
    assert set(OPERATIONS) - reached == set()
    assert set(_REACHED) - reached == set()
    assert {str(kind) for kind in ErrorKind} - reached - {"REPEATED_KEY"} == set()


def test_a_wrong_answer_is_told(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    """What compares must see a difference: here evaluators that take the greatest for the least."""
    assert tally.failures == []
    monkeypatch.setitem(OPERATIONS, "least", OPERATIONS["greatest"])
    seeds = range(400)
    assert any("math.least" in line for line in run_seeds(seeds, Oracle()).failures)
