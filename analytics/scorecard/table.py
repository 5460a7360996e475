"""Facts of many companies, row by row, as the ledger's evaluator takes them.

A row maps a feature's name to its value; what is not known is absent. Labels are 1 for a company
that failed, 0 for one that did not, None where nobody knows. `read_table` reads CSV (also .gz) and
Parquet. Where the columns are features of a schema their units say how to read them; where there is
no schema one is made: a column of whole numbers stays, one with decimals is multiplied by 10,000
(the ledger has no fractions), anything else is a text, and left out if it has too many values. What
was left out, counted once or cut off is said in the table's `notes`: a column that holds a bank's
grade is none of the inputs unless it is asked for, for it already says who failed.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias
from zlib import crc32

from analytics.scorecard.cells import (
    cell_text,
    is_grade,
    read_csv,
    read_labels,
    read_numbers,
)
from ledger.errors import Code, LocalError
from ledger.rules.documents import to_days
from ledger.rules.features import AS_OF
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue, Unit

SCALE = 10_000
LEVELS_MAX = 24  # a text with more different values says who somebody is, not how he does
_LARGEST = 10**15
_SCALED_TEXT = f"times {SCALE}"  # ends a feature's text in a schema that was made of columns
_NAME_MAX = 48
_BAD_HINT = "; --bad VALUE says which value is a failed one's"
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
    notes: tuple[str, ...] = ()
    target: str = ""  # the values of the target with their counts, and how to name another
    columns: Mapping[str, str] = field(default_factory=dict)  # a made feature's column

    def select(self, places: Sequence[int]) -> FactTable:
        """Return the companies at `places`."""
        return replace(
            self,
            ids=tuple(self.ids[place] for place in places),
            rows=tuple(self.rows[place] for place in places),
            labels=tuple(self.labels[place] for place in places),
        )

    def labelled(self) -> FactTable:
        """Return the companies whose label is known; `LocalError` 8001 without both sorts."""
        known = [place for place, label in enumerate(self.labels) if label is not None]
        found = {self.labels[place] for place in known}
        if found != {0, 1}:
            has = f": it is {self.target}" if self.target else ""
            message = f"the target has no companies of both sorts, good and bad{has}"
            raise LocalError(Code.INPUT_FILE, f"{self.source}: {message}")
        return self.select(known)


def read_table(
    path: Path,
    target: str = "",
    *,
    bad: str = "1",
    id_column: str = "",
    drop: Iterable[str] = (),
    keep: Collection[str] = (),
    schema: Schema | None = None,
    only: Collection[str] | None = None,
    made: Collection[str] | None = None,
) -> FactTable:
    """Return the table of a file; raise `LocalError` (8001, 8002) naming the row and the column.

    `only` are the features wanted, where a file has many more. A snapshot of facts
    (`analytics.columns`) names its companies and its day itself. With `made` the schema is one that
    `make_schema` made of the columns of another file; these features were multiplied by SCALE, and
    are here whatever the cells look like. `keep` are columns to take although they are named as a
    grade.
    """
    header, read_cells, day, notes = _open(path)
    id_column = id_column or (COMPANY if schema is not None and COMPANY in header else "")
    for column in (*filter(None, (target, id_column)), *drop, *keep):
        if column not in header:
            raise LocalError(Code.INPUT_FILE, f"{path}: no column {column}, has {_names(header)}")
    left_out = {target, id_column, *drop, ""}
    names = [name for name in header if name not in left_out and (only is None or name in only)]
    if schema is None:
        names, graded = _without_grades(names, keep)
        notes += graded
    elif made is not None:
        names = [name for name in names if feature_name(name) in schema.features]
    else:
        names = [name for name in names if name in schema.features]
    wanted = [name for name in (id_column, target, *names) if name]
    cells, counted = _count_once(path, read_cells(wanted), id_column)
    labels, values = read_labels(cells[target], bad) if target else (None, "")
    columns = {name: cells[name] for name in names}
    read = _read_columns(path, columns, schema, made)
    count = len(next(iter(cells.values()), ()))
    common: Row = {} if day is None else {AS_OF: day}
    ids = cells[id_column] if id_column else range(1, count + 1)
    return FactTable(
        tuple(map(str, ids)),
        tuple(_make_row(common, read.values, place) for place in range(count)),
        tuple(labels or [None] * count),
        read.units,
        str(path),
        read.scaled,
        (*notes, *counted, *read.notes),
        f"column {target}, {values or 'without a value'}{_BAD_HINT}" if target else "",
        {} if schema is not None else {feature_name(name): name for name in names},
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """Columns that were read, by feature."""

    units: Mapping[str, Unit]
    values: Mapping[str, Sequence[FactValue | None]]
    scaled: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def _read_columns(
    path: Path,
    columns: Mapping[str, Sequence[Any]],
    schema: Schema | None,
    made: Collection[str] | None,
) -> _Read:
    """Return columns as their schema has them, or as their cells look."""
    if schema is None:
        _check_names(path, columns)
        read = _guess_columns(columns)
        if not read.units:
            message = f"no column holds numbers only, or 2 to {LEVELS_MAX} different texts"
            raise LocalError(Code.INPUT_FILE, f"{path}: {message}: nothing can be an input")
        return read
    if made is None:
        units = {name: schema.features[name].unit for name in columns}
        return _Read(
            units, {name: _read_column(path, name, columns[name], units[name]) for name in columns}
        )
    _check_names(path, columns)
    units = {feature_name(name): schema.features[feature_name(name)].unit for name in columns}
    values = {
        feature: _read_made(path, feature, columns[name], units[feature], feature in made)
        for name, feature in zip(columns, units, strict=True)
    }
    return _Read(units, values, frozenset(made))


def _without_grades(names: Sequence[str], keep: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the columns that may be inputs, and a note on those that are grades."""
    graded = [name for name in names if is_grade(name) and name not in keep]
    note = (
        "column {0} was left out: a grade that somebody gave may know who failed, and no record "
        "holds it; --keep {0} takes it"
    )
    return [name for name in names if name not in graded], [note.format(name) for name in graded]


