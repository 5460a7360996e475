"""The province as Parquet files (`analytics.columns`), and as Arrow tables for who needs no file.

`facts-NNN.parquet` has a row a company, and `labels-NNN.parquet` whether each company fails within
a year of the day of the facts. Files hold about a million companies, and are made in row groups, so
that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from analytics.columns import COMPANY, ROWS_A_GROUP, Snapshot, SnapshotWriter, arrow_schema
from analytics.province.events import Column
from analytics.province.facts import Province

CHUNK = 8_192  # companies made at a time: their arrays stay in the cache
FILE_ROWS = 16 * ROWS_A_GROUP
FAILED = "failed"
_LABELS = pa.schema(
    [pa.field(COMPANY, pa.string(), nullable=False), pa.field(FAILED, pa.bool_(), nullable=False)]
)


def make_tables(province: Province, first: int, count: int) -> tuple[pa.Table, pa.Table]:
    """Return (facts, labels) of companies `first` to `first + count - 1`."""
    parts = list(_make_parts(province, first, count))
    return pa.concat_tables(facts for facts, _ in parts), pa.concat_tables(
        labels for _, labels in parts
    )


def _make_parts(province: Province, first: int, count: int) -> Iterator[tuple[pa.Table, pa.Table]]:
    columns = arrow_schema(province.schema, Snapshot(province.schema.ref, province.as_of))
    for start in range(first, first + count, CHUNK):
        chunk = province.chunk(start, min(CHUNK, first + count - start))
        company = pa.array(province.codes(chunk)).cast(pa.string())
        facts = province.facts(chunk)
        arrays = [company, *(to_arrow(facts[name]) for name in columns.names[1:])]
        failed = pa.array(chunk.latent.fails)
        yield (
            pa.Table.from_arrays(arrays, schema=columns),
            pa.Table.from_arrays([company, failed], schema=_LABELS),
        )


def to_arrow(column: Column) -> pa.Array:
    """Return a column of facts as an Arrow array, NULL where it is absent."""
    mask = None if column.present is None else ~np.asarray(column.present)
    if column.vocabulary is None:
        return pa.array(column.values, mask=mask)
    indices = pa.array(column.values.astype(np.int32), mask=mask)
    vocabulary = pa.array(column.vocabulary, type=pa.string())
    return pa.DictionaryArray.from_arrays(indices, vocabulary).cast(pa.string())


def write_province(
    province: Province,
    companies: int,
    out: Path,
    progress: Callable[[int], None] = lambda _: None,
    first: int = 0,
) -> list[Path]:
    """Write the files of `companies` companies from number `first` on; return those of facts.

    `progress` is told how many have been made, after each row group.
    """
    out.mkdir(parents=True, exist_ok=True)
    columns = arrow_schema(province.schema, Snapshot(province.schema.ref, province.as_of))
    files = []
    for number, start in enumerate(range(0, companies, FILE_ROWS)):
        end = min(start + FILE_ROWS, companies)
        path = out / f"facts-{number:03}.parquet"
        with (
            SnapshotWriter(path, columns) as facts,
            SnapshotWriter(out / f"labels-{number:03}.parquet", _LABELS) as labels,
        ):
            for low in range(start, end, ROWS_A_GROUP):
                rows = min(ROWS_A_GROUP, end - low)
                tables = make_tables(province, first + low, rows)
                facts.write(tables[0])
                labels.write(tables[1])
                progress(low + rows)
        files.append(path)
    return files
