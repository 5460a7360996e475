"""The bulk plan against `Product.decide`: every product and company, every field of the answer."""

from __future__ import annotations

import random
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
from analytics.matching.rules import Rules, load_rules, select_in_force
from ledger.rules.features import AS_OF, Feature
from tests.analytics.random_facts import find_edges, make_facts, make_near

ROOT = Path(__file__).parents[2]
NETWORK = ROOT / "genesis/networks/guangdong"
DAY = 20_410  # 2025-11-18
ASKED: Mapping[str, FactValue] = {AS_OF: DAY, "ap.amount": 50_000_000, "ap.term": 180}
ODD_PRODUCT = r"""
format = "smartrule/1"
kind = "product"
id = "ODD-1"
version = 1
lender = "odd-bank"
schema = "company/1"
scorecard = "SME-RISK/1"
effective_from = 2020-01-01
requires = ["C044", "C045", "C014", "C047"]

[params]
share = "12.34%"

[[condition]]
id = "overflows"
when = "co.invoice_count_12m * co.void_count_12m * co.buyers_12m >= 0 || co.staff > 5"
reason = "R101"
text = "A product of three counts"

[[condition]]
id = "divides"
when = "co.sales_12m / co.staff > yuan(7) && 999 % co.buyers_12m != 1 && co.sales_12m > yuan(9)"
reason = "R102"
text = "Sales by head"

[[condition]]
id = "listed"
when = "[co.staff, co.buyers_12m, 7].filter(x, x > 0).map(x, 100 / x).exists(x, x < 90)"
reason = "R103"
text = "Some count is great"

[[condition]]
id = "converted"
when = "int(co.tax_grade + '1') > 0 || co.tax_grade in ['A', 'B', 'M', 'C']"
reason = "R104"
text = "A text that is no number"

[[condition]]
id = "braces"
when = "co.tax_grade + '{0}\\\\ \\' ' != co.status + '{}' || [1, 2][co.staff] == 3"
reason = "R105"
text = "Signs that mean something elsewhere"

[limit]
amount = "math.greatest(mul_bp_up(co.sales_12m, p.share), co.sales_12m / co.buyers_12m)"
step = "CNY 777.00"
minimum = "CNY 1000.00"
reason = "R110"

[rate]
on = "score"
bands = [[0, "DECLINE", "R301"], [200, "9.00%"], [420, "7.20%"]]
"""


def compile_all(rules: Rules, constants: Mapping[str, FactValue] = ASKED) -> Plan:
    """Return the plan over a table that has every column."""
    names = frozenset(name for schema in rules.schemas.values() for name in schema.features)
    return compile_plan(rules.products, rules.schemas, names, constants)


def features_of(rules: Rules) -> list[Feature]:
    """Return the features that some product of the rules may read."""
    refs = sorted({product.schema_ref for product in rules.products})
    return [item for ref in refs for item in rules.schemas[ref].features.values()]


def check_plan(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> dict[Result, int]:
    """Compare every answer with the decision; return how many there were of each result."""
    with connect(1024, None) as connection:
        table = run_chunk(connection, plan, plan.render("chunk"), table_of(rows, plan))
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
    features, edges = features_of(rules), find_edges(rules.products)
    rows = make_facts(features, edges, 1, 200)
    rows += make_near(rules.products, features, edges, 2, 800)
    counts = check_plan(plan, rows)
    for result in (Result.GRANT, Result.DECLINE_LIMIT, Result.REFER_CONDITION):
        assert counts[result] > 0, result


def test_all_products_of_the_province_come_out_as_they_decide() -> None:
    rules = load_rules(NETWORK, DAY)
    if not rules.products:
        pytest.skip("the province has no products yet")
    plan = compile_all(rules)
    assert not plan.opaque
    features, edges = features_of(rules), find_edges(rules.products)
    liked = random.Random(3).sample(rules.products, min(5, len(rules.products)))
    rows = make_near(liked, features, edges, 4, 16)
    counts = check_plan(plan, rows)
    assert counts[Result.GRANT] > 0
    assert sum(counts.values()) == len(rows) * len(rules.products)


def odd_rules(folder: Path) -> Rules:
    """Return a product of everything that is unusual."""
    (folder / "odd.toml").write_text(ODD_PRODUCT, encoding="utf-8")
    return load_rules(folder, DAY)


def test_errors_of_every_kind_come_out_as_they_are(tmp_path: Path) -> None:
    rules = odd_rules(tmp_path)
    plan = compile_all(rules)
    assert [item.expression.source for item in plan.opaque] == [
        rules.products[0].conditions[3].when.source
    ]
    features, edges = features_of(rules), find_edges(rules.products)
    rows = make_facts(features, edges, 5, 1500, absent=0.1, odd=0.2)
    rows += make_near(rules.products, features, edges, 6, 500)
    counts = check_plan(plan, rows)
    for result in (Result.DECLINE_CONDITION, Result.REFER_CONDITION):
        assert counts[result] > 0, result


def test_without_an_amount_nothing_is_granted(tmp_path: Path) -> None:
    rules = load_rules(ROOT / "genesis/demo", DAY)
    plan = compile_plan(rules.products, rules.schemas, frozenset(), {AS_OF: DAY})
    counts = check_plan(plan, [{}])
    assert counts[Result.REFER_CONDITION] == len(rules.products)
    features, edges = features_of(rules), find_edges(rules.products)
    constants = {AS_OF: DAY, "ap.term": 180}
    rows = make_near(rules.products, features, edges, 7, 100)
    found = check_plan(compile_all(rules, constants), rows)
    assert found[Result.GRANT] == 0
    assert found[Result.REFER_AMOUNT] + found[Result.REFER_CONDITION] > 0


def test_the_version_in_force_is_the_highest_that_has_begun(tmp_path: Path) -> None:
    later = ODD_PRODUCT.replace("version = 1", "version = 2").replace("2020-01-01", "2030-01-01")
    (tmp_path / "later.toml").write_text(later, encoding="utf-8")
    assert [item.ref for item in odd_rules(tmp_path).products] == ["ODD-1/1"]
    both = load_rules(tmp_path, 22_000).products
    assert [item.ref for item in both] == ["ODD-1/2"]
    assert select_in_force(both, DAY) == ()
