"""Rules as SQL against the ledger's own evaluator: the same value or the same error, everywhere.

Hypothesis makes well-typed expressions and facts, absences and extremes among them; DuckDB runs
many expressions over many rows at once, so that thousands of cases cost seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.sql.expressions import ExpressionCompiler
from analytics.sql.nodes import Graph, Node, compute_stages
from analytics.sql.values import Unsupported
from ledger.errors import RuleSourceError
from ledger.rules.checker import Environment
from ledger.rules.compiler import Expression, compile_expression
from ledger.rules.source import Source
from ledger.rules.types import BOOL, NUMBER, STRING, Variable
from tests.rules.expressions import FLAGS, INTS, TEXTS, facts, flags, ints, strings

pytest.importorskip("duckdb")

import duckdb

from tests.analytics.sql_fuzz import Tally, evaluate, run_seeds

TYPES = {
    **dict.fromkeys(INTS, "BIGINT"),
    **dict.fromkeys(FLAGS, "BOOLEAN"),
    **dict.fromkeys(TEXTS, "VARCHAR"),
}
_FREE = {
    **dict.fromkeys(INTS, Variable(NUMBER)),
    **dict.fromkeys(FLAGS, Variable(BOOL)),
    **dict.fromkeys(TEXTS, Variable(STRING)),
}
_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
Rows = Sequence[Mapping[str, Any]]
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


def compile_rule(text: str, variables: Mapping[str, Variable] = _FREE) -> Expression | None:
    """Return an expression, None where the language refuses it as too high or too costly."""
    try:
        return compile_expression(Source.of_text(text), Environment(variables))
    except RuleSourceError:
        return None


def translate(expressions: Sequence[Expression]) -> str:
    """Return the query that computes value and fault of each expression; raise `Unsupported`."""
    graph = Graph()
    columns = {name: graph.leaf(f'"{name}"') for name in TYPES}
    compiler = ExpressionCompiler(graph, columns, {})
    outputs: dict[str, Node] = {}
    for index, expression in enumerate(expressions):
        value = compiler.compile(expression.tree)
        outputs[f"v{index}"] = value.sql
        outputs[f"e{index}"] = compiler.fault(value) or graph.leaf("NULL")
    return compute_stages(outputs).render("facts")


def run_sql(expressions: Sequence[Expression], rows: Rows) -> list[list[tuple[Any, int | None]]]:
    """Return for each row what SQL gives for each expression."""
    query = translate(expressions)
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    named = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    connection.execute(f"CREATE TABLE facts ({named})")
    holes = ", ".join("?" * len(TYPES))
    connection.executemany(
        f"INSERT INTO facts VALUES ({holes})",  # noqa: S608 - only question marks
        [[row.get(name) for name in TYPES] for row in rows],
    )
    found = connection.execute(query).fetchall()
    connection.close()
    return [list(zip(line[::2], line[1::2], strict=True)) for line in found]


def check_equal(expressions: Sequence[Expression], rows: Rows) -> int:
    """Compare every expression on every row; return how many cases were compared."""
    lines = run_sql(expressions, rows)
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        for expression, (value, fault) in zip(expressions, line, strict=True):
            want = evaluate(expression, row)
            got = (value, None if value is not None else fault)
            assert (got, type(got[0])) == (want, type(want[0])), (expression.source, row)
    return len(rows) * len(expressions)


def _without(rows: Rows, absent: Sequence[set[str]]) -> Rows:
    return [
        {name: value for name, value in row.items() if name not in names}
        for row, names in zip(rows, absent, strict=True)
    ]


_ABSENT = st.sets(st.sampled_from([*INTS, *FLAGS, *TEXTS]))


@settings(max_examples=25, deadline=None, suppress_health_check=_QUIET)
@given(
    st.lists(st.one_of(flags(4), ints(4), strings(2)), min_size=6, max_size=8),
    st.lists(st.tuples(facts(), _ABSENT), min_size=8, max_size=8),
)
def test_sql_gives_what_the_evaluator_gives(
    texts: list[str], cases: list[tuple[dict[str, Any], set[str]]]
) -> None:
    expressions = [item for item in map(compile_rule, texts) if item is not None]
    supported = [item for item in expressions if _is_supported(item)]
    rows = _without([row for row, _ in cases], [absent for _, absent in cases])
    if supported:
        check_equal(supported, rows)


def _is_supported(expression: Expression) -> bool:
    try:
        translate([expression])
    except Unsupported:
        return False
    return True


def rows_of_edges() -> Rows:
    """Return rows in which every edge meets every other."""
    rows: list[dict[str, Any]] = []
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
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def test_sql_gives_it_at_the_edges() -> None:
    expressions = [item for item in map(compile_rule, EXPRESSIONS) if item is not None]
    assert len(expressions) > len(EXPRESSIONS) - 4
    assert check_equal(expressions, rows_of_edges()) > 4000


def test_sql_gives_it_too_where_ranges_are_declared_and_checks_left_out() -> None:
    """Every operation of the language; `scripts/fuzz-sql` runs as many as one likes."""
    tally = Tally()
    for first in range(0, 400, 100):
        run_seeds(range(first, first + 100), tally)
    assert not tally.failures, tally.failures[0]
    assert tally.cases > 1500
    assert tally.faults > 300
