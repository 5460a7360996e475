"""The facts of the synthetic province are what a ledger computes from its records.

The records of a few dozen companies are executed as transactions on a chain in memory, and every
feature of company/2 that records give is compared with the column of the same name.
"""

from __future__ import annotations

import numpy as np

from analytics.province.draws import Ints
from analytics.province.events import Chunk, Column
from analytics.province.facts import SCHEMA_FILE, Province
from analytics.province.records import read_record_names, records_of, spans_of
from genesis.network import load_network
from ledger.credit.windows_state import CompanyWindows
from ledger.errors import Code
from ledger.rules.features import FeatureSource
from ledger.rules.units import FactValue
from ledger.transactions.envelope import MAX_ATTACHMENTS
from tests.ledger_harness import GENESIS_DAY, Harness

COMPANIES, MOST_INVOICES, RANDOM = 12_000, 150, 24


def owned(names: list[str]) -> list[dict[str, object]]:
    """Return the categories of the record schemas, all of them D01's, who is there to send."""
    wanted = {name.partition("/")[0] for name in names}
    return [
        {**item, "owner": "D01"}
        for item in load_network("guangdong").categories
        if item["id"] in wanted
    ]


def is_telling(column: Column) -> np.ndarray:
    """Return where a feature is there and not zero."""
    present = True if column.present is None else column.present
    return np.asarray(present & ((column.values != 0) | (column.vocabulary is not None)))


def choose(chunk: Chunk, facts: dict[str, Column]) -> Ints:
    """Return companies of few invoices: some at random, and one with each feature, rare first."""
    sides = (chunk.sales, chunk.purchases)
    lines = sum(part.sum(axis=0) for side in sides for part in side.lines.values())
    chosen = set(np.flatnonzero(lines <= MOST_INVOICES)[:RANDOM].tolist())
    for column in sorted(facts.values(), key=lambda column: is_telling(column).sum()):
        telling = is_telling(column)
        if not telling[list(chosen)].any():
            chosen.add(int(np.where(telling, lines, lines.max() + 1).argmin()))
    return np.array(sorted(chosen))


def execute(province: Province, chunk: Chunk, rows: Ints) -> Harness:
    """Return a chain on which everything that departments know of the companies was submitted."""
    names = read_record_names(province)
    harness = Harness(rules=[SCHEMA_FILE.read_bytes()], categories=owned(names))
    codes = [code.decode() for code in province.codes(chunk)]
    for name in names:
        category, _, schema = name.partition("/")
        by_row = records_of(province, chunk, name, rows)
        records = [record for row in rows for record in by_row[int(row)]]
        for start in range(0, len(records), MAX_ATTACHMENTS):
            part = records[start : start + MAX_ATTACHMENTS]
            code, data = harness.run(harness.submit("D01", category, part, schema))
            assert code == Code.OK, (name, data)
            assert data == {"accepted": len(part), "conflicts": (), "duplicates": ()}, name
    spans: dict[tuple[str, tuple[int, int]], list[str]] = {}
    for name, row, span in spans_of(chunk, names):
        if row in rows:
            spans.setdefault((name, span), []).append(codes[row])
    for (name, span), companies in spans.items():
        category, _, schema = name.partition("/")
        attest = harness.attest("D01", category, companies, *span, schema_name=schema)
        assert harness.run(attest)[0] == Code.OK
    return harness


def value_at(column: Column, row: int) -> FactValue | None:
    if column.present is not None and not column.present[row]:
        return None
    value = column.values[row]
    if column.vocabulary is not None:
        return column.vocabulary[value]
    return bool(value) if value.dtype == np.bool_ else int(value)


def test_facts_are_what_the_ledger_computes_from_the_records() -> None:
    province = Province(3, as_of=GENESIS_DAY)
    chunk = province.chunk(0, COMPANIES)
    facts = province.facts(chunk)
    names = [
        name
        for name in province.features
        if province.schema.features[name].source is FeatureSource.RECORDS
    ]
    rows = choose(chunk, {name: facts[name] for name in names})
    harness = execute(province, chunk, rows)
    codes = [code.decode() for code in province.codes(chunk)]
    state = harness.state()
    differences = []
    for row in rows:
        windows = CompanyWindows(state, codes[row])
        computed = province.schema.compute(GENESIS_DAY, windows, names)
        for name in names:
            ours = value_at(facts[name], int(row))
            if computed.get(name) != ours:
                differences.append((codes[row], name, computed.get(name), ours))
    assert differences == []
    told = [name for name in names if is_telling(facts[name])[rows].any()]
    assert sorted(set(names) - set(told)) == [], "features that no company of the sample has"
