"""Each company of a snapshot stands in it once, or nothing is matched.

A row that is there twice would be counted twice, with two answers where they differ. Codes come in
any order and in several files, so they are compared by hash, eight bytes a company: what falls
together is read again and compared itself. Eleven million companies take 88 MB and some seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from analytics.columns import COMPANY, open_parquet
from ledger.errors import Code, LocalError

_HASHES = "SELECT hash(company) AS h FROM codes WHERE company IS NOT NULL"
_SUSPECTS = "SELECT company AS c FROM codes JOIN suspects ON hash(company) = suspects.h"


def check_once(files: Sequence[Path]) -> None:
    """Raise `LocalError` 8001 for a company that has two rows in the files of a snapshot."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        hashes = [item["h"].to_numpy() for item in _ask(connection, _HASHES, files)]
        found = np.sort(np.concatenate(hashes)) if hashes else np.empty(0, np.uint64)
        twice = np.unique(found[1:][found[1:] == found[:-1]])
        if not len(twice):
            return
        connection.register("suspects", pa.table({"h": twice}))
        counts: Counter[str] = Counter()
        for item in _ask(connection, _SUSPECTS, files):
            counts.update(item["c"].to_pylist())
        company = min((name for name, count in counts.items() if count > 1), default=None)
        if company is not None:
            message = f"company {company} has {counts[company]} rows in the snapshot, want one"
            raise LocalError(Code.INPUT_FILE, message)


def _ask(
    connection: duckdb.DuckDBPyConnection, query: str, files: Sequence[Path]
) -> Iterator[pa.Table]:
    """Yield the answer for the codes of each row group."""
    for path in files:
        file = open_parquet(path)
        for group in range(file.metadata.num_row_groups):
            connection.register("codes", read_group(path, group, [COMPANY]))
            yield connection.sql(query).to_arrow_table()


def read_group(path: Path, group: int, columns: Sequence[str]) -> pa.Table:
    """Return columns of a row group; raise `LocalError` 8001 where the file cannot be read."""
    try:
        return open_parquet(path).read_row_group(group, columns=list(columns), use_threads=False)
    except (OSError, pa.ArrowException) as error:
        message = f"{path} is damaged in row group {group}, make it anew: {error}"
        raise LocalError(Code.INPUT_FILE, message) from None
