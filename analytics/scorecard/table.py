"""Facts of many companies, row by row, as the ledger's evaluator takes them.

A row maps a feature's name to its value; what is not known is absent. Labels are 1 for a company
that failed, 0 for one that did not, None where nobody knows. `read_table` reads CSV (also .gz) and
Parquet. Where the columns are features of a schema their units say how to read them; where there is
no schema one is made: a column of whole numbers stays, one with decimals is multiplied by 10,000
(the ledger has no fractions), anything else is a text, and left out if it has too many values.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ledger.errors import Code, LocalError
from ledger.rules.documents import to_days
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue, Unit

SCALE = 10_000
LEVELS_MAX = 24  # a text with more different values says who somebody is, not how he does
_LARGEST = 10**15
_YES = {"true": True, "1": True, "false": False, "0": False}

Row = Mapping[str, FactValue]


@dataclass(frozen=True, slots=True)
class FactTable:
    """Companies with their facts and labels; `units` of every column, in the file's order."""

    ids: tuple[str, ...]
    rows: tuple[Row, ...]
    labels: tuple[int | None, ...]
    units: Mapping[str, Unit]
    source: str
    scaled: frozenset[str] = frozenset()  # columns that were multiplied by SCALE

    def select(self, places: Sequence[int]) -> FactTable:
        """Return the companies at `places`."""
        return FactTable(
            tuple(self.ids[place] for place in places),
            tuple(self.rows[place] for place in places),
            tuple(self.labels[place] for place in places),
            self.units,
            self.source,
            self.scaled,
        )

    def labelled(self) -> FactTable:
        """Return the companies whose label is known; `LocalError` 8001 without both sorts."""
        known = [place for place, label in enumerate(self.labels) if label is not None]
        found = {self.labels[place] for place in known}
        if found != {0, 1}:
            message = f"{self.source}: the target has no companies of both sorts, good and bad"
            raise LocalError(Code.INPUT_FILE, message)
        return self.select(known)


def read_table(
    path: Path,
    target: str = "",
    *,
    bad: str = "1",
    id_column: str = "",
    drop: Iterable[str] = (),
    schema: Schema | None = None,
) -> FactTable:
    """Return the table of a file; raise `LocalError` (8001, 8002) naming the row and the column."""
    header, lines = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    for column in (*filter(None, (target, id_column)), *drop):
        if column not in header:
            raise LocalError(Code.INPUT_FILE, f"{path}: no column {column}, has {_names(header)}")
    texts = {name: [line[place] for line in lines] for place, name in enumerate(header)}
    labels = _read_labels(texts[target], bad) if target else [None] * len(lines)
    ids = texts[id_column] if id_column else [str(place + 1) for place in range(len(lines))]
    left_out = {target, id_column, *drop}
    columns = {name: values for name, values in texts.items() if name and name not in left_out}
    if schema is not None:
        units = {name: schema.features[name].unit for name in columns if name in schema.features}
        read = {name: _read_column(path, name, columns[name], unit) for name, unit in units.items()}
        scaled: frozenset[str] = frozenset()
    else:
        units, read, scaled = _guess_columns(columns)
    rows = [
        {name: column[place] for name, column in read.items() if column[place] is not None}
        for place in range(len(lines))
    ]
    return FactTable(tuple(ids), tuple(rows), tuple(labels), units, str(path), scaled)  # type: ignore[arg-type]


def _names(header: Sequence[str]) -> str:
    return ", ".join(header[:12]) + (" and more" if len(header) > 12 else "")


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            lines = [line for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error, EOFError) as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
    if not header or not lines:
        raise LocalError(Code.INPUT_FILE, f"{path} is empty, want a header and rows")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            message = f"{path}, row {number}: {len(line)} cells, want {len(header)}"
            raise LocalError(Code.INPUT_LINE, message)
    return header, lines


def _read_parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the cells as texts; an empty one for NULL."""
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
    columns = [["" if cell is None else str(cell) for cell in c.to_pylist()] for c in table.columns]
    return list(table.column_names), [list(line) for line in zip(*columns, strict=True)]


def _read_labels(cells: Sequence[str], bad: str) -> list[int | None]:
    return [None if cell.strip() == "" else int(cell.strip() == bad) for cell in cells]


def _read_column(path: Path, name: str, cells: Sequence[str], unit: Unit) -> list[FactValue | None]:
    """Return the values of a schema's feature: whole numbers, flags or texts."""
    found: list[FactValue | None] = []
    for number, cell in enumerate(cells, 2):
        try:
            found.append(_read_cell(cell.strip(), unit))
        except (ValueError, KeyError):
            message = f"{path}, row {number}: {name} is {cell[:40]!a}, want a value in {unit}"
            raise LocalError(Code.INPUT_LINE, message) from None
    return found


def _read_cell(cell: str, unit: Unit) -> FactValue | None:
    if cell == "":
        return None
    if unit is Unit.TEXT:
        return cell
    if unit is Unit.FLAG:
        return _YES[cell.lower()]
    if unit is Unit.DATE and "-" in cell[1:]:
        return to_days(date.fromisoformat(cell))
    return int(cell)


def _guess_columns(
    columns: Mapping[str, Sequence[str]],
) -> tuple[dict[str, Unit], dict[str, list[FactValue | None]], frozenset[str]]:
    """Return units and values of columns without a schema; a text with too many values is left."""
    units: dict[str, Unit] = {}
    read: dict[str, list[FactValue | None]] = {}
    scaled: set[str] = set()
    for name, cells in columns.items():
        feature = feature_name(name)
        numbers = _read_numbers(cells)
        if numbers is None:
            known = sorted({cell.strip() for cell in cells} - {""})
            if 2 <= len(known) <= LEVELS_MAX:
                units[feature] = Unit.TEXT
                read[feature] = [cell.strip() or None for cell in cells]
            continue
        is_whole = all(value is None or value == value.to_integral() for value in numbers)
        factor = 1 if is_whole else SCALE
        if not is_whole:
            scaled.add(feature)
        units[feature] = Unit.COUNT
        read[feature] = [None if value is None else _bounded(value * factor) for value in numbers]
    return units, read, frozenset(scaled)


def feature_name(column: str) -> str:
    """Return the name of a column as a rule may write it ("X1" is data.x1)."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in column.lower())
    return f"data.f_{plain}"[:48] if not plain[:1].isalpha() else f"data.{plain}"[:48]


def _read_numbers(cells: Sequence[str]) -> list[Decimal | None] | None:
    """Return the numbers, None for an empty cell; None altogether when one is no number."""
    found: list[Decimal | None] = []
    for cell in cells:
        text = cell.strip()
        if text == "":
            found.append(None)
            continue
        try:
            value = Decimal(text)
        except InvalidOperation:
            return None
        found.append(value if value.is_finite() else None)
    return found


def _bounded(value: Decimal) -> int:
    return max(-_LARGEST, min(_LARGEST, int(value)))


def make_schema(table: FactTable, name: str = "data") -> str:
    """Return the source of a schema with the table's columns: facts that others hand in."""
    lines = ['format = "smartrule/1"', 'kind = "schema"', f'id = "{name}"', "version = 1"]
    for feature, unit in table.units.items():
        lines += ["", f'[feature."{feature}"]', f'unit = "{unit}"', 'source = "ledger"']
        if feature in table.scaled:
            lines.append(f'text = "the column times {SCALE}"')
    return "\n".join(lines) + "\n"