def _count_once(
    path: Path, cells: Mapping[str, Sequence[Any]], id_column: str
) -> tuple[Mapping[str, Sequence[Any]], list[str]]:
    """Return the rows without those that repeat another; without an id they are only told.

    A company in two rows would be learnt from in one fold and judged in another. Raises
    `LocalError` 8002 for a company that has two different rows.
    """
    known: dict[Any, tuple[int, tuple[Any, ...]]] = {}
    again: list[int] = []
    for place, row in enumerate(zip(*cells.values(), strict=True)):
        name = row[0] if id_column else row
        first = known.setdefault(name, (place, row))
        if first[0] == place:
            continue
        if first[1] != row:
            named = cell_text(name)[:40] or "a company without a name"
            message = f"row {place + 2}: {named} stands in row {first[0] + 2} already"
            raise LocalError(Code.INPUT_LINE, f"{path}, {message}, with other values")
        again.append(place)
    if not again:
        return cells, []
    rows = f"{len(again):,} rows repeat another (the first is row {again[0] + 2})"
    if not id_column:
        return cells, [f"{rows}: where they are the same company, name it with --id-column"]
    left = set(again)
    kept = {
        name: [cell for place, cell in enumerate(column) if place not in left]
        for name, column in cells.items()
    }
    return kept, [f"{rows}: each company counts once"]


def _make_row(common: Row, read: Mapping[str, Sequence[FactValue | None]], place: int) -> Row:
    row = dict(common)
    for name, column in read.items():
        value = column[place]
        if value is not None:
            row[name] = value
    return row


def _open(path: Path) -> tuple[list[str], ReadCells, int | None, list[str]]:
    """Return the header, what reads columns of it, the day of the facts if any, and notes."""
    if path.suffix != ".parquet":
        header, lines, notes = read_csv(path)
        places = {name: place for place, name in enumerate(header)}
        return (
            header,
            lambda names: {n: [line[places[n]] for line in lines] for n in names},
            None,
            [*notes],
        )
    from analytics.columns import open_parquet, read_columns, read_snapshot

    file = open_parquet(path)
    is_snapshot = _SNAPSHOT in (file.schema_arrow.metadata or {})
    return (
        list(file.schema_arrow.names),
        lambda names: read_columns(path, names),
        read_snapshot(path).as_of if is_snapshot else None,
        [],
    )


def _names(header: Sequence[str]) -> str:
    return ", ".join(header[:12]) + (" and more" if len(header) > 12 else "")


def _read_column(path: Path, name: str, cells: Sequence[str], unit: Unit) -> list[FactValue | None]:
    """Return the values of a schema's feature: whole numbers, flags or texts."""
    found: list[FactValue | None] = []
    for number, cell in enumerate(cells, 2):
        try:
            found.append(_read_cell(cell, unit))
        except (ValueError, KeyError):
            message = (
                f"{path}, row {number}: {name} is {cell_text(cell)[:40]!a}, want a value in {unit}"
            )
            raise LocalError(Code.INPUT_LINE, message) from None
    return found


