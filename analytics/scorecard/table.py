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
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeAlias

from ledger.errors import Code, LocalError
from ledger.rules.documents import to_days
from ledger.rules.features import AS_OF
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue, Unit

SCALE = 10_000
LEVELS_MAX = 24  # a text with more different values says who somebody is, not how he does
_LARGEST = 10**15
_SCALED_TEXT = f"the column times {SCALE}"  # in a schema that was made of columns
_YES = {"true": True, "1": True, "false": False, "0": False}

_SNAPSHOT = b"creditledger.as_of"
COMPANY = "company"

Row: TypeAlias = Mapping[str, FactValue]
ReadCells: TypeAlias = Callable[[list[str]], dict[str, list[Any]]]


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
    only: Collection[str] | None = None,
    made: Collection[str] | None = None,
) -> FactTable:
    """Return the table of a file; raise `LocalError` (8001, 8002) naming the row and the column.

    `only` are the features wanted, where a file has many more. A snapshot of facts
    (`analytics.columns`) names its companies and its day itself. With `made` the schema is one that
    `make_schema` made of the columns of another file; these features were multiplied by SCALE, and
    are here whatever the cells look like.
    """
    header, read_cells, day = _open(path)
    id_column = id_column or (COMPANY if schema is not None and COMPANY in header else "")
    for column in (*filter(None, (target, id_column)), *drop):
        if column not in header:
            raise LocalError(Code.INPUT_FILE, f"{path}: no column {column}, has {_names(header)}")
    left_out = {target, id_column, *drop, ""}
    names = [name for name in header if name not in left_out and (only is None or name in only)]
    if schema is not None and made is not None:
        names = [name for name in names if feature_name(name) in schema.features]
    elif schema is not None:
        names = [name for name in names if name in schema.features]
    cells = read_cells([name for name in (id_column, target, *names) if name])
    count = len(next(iter(cells.values()), ()))
    columns = {name: cells[name] for name in names}
    scaled: frozenset[str] = frozenset()
    if schema is not None and made is not None:
        _check_names(path, columns)
        units = {feature_name(name): schema.features[feature_name(name)].unit for name in names}
        read = {
            feature: _read_made(path, feature, columns[name], units[feature], feature in made)
            for name, feature in zip(names, units, strict=True)
        }
        scaled = frozenset(made)
    elif schema is not None:
        units = {name: schema.features[name].unit for name in names}
        read = {name: _read_column(path, name, columns[name], units[name]) for name in names}
    else:
        _check_names(path, columns)
        units, read, scaled = _guess_columns(columns)
        if not units:
            message = f"no column holds numbers only, or 2 to {LEVELS_MAX} different texts"
            raise LocalError(Code.INPUT_FILE, f"{path}: {message}: nothing can be an input")
    common: Row = {} if day is None else {AS_OF: day}
    ids = cells[id_column] if id_column else range(1, count + 1)
    return FactTable(
        tuple(map(str, ids)),
        tuple(_make_row(common, read, place) for place in range(count)),
        tuple(_read_labels(cells[target], bad) if target else [None] * count),
        units,
        str(path),
        scaled,
    )


def _make_row(common: Row, read: Mapping[str, Sequence[FactValue | None]], place: int) -> Row:
    row = dict(common)
    for name, column in read.items():
        value = column[place]
        if value is not None:
            row[name] = value
    return row


def _open(path: Path) -> tuple[list[str], ReadCells, int | None]:
    """Return the header, what reads columns of it, and the day of the facts where it is said."""
    if path.suffix != ".parquet":
        header, lines = _read_csv(path)
        places = {name: place for place, name in enumerate(header)}
        return header, lambda names: {n: [line[places[n]] for line in lines] for n in names}, None
    from analytics.columns import open_parquet, read_snapshot

    file = open_parquet(path)
    is_snapshot = _SNAPSHOT in (file.schema_arrow.metadata or {})
    return (
        list(file.schema_arrow.names),
        lambda names: file.read(columns=names).to_pydict(),
        read_snapshot(path).as_of if is_snapshot else None,
    )


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
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise LocalError(Code.INPUT_FILE, f"{path} has two columns {twice[0]}: rename one")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            message = f"{path}, row {number}: {len(line)} cells, want {len(header)}"
            raise LocalError(Code.INPUT_LINE, message)
    return header, lines


