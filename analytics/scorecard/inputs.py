"""Inputs of a scorecard measured on a table, with the ledger's own evaluator.

What an input gives is what every replica would compute: an expression that errs or reads a fact
that is not there has no value. Only then are the numbers handed to the fit, as floats; texts become
the place of their value among the known ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.scorecard.design import Candidate, Trend
from analytics.scorecard.figures import Floats
from analytics.scorecard.table import FactTable, Row
from ledger.rules.checker import Environment
from ledger.rules.compiler import Expression, compile_expression
from ledger.rules.failures import EvalError
from ledger.rules.features import accept_facts
from ledger.rules.schema import Schema
from ledger.rules.source import Source
from ledger.rules.tree import Fact
from ledger.rules.types import Kind
from ledger.rules.units import FactValue, Unit

LOWEST = -(2**63)


@dataclass(frozen=True, slots=True)
class Input:
    """One candidate and its values, NaN where there is none; `levels` of a text or a flag."""

    candidate: Candidate
    unit: Unit
    values: Floats
    levels: tuple[str, ...]
    lowest: int = LOWEST  # what its values cannot fall below

    def take(self, places: NDArray[np.int64]) -> Input:
        """Return the input of some companies."""
        return Input(self.candidate, self.unit, self.values[places], self.levels, self.lowest)

    @property
    def trend(self) -> Trend:
        """Which way its points may go."""
        return self.candidate.trend


def measure_inputs(
    table: FactTable, schema: Schema, candidates: Sequence[Candidate]
) -> tuple[Input, ...]:
    """Return the candidates measured; raise `RuleSourceError` for an input that is no rule."""
    environment = Environment(schema.variables)
    expressions = [
        compile_expression(Source.of_text(item.input), environment) for item in candidates
    ]
    features = list(schema.features.values())
    rows = [accept_facts(features, row) for row in table.rows]
    return tuple(
        _measure(item, expression, rows)
        for item, expression in zip(candidates, expressions, strict=True)
    )


def _measure(candidate: Candidate, expression: Expression, rows: Sequence[Row]) -> Input:
    found = [_evaluate(expression, row) for row in rows]
    unit = expression.type.unit or Unit.NUMBER
    if expression.type.kind is Kind.INT:
        numbers = [np.nan if value is None else float(value) for value in found]
        return Input(candidate, unit, np.array(numbers), (), _lowest(expression, unit))
    texts = [None if value is None else _level(value) for value in found]
    levels = tuple(sorted(_declared(expression) | {text for text in texts if text is not None}))
    places = [np.nan if text is None else float(levels.index(text)) for text in texts]
    return Input(candidate, unit, np.array(places), levels)


def _evaluate(expression: Expression, row: Row) -> FactValue | None:
    try:
        value: FactValue = expression.evaluate(row)
    except EvalError:
        return None
    return value


def _lowest(expression: Expression, unit: Unit) -> int:
    """Return where the first band begins; of money at zero, for rules write no amount below."""
    if unit is Unit.FEN:
        return 0
    tree = expression.tree
    minimum = tree.minimum if isinstance(tree, Fact) else None
    return LOWEST if minimum is None else minimum


def _declared(expression: Expression) -> set[str]:
    """Return the texts that the ledger wants points for, whether a company has them or not."""
    if expression.type.kind is Kind.BOOL:
        return {"false", "true"}
    tree = expression.tree
    return set(tree.values or ()) if isinstance(tree, Fact) else set()


def _level(value: FactValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
