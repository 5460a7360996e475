"""The same plan on a local Spark: the same answers, where Java and pyspark are there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

from analytics.columns import COMPANY
from analytics.matching.bulk import prepare, run
from analytics.matching.run import Options
from analytics.matching.sample import check_sample
from analytics.sql.dialect import SPARK
from analytics.sql.expressions import ExpressionCompiler
from analytics.sql.nodes import Graph, Node, compute_stages
from tests.analytics.random_facts import find_edges, make_near
from tests.analytics.sql_fuzz import evaluate
from tests.analytics.test_match_all import WISH, write_snapshot
from tests.analytics.test_sql_expressions import TYPES, compile_rule
from tests.analytics.test_sql_products import DAY, ODD_PRODUCT, features_of

# Every operation at the edges of 64 bits, every fault, every kind of text.
EXPRESSIONS = (
    "a + b", "a - b", "a * b", "-a", "a / b", "a % b", "a * 3 / 7 + b % 5",
    "mul_bp(yuan(a), ratio_bp(b, c))", "mul_bp_up(yuan(a), ratio_bp(b, c))", "ratio_bp(a, b)",
    "math.least(a, b, 7)", "math.greatest(a, -b)", "f ? a : b / c", "[a, b, 3][c]",
    "a < b && f || g", "!(f && a / b > c)", "has(a) ? f : g", "a in [1, b, -9223372036854775808]",
    "[a, b, c].filter(x, x > 0).exists(x, 100 / x > 1)", "[a, b].all(x, x + 1 > x)",
    "[a, b].map(x, x * 2).exists_one(x, x > 7)", "size([a, b].filter(x, x > 1)) > 0",
    "s + t == 'aé\\\\ \\' {0}'", "s.contains(t)", "s.startsWith('a')", "s.endsWith(t + '😀')",
    "size(s) > 2", "s < t", "string(a) + string(f)", "s in ['', 'a\\\\b', 'é']",
)  # fmt: skip
_EDGES = (0, 1, -1, 2, 3, 7, 10_000, 2**31, 2**62, 2**63 - 1, -(2**63), -(2**63) + 1, None)
_TEXTS = ("", "a", "aé", "é企😀", "a\\b", "it's", None)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A local Spark of one thread."""
    if shutil.which("java") is None:
        pytest.skip("there is no Java to run Spark on")
    pytest.importorskip("pyspark", reason="pyspark, the extra spark, is not installed")
    from analytics.matching.spark import open_session

    with pytest.MonkeyPatch.context() as environment:
        # A short life: optimising machine code would take longer than running it.
        environment.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        found = open_session(1)
    found.sparkContext.setLogLevel("ERROR")
    # Few rows: compiling Java for them takes far longer than interpreting.
    found.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    found.conf.set("spark.sql.codegen.wholeStage", "false")
    yield found
    found.stop()


def rows_of_edges() -> list[dict[str, Any]]:
    """Return rows in which every edge meets every other."""
    rows = []
    for first, a in enumerate(_EDGES):
        for second, b in enumerate(_EDGES):
            number = first * len(_EDGES) + second
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "c": _EDGES[(first + 2 * second) % len(_EDGES)],
                    "f": (True, False, None)[number % 3],
                    "g": (True, False, None)[number // 3 % 3],
                    "s": _TEXTS[number % len(_TEXTS)],
                    "t": _TEXTS[number // len(_TEXTS) % len(_TEXTS)],
                }
            )
    return rows


def test_spark_gives_what_the_evaluator_gives(session: Any, tmp_path: Path) -> None:
    expressions = [item for item in map(compile_rule, EXPRESSIONS) if item is not None]
    assert len(expressions) > len(EXPRESSIONS) - 4
    graph = Graph()
    compiler = ExpressionCompiler(graph, SPARK, {name: graph.leaf(name) for name in TYPES}, {})
    outputs: dict[str, Node] = {}
    for index, expression in enumerate(expressions):
        value = compiler.compile(expression.tree)
        outputs[f"v{index}"] = value.sql
        outputs[f"e{index}"] = compiler.fault(value) or graph.leaf("NULL")
    rows = rows_of_edges()
    kinds = {"BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "VARCHAR": pa.string()}
    arrays = {
        name: pa.array([row[name] for row in rows], kinds[kind]) for name, kind in TYPES.items()
    }
    pq.write_table(pa.table(arrays), tmp_path / "facts.parquet")
    session.read.parquet(str(tmp_path / "facts.parquet")).createOrReplaceTempView("facts")
    found = session.sql(compute_stages(outputs).render("facts", SPARK)).collect()
    assert len(found) == len(rows)
    for row, line in zip(rows, found, strict=True):
        known = {name: value for name, value in row.items() if value is not None}
        for index, expression in enumerate(expressions):
            value, fault = line[f"v{index}"], line[f"e{index}"]
            got = (value, None if value is not None else fault)
            assert got == evaluate(expression, known), (expression.source, known)


def test_the_plan_gives_the_same_answers_on_spark(session: Any, tmp_path: Path) -> None:
    assert session is not None
    rules = tmp_path / "rules"
    rules.mkdir()
    # int() of a text has no SQL: on Spark such a product is refused.
    source = ODD_PRODUCT.replace("int(co.tax_grade + '1') > 0 || ", "")
    (rules / "odd.toml").write_text(source, encoding="utf-8")
    from analytics.matching.rules import load_rules

    loaded = load_rules(rules, DAY)
    rows = make_near(loaded.products, features_of(loaded), find_edges(loaded.products), 9, 150)
    write_snapshot(tmp_path / "facts.parquet", loaded, rows)
    answers = {}
    for is_spark in (False, True):
        prepared = prepare(tmp_path / "facts.parquet", rules, WISH, is_spark=is_spark)
        out = tmp_path / ("spark" if is_spark else "duck")
        counts = run(prepared, Options(prepared.files, out, 1), lambda _: None)
        tables = [pq.read_table(path) for path in sorted(out.rglob("*.parquet"))]
        table = pa.concat_tables(tables).sort_by(COMPANY).select(list(prepared.plan.written))
        answers[is_spark] = counts, table.to_pylist()
        options = Options(prepared.files, out, 1)
        check = check_sample(prepared.plan, options, 50, lambda _: None)
        assert (check.companies, check.difference) == (50, "")
    assert answers[True] == answers[False]