def _read_labels(cells: Sequence[object], bad: str) -> list[int | None]:
    texts = [_text(cell) for cell in cells]
    return [None if text == "" else int(text == bad) for text in texts]


def _text(cell: object) -> str:
    """Return a cell as CSV would have it; a flag counts as 0 or 1."""
    return "" if cell is None else str(int(cell) if isinstance(cell, bool) else cell).strip()


def _read_column(path: Path, name: str, cells: Sequence[str], unit: Unit) -> list[FactValue | None]:
    """Return the values of a schema's feature: whole numbers, flags or texts."""
    found: list[FactValue | None] = []
    for number, cell in enumerate(cells, 2):
        try:
            found.append(_read_cell(cell, unit))
        except (ValueError, KeyError):
            message = (
                f"{path}, row {number}: {name} is {_text(cell)[:40]!a}, want a value in {unit}"
            )
            raise LocalError(Code.INPUT_LINE, message) from None
    return found


def _read_made(
    path: Path, feature: str, cells: Sequence[object], unit: Unit, is_scaled: bool
) -> list[FactValue | None]:
    """Return a column as `make_schema` declared it: texts, or numbers times SCALE or whole."""
    texts = [_text(cell) for cell in cells]
    if unit is Unit.TEXT:
        return [text or None for text in texts]
    found: list[FactValue | None] = []
    for number, text in enumerate(texts, 2):
        read = _read_numbers([text])
        value = None if read is None else read[0]
        if read is None or not (is_scaled or value is None or value == value.to_integral()):
            want = "a number" if is_scaled else "a whole number, as the scorecard was fitted to"
            message = f"{path}, row {number}: {feature} is {text[:40]!a}, want {want}"
            raise LocalError(Code.INPUT_LINE, message)
        factor = SCALE if is_scaled else 1
        found.append(None if value is None else _bounded(value * factor))
    return found


def read_scaled(schema_source: bytes) -> frozenset[str]:
    """Return the features that were multiplied by SCALE when `make_schema` made the schema."""
    features = tomllib.loads(schema_source.decode())["feature"]
    return frozenset(name for name, item in features.items() if item.get("text") == _SCALED_TEXT)


def _read_cell(cell: object, unit: Unit) -> FactValue | None:
    if type(cell) is int and unit not in (Unit.TEXT, Unit.FLAG):
        return cell
    text = _text(cell)
    if text == "":
        return None
    if unit is Unit.TEXT:
        return text
    if unit is Unit.FLAG:
        return _YES[text.lower()]
    if unit is Unit.DATE and "-" in text[1:]:
        return to_days(date.fromisoformat(text))
    return int(text)


def _check_names(path: Path, columns: Iterable[str]) -> None:
    """Refuse two columns that rules would know by one name."""
    known: dict[str, str] = {}
    for column in columns:
        other = known.setdefault(feature_name(column), column)
        if other != column:
            message = f"columns {other} and {column} are both {feature_name(column)}: rename one"
            raise LocalError(Code.INPUT_FILE, f"{path}: {message}")


def _guess_columns(
    columns: Mapping[str, Sequence[object]],
) -> tuple[dict[str, Unit], dict[str, list[FactValue | None]], frozenset[str]]:
    """Return units and values of columns without a schema; a text with too many values is left."""
    units: dict[str, Unit] = {}
    read: dict[str, list[FactValue | None]] = {}
    scaled: set[str] = set()
    for name, values in columns.items():
        feature, cells = feature_name(name), [_text(value) for value in values]
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
            lines.append(f'text = "{_SCALED_TEXT}"')
    return "\n".join(lines) + "\n"
