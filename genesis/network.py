"""The tables of a network: departments, categories, schemas and fields, read from CSV.

A network is a folder: `departments.csv` (who may own categories), `categories.csv` (what they
supply, with its access class), `schemas.csv` (the record schemas of a category: its main one has no
name), `fields.csv` (typed fields of a schema) and `rules/` (schemas, scorecards and alerts that
stand from the first block; `rules/province/` those that need the departments of the whole province,
and `products/` what its institutions lend by, for a consortium with `province = true`). `declared/`
has the same three tables for what companies declare themselves; their owner is `self`. Categories
that are not kept without end stand in `retention.csv`: for how many days after the date in the
field `ends`; without it after the record's day, unless the field `goes_on` has one of the values
that it names. The tables are edited by hand; every row is checked here, and what is wrong is named
by file, line and column. `Network.categories` has the shape of the genesis document.

Columns of fields.csv: `type` is one of `FIELD_TYPES`; `unit` is what the catalogue says (CNY,
CNY 10k, USD, person, …); `scale` is the number of decimals of a decimal or ratio, so that the value
stored is the written one times 10**scale (12.50 CNY is 1250 fen, 3 CNY 10k are 3000000 fen, 7.5 %
are 750 basis points); `minimum` is 0 where a negative number would be a mistake; `values` are those
of an enumeration, separated by `|`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.errors import Code, Refused
from ledger.membership.catalogue import SELF_DECLARED

NETWORKS = Path(__file__).parent / "networks"
FIELD_TYPES = frozenset(
    [
        "uscc",
        "string",
        "text",
        "code",
        "enum",
        "hash",
        "list",
        "int",
        "year",
        "decimal",
        "ratio",
        "date",
        "month",
        "quarter",
        "bool",
    ]
)
DAY_TYPES = frozenset({"date", "month", "quarter"})
SCALED_TYPES = frozenset({"decimal", "ratio"})
ACCESS_CLASSES = frozenset({"PUB", "AUT", "REG"})
MAX_SCALE = 6

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Network:
    """The tables of one network, checked; `categories` as the genesis document holds them."""

    name: str
    folder: Path
    departments: dict[str, tuple[str, str]]  # id → name, Chinese name
    categories: tuple[dict[str, Any], ...]
    declared: tuple[dict[str, Any], ...]  # what companies say of themselves: the table beside

    def rule_files(self) -> list[Path]:
        """Return the rule files that every network of these tables starts with, by name."""
        return sorted((self.folder / "rules").glob("*.toml"))

    def province_files(self) -> list[Path]:
        """Return the further ones of the whole province, by name: rules, then products."""
        rules = sorted((self.folder / "rules" / "province").glob("*.toml"))
        return rules + sorted((self.folder / "products").glob("*.toml"))


def load_network(name_or_folder: str | Path) -> Network:
    """Return a network by its name (`guangdong`) or its folder; `Refused` 7003 with the place."""
    folder = Path(name_or_folder)
    if not folder.is_dir():
        folder = NETWORKS / str(name_or_folder)
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in NETWORKS.iterdir() if path.is_dir()))
        raise Refused(Code.CONFIG_INVALID, f"network {name_or_folder!s} is unknown, want {known}")
    departments = {row["id"]: (row["name"], row["name_zh"]) for _, row in _departments(folder)}
    categories = _categories(folder, departments)
    beside = folder / "declared"
    declared = _categories(beside, {SELF_DECLARED: ("", "")}) if beside.is_dir() else ()
    known_ids = {item["id"] for item in categories}
    for item in declared:
        if item["id"] in known_ids:
            raise _bad("declared/categories.csv", f"category {item['id']} stands twice")
    return Network(folder.name, folder, departments, categories, declared)


def _departments(folder: Path) -> Iterator[tuple[str, Row]]:
    return read_rows(folder / "departments.csv", ("id", "name", "name_zh"))


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, Row]]:
    """Yield (place, row) of a CSV table; `Refused` 7003 for a file that is not this table."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != columns:
                raise _bad(path.name, f"columns are {reader.fieldnames}, want {list(columns)}")
            for row in reader:
                place = f"{path.name} line {reader.line_num}"
                if None in row or None in row.values():
                    raise _bad(place, f"not {len(columns)} columns")
                yield place, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _bad(path.name, f"cannot be read: {error}") from None


def _bad(place: str, sentence: str) -> Refused:
    return Refused(Code.CONFIG_INVALID, f"{place}: {sentence}")


