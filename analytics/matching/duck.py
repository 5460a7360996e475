"""The plan run in this process: DuckDB over one chunk of the snapshot after another.

A chunk is a slice of a row group. Each is read with pyarrow, goes through the query on one thread,
and becomes one part, so memory is bounded by the chunks in hand, and what was interrupted goes on
with the parts that are not there. As many chunks are in hand as there are threads: they share
nothing, and DuckDB and pyarrow let each other run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from analytics.columns import COMPANY, arrow_type
from analytics.matching.plan import Opaque, Plan
from analytics.sql.values import Fault
from ledger.rules.failures import EvalError
from ledger.rules.features import accept_facts

# Passes of the optimiser that have nothing to find in projections over one table, whose common
# parts the plan has shared already; without them a query of 1,500 columns is planned faster.
_NEEDLESS = (
    "common_subexpressions",
    "statistics_propagation",
    "column_lifetime",
    "filter_pushdown",
    "filter_pullup",
    "join_order",
)


def connect(memory_mb: int, spill: Path | None) -> duckdb.DuckDBPyConnection:
    """Return a connection of one thread that keeps below a bound and spills into a folder."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute(f"SET memory_limit = '{memory_mb}MB'")
    connection.execute("SET preserve_insertion_order = true")
    connection.execute(f"SET disabled_optimizers = '{','.join(_NEEDLESS)}'")
    if spill is not None:
        folder = str(spill).replace("'", "''")
        connection.execute(f"SET temp_directory = '{folder}'")
    return connection


def run_chunk(
    connection: duckdb.DuckDBPyConnection, plan: Plan, query: str, facts: pa.Table
) -> pa.Table:
    """Return the answers for the companies of `facts`, all columns of the plan, in their order.

    `query` is `plan.render("chunk")`.
    """
    table = facts
    for opaque in plan.opaque:
        table = _evaluate(table, opaque, plan.constants)
    connection.register("chunk", table)
    try:
        return connection.sql(query).to_arrow_table()
    finally:
        connection.unregister("chunk")


def _evaluate(table: pa.Table, opaque: Opaque, constants: Mapping[str, Any]) -> pa.Table:
    """Add the two columns of a rule that has no SQL, computed by a node's evaluator."""
    names = [item.name for item in opaque.features if item.name in table.column_names]
    values: list[Any] = []
    faults: list[int | None] = []
    for row in table.select(names or [COMPANY]).to_pylist():
        known = accept_facts(opaque.features, {**row, **constants})
        try:
            values.append(opaque.expression.evaluate(known))
            faults.append(None)
        except EvalError as error:
            values.append(None)
            faults.append(int(Fault[error.kind.name]))
    kinds: Mapping[type, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), str: pa.string()}
    kind = kinds[_type_of(opaque)]
    table = table.append_column(opaque.name, pa.array(values, kind))
    return table.append_column(opaque.fault, pa.array(faults, pa.int8()))


def _type_of(opaque: Opaque) -> type:
    kind = opaque.expression.type.kind.value
    return {"bool": bool, "int": int, "string": str}[kind]


def table_of(rows: Sequence[Mapping[str, Any]], plan: Plan) -> pa.Table:
    """Return rows of facts as the table that `run_chunk` wants; the company is the row's number."""
    columns: dict[str, pa.Array] = {}
    for name, feature in plan.columns.items():
        if name not in plan.constants:
            columns[name] = pa.array([row.get(name) for row in rows], arrow_type(feature))
    columns[COMPANY] = pa.array([str(index) for index in range(len(rows))])
    return pa.table(columns)