def _read_made(
    path: Path, feature: str, cells: Sequence[object], unit: Unit, is_scaled: bool
) -> list[FactValue | None]:
    """Return a column as `make_schema` declared it: texts, or numbers times SCALE or whole."""
    texts = [cell_text(cell) for cell in cells]
    if unit is Unit.TEXT:
        return [text or None for text in texts]
    found: list[FactValue | None] = []
    for number, text in enumerate(texts, 2):
        read = read_numbers([text])
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
    return frozenset(
        name for name, item in features.items() if str(item.get("text", "")).endswith(_SCALED_TEXT)
    )


def _read_cell(cell: object, unit: Unit) -> FactValue | None:
    if type(cell) is int and unit not in (Unit.TEXT, Unit.FLAG):
        return cell
    text = cell_text(cell)
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


def _guess_columns(columns: Mapping[str, Sequence[object]]) -> _Read:
    """Return columns without a schema as they look; a text with too many values is left."""
    units: dict[str, Unit] = {}
    found: dict[str, Sequence[FactValue | None]] = {}
    scaled: set[str] = set()
    notes: list[str] = []
    for name, values in columns.items():
        feature, cells = feature_name(name), [cell_text(value) for value in values]
        numbers = read_numbers(cells)
        known = sorted({*cells} - {""})
        if len(known) < 2:
            has = f"only {known[0][:24]!a}" if known else "no value"
            notes.append(f"column {name} was left out: it has {has}")
        elif numbers is not None:
            units[feature] = Unit.COUNT
            if any(value is not None and value != value.to_integral() for value in numbers):
                scaled.add(feature)
            found[feature], note = _to_whole(name, numbers, SCALE if feature in scaled else 1)
            notes += note
        elif len(known) <= LEVELS_MAX:
            units[feature] = Unit.TEXT
            found[feature] = [cell or None for cell in cells]
        else:
            told = f"{len(known):,} different texts, such as {_odd(known)[:24]!a}"
            notes.append(f"column {name} was left out: {told}")
    return _Read(units, found, frozenset(scaled), tuple(notes))


def _odd(known: Sequence[str]) -> str:
    """Return the text that keeps a column from being one of numbers, or the first."""
    return next((text for text in known if read_numbers([text]) is None), known[0])


def _to_whole(
    name: str, numbers: Sequence[Decimal | None], factor: int
) -> tuple[list[FactValue | None], list[str]]:
    """Return the numbers times `factor`, whole, and how many were too large."""
    large = sum(value is not None and abs(value * factor) > _LARGEST for value in numbers)
    note = f"column {name}: {large:,} values beyond {_LARGEST // factor:,} count as that"
    whole = [None if value is None else _bounded(value * factor) for value in numbers]
    return list(whole), [note] if large else []


def feature_name(column: str) -> str:
    """Return the name of a column as a rule may write it ("X1" is data.x1).

    A letter that is not ASCII stands as its number; of a long name the end is a checksum.
    """
    plain = "".join(_write_character(c) for c in column.strip().lower())
    name = f"data.{plain}" if plain[:1].isalpha() else f"data.f_{plain}"
    if len(name) <= _NAME_MAX:
        return name
    return f"{name[: _NAME_MAX - 9]}_{crc32(column.strip().encode()):08x}"


def _write_character(character: str) -> str:
    if character.isascii():
        return character if character.isalnum() else "_"
    return f"u{ord(character):x}" if character.isalnum() else "_"


def _bounded(value: Decimal) -> int:
    return max(-_LARGEST, min(_LARGEST, int(value)))


def make_schema(table: FactTable, name: str = "data") -> str:
    """Return the source of a schema with the table's columns: facts that others hand in."""
    lines = ['format = "smartrule/1"', 'kind = "schema"', f'id = "{name}"', "version = 1"]
    for feature, unit in table.units.items():
        lines += ["", f'[feature."{feature}"]', f'unit = "{unit}"', 'source = "ledger"']
        column = table.columns.get(feature, "")
        text = f"column {column} " if column else ""
        if feature in table.scaled:
            lines.append(f"text = {json.dumps(text + _SCALED_TEXT, ensure_ascii=False)}")
        elif text:
            lines.append(f"text = {json.dumps(text.strip(), ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
