"""`scripts/fuzz-sql`: generated expressions as SQL and by the ledger's evaluator, any number.

The expressions are those of `tests.rules.fuzz`: every operation, macro and text, half of them over
facts with narrow declared ranges, where SQL leaves checks out. What has no SQL is counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import duckdb

from analytics.sql import dialect
from analytics.sql.expressions import ExpressionCompiler
from analytics.sql.nodes import Graph, Node, compute_stages
from analytics.sql.values import Fault, Unsupported, Value
from ledger.errors import RuleSourceError
from ledger.rules.checker import Environment
from ledger.rules.compiler import Expression, compile_expression
from ledger.rules.failures import EvalError
from ledger.rules.source import Source
from tests.rules.fuzz.agreement import draw_facts, draw_variables
from tests.rules.fuzz.expressions import KINDS, Writer
from tests.simulator.main import get_commit

FACT_SETS = 8
CHUNK = 100
_ROOTS = ("fl", "fl", "fl", "nu", "fe", "bp", "da", "ct", "tx")
_FAILURES_SHOWN = 20


@dataclass(slots=True)
class Tally:
    """What came of expressions; `unsupported` have no SQL, and `faults` came out as errors."""

    cases: int = 0
    refused: int = 0
    unsupported: int = 0
    faults: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    """One expression, its SQL value, and the facts it is tried on."""

    seed: int
    expression: Expression
    value: Value
    rows: list[dict[str, Any]]


def run_seeds(seeds: range, tally: Tally) -> None:
    """Compare the expressions of `seeds`, all in one query, and add to the tally."""
    graph = Graph()
    found = [_make_case(seed, graph, tally) for seed in seeds]
    cases = [case for case in found if case is not None]
    if not cases:
        return
    outputs: dict[str, Node] = {}
    for index, case in enumerate(cases):
        outputs[f"v{index}"] = case.value.sql
        compiler = ExpressionCompiler(graph, {}, {})
        outputs[f"e{index}"] = compiler.fault(case.value) or graph.leaf("NULL")
    lines = _run(compute_stages(outputs).render("facts"), cases)
    for index, case in enumerate(cases):
        for row, line in zip(case.rows, lines, strict=True):
            value, fault = line[2 * index : 2 * index + 2]
            got = (value, None if value is not None else fault)
            want = evaluate(case.expression, row)
            tally.cases += 1
            tally.faults += want[1] is not None
            if (got, type(got[0])) != (want, type(want[0])):
                shown = f"{case.expression.source} on {row}: {got}, want {want}"
                tally.failures.append(f"seed {case.seed}: {shown}")


def evaluate(expression: Expression, row: Mapping[str, Any]) -> tuple[Any, int | None]:
    """Return (value, None) or (None, fault) as a node computes it."""
    try:
        return expression.evaluate(row), None
    except EvalError as error:
        return None, int(Fault[error.kind.name])


def _make_case(seed: int, graph: Graph, tally: Tally) -> Case | None:
    random = Random(seed)
    variables = draw_variables(random)
    text = Writer(random).write(random.choice(_ROOTS), random.choice((2, 3, 3, 4))).mine
    try:
        expression = compile_expression(Source.of_text(text), Environment(variables))
    except RuleSourceError:
        tally.refused += 1
        return None
    columns = {name: graph.leaf(f'"{seed}.{name}"') for name in expression.reads}
    try:
        value = ExpressionCompiler(graph, columns, {}).compile(expression.tree)
    except Unsupported:
        tally.unsupported += 1
        return None
    names = sorted(expression.reads)
    rows = [draw_facts(random, variables, names, index < 3) for index in range(FACT_SETS)]
    return Case(seed, expression, value, rows)


def _run(query: str, cases: Sequence[Case]) -> list[tuple[Any, ...]]:
    """Run the query over one table that has the facts of every case side by side."""
    columns: dict[str, tuple[str, list[Any]]] = {}
    for case in cases:
        for name in sorted(case.expression.reads):
            values = [row.get(name) for row in case.rows]
            kind = KINDS[name.partition(".")[0]].kind
            if kind not in dialect.TYPES:  # of these only has() is asked
                values = [None if value is None else True for value in values]
            columns[f"{case.seed}.{name}"] = dialect.TYPES.get(kind, "BOOLEAN"), values
    columns["always"] = "BIGINT", [0] * FACT_SETS
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    declared = ", ".join(f'"{name}" {kind}' for name, (kind, _) in columns.items())
    connection.execute(f"CREATE TABLE facts ({declared})")
    holes = ", ".join("?" * len(columns))
    rows = [list(row) for row in zip(*(values for _, values in columns.values()), strict=True)]
    connection.executemany(f"INSERT INTO facts VALUES ({holes})", rows)  # noqa: S608
    found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    connection.close()
    return found


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="fuzz-sql",
        description="Hold rules compiled to SQL against the ledger's evaluator.",
        epilog="example: fuzz-sql --cases 200000",
    )
    parser.add_argument("--cases", type=int, default=20_000, help="how many cases at least")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    arguments = parser.parse_args(argv)
    shown = f"fuzz-sql --cases {arguments.cases} --seed {arguments.seed}"
    print(f"{shown}, commit {get_commit()}", flush=True)
    started, tally, seed = time.perf_counter(), Tally(), arguments.seed
    while tally.cases < arguments.cases:
        run_seeds(range(seed, seed + CHUNK), tally)
        seed += CHUNK
    elapsed = time.perf_counter() - started
    print(
        f"{tally.cases:,} cases ({tally.faults:,} errors of evaluation) in {elapsed:.0f} s; of "
        f"{seed - arguments.seed:,} expressions {tally.refused:,} were refused and "
        f"{tally.unsupported:,} have no SQL; {len(tally.failures)} failed"
    )
    for text in tally.failures[:_FAILURES_SHOWN]:
        print(f"FAILED {text}")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
