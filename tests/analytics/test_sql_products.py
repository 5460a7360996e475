"""The bulk plan against `Product.decide`: every product, every company, every field of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ledger.rules.units import FactValue

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

from analytics.matching.answers import from_decision, read_answer
from analytics.matching.duck import connect, run_chunk, table_of
from analytics.matching.plan import Plan, Result, compile_plan
from analytics.matching.rules import Rules, load_rules
from analytics.sql.dialect import DUCKDB
from ledger.rules.features import AS_OF
from tests.analytics.random_facts import find_edges, make_facts, make_near

ROOT = Path(__file__).parents[2]
DAY = 20_410  # 2025-11-18
ASKED: Mapping[str, FactValue] = {AS_OF: DAY, "ap.amount": 50_000_000, "ap.term": 180}


def compile_all(rules: Rules, constants: Mapping[str, FactValue] = ASKED) -> Plan:
    """Return the plan over a table that has every column."""
    names = frozenset(name for schema in rules.schemas.values() for name in schema.features)
    return compile_plan(rules.products, rules.schemas, names, constants, DUCKDB)


def check_plan(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> dict[Result, int]:
    """Compare every answer with the decision; return how many there were of each result."""
    table = run_chunk(connect(1024, None), plan, plan.render("chunk"), table_of(rows, plan))
    counts = dict.fromkeys(Result, 0)
    for facts, row in zip(rows, table.to_pylist(), strict=True):
        known = {**facts, **plan.constants}
        for offer in plan.offers:
            want = from_decision(offer.product.decide(known))
            got = read_answer(offer, row, known)
            assert got == want, f"{offer.product.id}: {got.difference(want)}"
            counts[Result(row[offer.result])] += 1
    return counts


def test_the_products_of_the_demonstration_come_out_as_they_decide() -> None:
    rules = load_rules(ROOT / "genesis/demo", DAY)
    plan = compile_all(rules)
    assert not plan.opaque
    features = [item for schema in rules.schemas.values() for item in schema.features.values()]
    edges = find_edges(rules.products)
    rows = make_facts(features, edges, 1, 200) + make_near(rules.products, features, edges, 2, 1500)
    counts = check_plan(plan, rows)
    print(counts)
