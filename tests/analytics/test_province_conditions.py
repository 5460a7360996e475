"""Conditions asked of whole columns say what the ledger's evaluator says of each record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.province.conditions import find_holding
from analytics.province.events import Column
from ledger.errors import LocalError
from ledger.rules.checker import Environment
from ledger.rules.compiler import compile_expression
from ledger.rules.failures import EvalError
from ledger.rules.source import Source
from ledger.rules.types import Variable, type_of_unit
from ledger.rules.units import Unit

OUTCOMES = ("won", "lost", "settled")
VARIABLES = {
    "e.outcome": Variable(type_of_unit(Unit.TEXT), values=frozenset(OUTCOMES), fact="outcome"),
    "e.amount": Variable(type_of_unit(Unit.FEN), fact="amount"),
    "e.removed_on": Variable(type_of_unit(Unit.DATE), fact="removed_on"),
    "e.is_halted": Variable(type_of_unit(Unit.FLAG), fact="is_halted"),
}
CONDITIONS = (
    "e.outcome == 'lost'",
    "e.outcome != 'won' && e.amount >= yuan(5)",
    "!has(e.removed_on)",
    "!has(e.removed_on) || e.amount < yuan(0)",
    "e.is_halted && e.outcome == 'lost'",
    "e.is_halted || e.amount > yuan(3)",
    "has(e.outcome) ? e.amount > yuan(1) : e.is_halted",
    "e.outcome in ['won', 'settled']",
    "e.amount + yuan(1) > yuan(4) || e.outcome.startsWith('l')",
    "!e.is_halted",
    "true",
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "outcome": st.sampled_from(OUTCOMES),
            "amount": st.integers(-1000, 1000),
            "removed_on": st.integers(0, 20_000),
            "is_halted": st.booleans(),
        },
    ),
    min_size=1,
    max_size=12,
)


class Records:
    """Records as columns."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self._records = records

    def column(self, name: str) -> Column:
        present = np.array([name in record for record in self._records])
        values = [record.get(name, 0) for record in self._records]
        if name == "outcome":
            indices = [OUTCOMES.index(value) if value else 0 for value in values]
            return Column(np.array(indices), present, OUTCOMES)
        kind = np.bool_ if name == "is_halted" else np.int64
        return Column(np.array(values, dtype=kind), present)


def holds(expression: Any, record: dict[str, Any]) -> bool:
    try:
        return bool(expression.evaluate(record))
    except EvalError:
        return False


@pytest.mark.parametrize("source", CONDITIONS)
@given(records=RECORDS)
@settings(max_examples=25, deadline=None)
def test_columns_and_records_agree(source: str, records: list[dict[str, Any]]) -> None:
    expression = compile_expression(Source.of_text(source), Environment(VARIABLES), Unit.FLAG)
    found = np.broadcast_to(find_holding(expression.tree, Records(records)), len(records))
    assert found.tolist() == [holds(expression, record) for record in records]


@pytest.mark.parametrize(
    "source", ["e.outcome.size() > 3 || e.amount % 2 == yuan(0)", "[1].all(i, e.is_halted)"]
)
def test_what_is_not_known_is_refused(source: str) -> None:
    expression = compile_expression(Source.of_text(source), Environment(VARIABLES), Unit.FLAG)
    with pytest.raises(LocalError, match="cannot use"):
        find_holding(expression.tree, Records([{"amount": 3, "outcome": "won", "is_halted": True}]))
