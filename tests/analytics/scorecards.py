"""Made-up companies for the tests of scorecards: what they are like is known, and so are labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analytics.scorecard.design import Candidate, Design, Trend, design_table
from analytics.scorecard.figures import Floats
from analytics.scorecard.settings import Scale
from analytics.scorecard.table import FactTable, make_schema
from ledger.rules.schema import Schema, load_schema
from ledger.rules.units import FactValue, Unit

UNITS = {
    "data.sales": Unit.COUNT,
    "data.void": Unit.COUNT,
    "data.noise": Unit.COUNT,
    "data.grade": Unit.TEXT,
}


def make_table(count: int = 400, seed: int = 1, missing: float = 0.0) -> FactTable:
    """Return companies that fail the more often the less they sell and the more they void."""
    generator = np.random.default_rng(seed)
    health = generator.normal(size=count)
    columns: dict[str, list[FactValue]] = {
        "data.sales": [int(v) for v in np.exp(12 + 2 * health + generator.normal(size=count))],
        "data.void": [int(v) for v in np.clip(900 - 400 * _blur(health, generator), 0, 4000)],
        "data.noise": [int(v) for v in generator.integers(0, 1000, size=count)],
        "data.grade": [
            "A" if v > 0.5 else "B" if v > -0.5 else "C" for v in _blur(health, generator)
        ],
    }
    is_known = generator.random((count, len(columns))) >= missing
    rows = [
        {
            name: values[i]
            for place, (name, values) in enumerate(columns.items())
            if is_known[i, place]
        }
        for i in range(count)
    ]
    failed = generator.random(count) < 1 / (1 + np.exp(1.5 + 2 * health))
    ids = tuple(f"C{place}" for place in range(count))
    return FactTable(ids, tuple(rows), tuple(map(int, failed)), UNITS, "made up")


def _blur(health: Floats, generator: np.random.Generator) -> Floats:
    """Return what a record shows of a company's health."""
    return health + generator.normal(size=len(health))


def make_noise(count: int, columns: int, seed: int) -> FactTable:
    """Return companies of which nothing tells who fails."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 10_000, size=(count, columns))
    rows = [{f"data.x{place}": int(value) for place, value in enumerate(row)} for row in values]
    labels = [int(place % 3 == 0) for place in range(count)]
    units = {f"data.x{place}": Unit.COUNT for place in range(columns)}
    ids = tuple(str(place) for place in range(count))
    return FactTable(ids, tuple(rows), tuple(labels), units, "noise")


def schema_of(table: FactTable) -> Schema:
    """Return the schema of a made-up table."""
    return load_schema(make_schema(table).encode(), {})


def design_of(table: FactTable, **trends: Trend) -> Design:
    """Return the design of a table, with the trends that are named."""
    plain = design_table(table)
    return replace(
        plain,
        candidates=tuple(
            replace(item, trend=trends.get(item.id.lower(), item.trend))
            for item in plain.candidates
        ),
    )


def make_candidate(name: str, rule: str, trend: Trend) -> Candidate:
    """Return a candidate with codes and texts of its own."""
    return Candidate(name, rule, trend, f"Text of {name}", "", f"S_{name}", f"M_{name}", True)


def make_design(*candidates: Candidate) -> Design:
    """Return a design of some candidates over the made-up schema."""
    return Design("MADE-UP", 1, "data/1", "", Scale(), candidates)
