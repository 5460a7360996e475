"""Facts as columns: how a snapshot of companies is kept in a Parquet file.

One row a company, sorted or not; `company` is its code. One column a feature, named as the feature
("co.sales_12m"): int64 for everything that counts (dates as days since 1970-01-01, amounts in fen,
rates in basis points), bool for flags, string for texts; NULL is a fact that is absent. The file's
key-value metadata say the schema ("company/2"), the day of the facts in days since 1970-01-01, and
the height of the chain they were read at (0: they come from no chain).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.errors import Code, LocalError
from ledger.rules.features import AS_OF, Feature
from ledger.rules.schema import Schema
from ledger.rules.units import Unit

COMPANY = "company"
_SCHEMA = b"creditledger.schema"
_AS_OF = b"creditledger.as_of"
_HEIGHT = b"creditledger.height"
# Small enough that a chunk of a few hundred columns stays in memory, large enough to compress.
ROWS_A_GROUP = 65_536


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a file of facts says of itself."""

    schema: str
    as_of: int
    height: int = 0

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return the file's key-value metadata."""
        return {
            _SCHEMA: self.schema.encode(),
            _AS_OF: str(self.as_of).encode(),
            _HEIGHT: str(self.height).encode(),
        }


def arrow_type(feature: Feature) -> pa.DataType:
    """Return the type of a feature's column."""
    if feature.unit is Unit.FLAG:
        return pa.bool_()
    return pa.string() if feature.unit is Unit.TEXT else pa.int64()


def arrow_schema(
    schema: Schema, snapshot: Snapshot, names: Iterable[str] | None = None
) -> pa.Schema:
    """Return the columns of a file: the company, then the features `names` (default: all).

    The day and what is asked for (`ap.*`) are alike for all, so they have no column.
    """
    chosen = [
        feature
        for name, feature in schema.features.items()
        if name != AS_OF and not name.startswith("ap.") and (names is None or name in names)
    ]
    fields = [pa.field(COMPANY, pa.string(), nullable=False)]
    fields += [pa.field(feature.name, arrow_type(feature)) for feature in chosen]
    return pa.schema(fields, metadata=snapshot.to_metadata())


def read_snapshot(path: Path) -> Snapshot:
    """Return what the file says of itself; raise `LocalError` 8001 for one that is no snapshot."""
    metadata: Mapping[bytes, bytes] = open_parquet(path).schema_arrow.metadata or {}
    try:
        return Snapshot(
            metadata[_SCHEMA].decode(), int(metadata[_AS_OF]), int(metadata.get(_HEIGHT, b"0"))
        )
    except (KeyError, ValueError, UnicodeDecodeError):
        raise LocalError(
            Code.INPUT_FILE, f"{path} does not say its schema and day: is it a snapshot of facts?"
        ) from None


def open_parquet(path: Path) -> pq.ParquetFile:
    """Return the open file; raise `LocalError` 8001."""
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise LocalError(Code.INPUT_FILE, f"{path} is no Parquet file to read: {error}") from None


def read_columns(path: Path, names: list[str]) -> dict[str, list[Any]]:
    """Return columns of a file as lists; raise `LocalError` 8001 where it is damaged."""
    try:
        found: dict[str, list[Any]] = open_parquet(path).read(columns=names).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise LocalError(Code.INPUT_FILE, f"{path} is damaged, make it anew: {error}") from None
    return found


class SnapshotWriter:
    """Writes a snapshot, table by table; the file has its name only when it is whole.

    Tables are gathered into groups of ROWS_A_GROUP rows, for whoever matches the snapshot pays for
    each group anew. `mode` are the permissions of the file, from its first byte on.
    """

    def __init__(self, path: Path, columns: pa.Schema, mode: int = 0o666) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.partial")
        self._columns = columns
        self._gathered: list[pa.Table] = []
        self._partial.unlink(missing_ok=True)
        self._partial.touch(mode)
        self._writer = pq.ParquetWriter(
            self._partial, columns, compression="zstd", compression_level=1
        )

    def write(self, table: pa.Table) -> None:
        """Append rows whose columns are those of the file, in any order."""
        self._gathered.append(table.select(self._columns.names).cast(self._columns))
        if sum(item.num_rows for item in self._gathered) >= ROWS_A_GROUP:
            whole = pa.concat_tables(self._gathered)
            count = whole.num_rows // ROWS_A_GROUP * ROWS_A_GROUP
            self._writer.write_table(whole.slice(0, count), row_group_size=ROWS_A_GROUP)
            self._gathered = [whole.slice(count)]

    def __enter__(self) -> SnapshotWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._gathered:
                rest = pa.concat_tables(self._gathered)
                self._writer.write_table(rest, row_group_size=ROWS_A_GROUP)
            self._writer.close()
            if kind is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)