def _categories(
    folder: Path, departments: dict[str, tuple[str, str]]
) -> tuple[dict[str, Any], ...]:
    categories: dict[str, dict[str, Any]] = {}
    columns = "id,owner,name,name_zh,access,is_negative,has_natural_person,cadence,dimension"
    for place, row in read_rows(folder / "categories.csv", tuple(columns.split(","))):
        if row["id"] in categories:
            raise _bad(place, f"category {row['id']} stands twice")
        _want(place, "owner", row["owner"], departments)
        _want(place, "access", row["access"], ACCESS_CLASSES)
        categories[row["id"]] = {
            **row,
            "is_negative": _flag(place, row, "is_negative"),
            "has_natural_person": _flag(place, row, "has_natural_person"),
            "schemas": [],
        }
    fields = _fields(folder)
    for place, row in read_rows(folder / "schemas.csv", _SCHEMA_COLUMNS):
        _want(place, "category", row["category"], categories)
        schema = _schema(place, row, fields.pop((row["category"], row["schema"]), []))
        categories[row["category"]]["schemas"].append(schema)
    for owner, schema_name in fields:
        raise _bad("fields.csv", f"schema {owner}/{schema_name} is not in schemas.csv")
    for place, row in _retention_rows(folder):
        _want(place, "category", row["category"], categories)
        field, _, values = row["goes_on"].partition("=")
        categories[row["category"]]["retention"] = {
            "days": _number(place, row, "days", 1, 36_525),
            "ends": row["ends"],
            "field": field,
            "values": tuple(values.split("|")) if values else (),
        }
    for category in categories.values():
        if not any(schema["name"] == "" for schema in category["schemas"]):
            raise _bad("schemas.csv", f"category {category['id']} has no main schema")
    return tuple(categories.values())


def _retention_rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a table that a folder may have."""
    path = folder / "retention.csv"
    if path.exists():
        yield from read_rows(path, ("category", "days", "ends", "goes_on", "source"))


_SCHEMA_COLUMNS = ("category", "schema", "version", "date_field", "identity")


def _schema(place: str, row: Row, fields: list[dict[str, Any]]) -> dict[str, Any]:
    types = {field["name"]: field["type"] for field in fields}
    if not fields:
        raise _bad(place, "schema has no fields in fields.csv")
    date_field = row["date_field"]
    if date_field and types.get(date_field) not in DAY_TYPES:
        raise _bad(place, f"date_field {date_field} is no date, month or quarter of the schema")
    identity = tuple(row["identity"].split("|")) if row["identity"] else ()
    for name in identity:
        _want(place, "identity", name, types)
    return {
        "name": row["schema"],
        "version": _number(place, row, "version", 1, 65535),
        "date_field": date_field,
        "identity": identity,
        "fields": tuple(fields),
    }


def _fields(folder: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    fields: dict[tuple[str, str], list[dict[str, Any]]] = {}
    columns = "category,schema,name,type,unit,is_optional,values,scale,minimum"
    for place, row in read_rows(folder / "fields.csv", tuple(columns.split(","))):
        of_schema = fields.setdefault((row["category"], row["schema"]), [])
        if any(field["name"] == row["name"] for field in of_schema):
            raise _bad(place, f"field {row['name']} stands twice")
        of_schema.append(_field(place, row))
    return fields


def _field(place: str, row: Row) -> dict[str, Any]:
    _want(place, "type", row["type"], FIELD_TYPES)
    values = tuple(row["values"].split("|")) if row["values"] else ()
    if (row["type"] == "enum") != bool(values):
        raise _bad(place, "an enum has values, and nothing else has")
    if (row["type"] in SCALED_TYPES) != bool(row["scale"]):
        raise _bad(place, "a decimal or ratio has a scale, and nothing else has")
    return {
        "name": row["name"],
        "type": row["type"],
        "unit": row["unit"],
        "is_optional": _flag(place, row, "is_optional"),
        "values": values,
        "scale": _number(place, row, "scale", 0, MAX_SCALE) if row["scale"] else 0,
        "minimum": _number(place, row, "minimum", -(10**15), 10**15) if row["minimum"] else None,
    }


def _want(place: str, column: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise _bad(place, f"column {column}: got {value!r}, want one of the known ones")


def _flag(place: str, row: Row, column: str) -> bool:
    if row[column] not in ("0", "1"):
        raise _bad(place, f"column {column}: got {row[column]!r}, want 0 or 1")
    return row[column] == "1"


def _number(place: str, row: Row, column: str, lowest: int, highest: int) -> int:
    text = row[column]
    if not text.lstrip("-").isascii() or not text.lstrip("-").isdigit():
        raise _bad(place, f"column {column}: got {text!r}, want a whole number")
    if not lowest <= int(text) <= highest:
        raise _bad(place, f"column {column}: got {text}, want {lowest} to {highest}")
    return int(text)
