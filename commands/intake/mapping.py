"""The mapping file: what the columns of somebody's file mean to the ledger.

    format = "creditledger/mapping/1"
    category = "C044"
    schema = "line"                        # the category's main schema if absent
    company = "taxpayer"                   # the column with the code; or a table:
    # company = { column = "company_id", code = "made-up" }     E1 is 91440000E00000010Y
    # company = { column = "uscc", code = "legacy" }            check characters are not checked
    day = "issued"                         # the record's day; the schema's date field if absent;
    # day = { column = "tax_year", as = "year" }                the first day of that year
    source = "file"                        # source digest: of the file; or a column of digests
    supersedes = { day = "old_day", digest = "old_digest" }     columns, empty for a new record

    [only]                                 # take these rows alone and pass over the others
    company_id = ["E1..E20", "E77"]

    [fields]                               # a field that is not named is the column of its name
    net = { column = "net_fen", as = "fen" }
    issued_on = { column = "date", as = "DD.MM.YYYY" }
    status = { column = "ok", values = { yes = "V", no = "X" } }
    counterparty = { value = "unknown" }

`as` says how a cell writes a value (`commands.intake.values`). With `kind = "attest"` a file holds
attestations instead, with the columns category, schema, company, from and to, and no mapping beside
`format` and `kind`. What is wrong in a mapping is `LocalError` 8003, with the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.intake.values import (
    CellError,
    Converter,
    Form,
    make_converter,
    parse_date,
    parse_month,
    parse_quarter,
    parse_year_day,
)
from genesis.companies import made_up_code
from ledger.credit.categories import FieldChecks, compute_field_checks
from ledger.credit.uscc import check_form, check_uscc
from ledger.errors import Code, LocalError
from ledger.membership.catalogue import Category, FieldSpec, RecordSchema

FORMAT = "creditledger/mapping/1"
MAX_MAPPING_BYTES = 256 * 1024
_KEYS = frozenset(
    {
        "format",
        "kind",
        "category",
        "schema",
        "version",
        "company",
        "day",
        "source",
        "supersedes",
        "only",
        "fields",
    }
)
_FIELD_KEYS = frozenset({"column", "as", "values", "value", "separator"})
_RANGE = re.compile(r"(\D*)(\d{1,9})\.\.(\D*)(\d{1,9})")
_DAY_FORMS: Mapping[str, Converter] = {
    "date": parse_date,
    "month": parse_month,
    "quarter": parse_quarter,
    "year": parse_year_day,
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """How one field is filled: from `column` by `convert`, or with a constant (column "")."""

    name: str
    column: str
    convert: Converter
    values: Mapping[str, str]
    is_optional: bool
    constant: Any = None


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """One column and what its cells become."""

    column: str
    convert: Converter


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A mapping bound to the record schema it fills; `only` by column, the values that pass."""

    category: Category
    schema: RecordSchema
    company: ColumnRule
    day: ColumnRule | None  # None: the value of the schema's date field
    source: str  # "" none, "file", or the column with a digest in hexadecimal
    supersedes: tuple[str, str] | None
    only: Mapping[str, Callable[[str], bool]]
    fields: tuple[FieldRule, ...]
    checks: FieldChecks


@dataclass(frozen=True, slots=True)
class AttestMapping:
    """A file of attestations: its columns are fixed."""


AnyMapping = FileMapping | AttestMapping


def load_mapping(path: Path, categories: Mapping[str, Category]) -> AnyMapping:
    """Return the mapping in a file, bound to the chain's categories; `LocalError` 8003."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _bad(f"cannot read {path}: {error.strerror}") from None
    return parse_mapping(data, categories)


def parse_mapping(source: bytes, categories: Mapping[str, Category]) -> AnyMapping:
    """Return the mapping of TOML bytes; `LocalError` 8003."""
    if len(source) > MAX_MAPPING_BYTES:
        raise _bad(f"{len(source)} bytes, want at most {MAX_MAPPING_BYTES}")
    try:
        document = tomllib.loads(source.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad(f"not TOML: {error}") from None
    _check_keys("mapping", document, _KEYS)
    if document.get("format") != FORMAT:
        raise _bad(f"format: got {document.get('format')!r}, want {FORMAT!r}")
    kind = document.get("kind", "records")
    if kind == "attest":
        return AttestMapping()
    if kind != "records":
        raise _bad(f"kind: got {kind!r}, want records or attest")
    return make_mapping(document, categories)


def make_mapping(document: Mapping[str, Any], categories: Mapping[str, Category]) -> FileMapping:
    """Return the mapping of an already parsed document of kind "records"; `LocalError` 8003."""
    category, schema = _find_schema(document, categories)
    return FileMapping(
        category,
        schema,
        _company(document.get("company", "company")),
        _day(document.get("day"), schema),
        _text("source", document.get("source", "")),
        _supersedes(document.get("supersedes")),
        _only(document.get("only", {})),
        _fields(document.get("fields", {}), schema),
        compute_field_checks(schema),
    )


def _bad(sentence: str) -> LocalError:
    return LocalError(Code.INPUT_MAPPING, f"mapping: {sentence}")


def _check_keys(place: str, table: Mapping[str, Any], known: frozenset[str]) -> None:
    for key in table:
        if key not in known:
            raise _bad(f"{place} has the unknown key {key!r}, want {', '.join(sorted(known))}")


def _text(place: str, value: object) -> str:
    if type(value) is not str:
        raise _bad(f"{place}: got {value!r}, want text")
    return value


def _table(place: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{place}: got {value!r}, want a table")
    return value


def _find_schema(
    document: Mapping[str, Any], categories: Mapping[str, Category]
) -> tuple[Category, RecordSchema]:
    name = _text("category", document.get("category"))
    if name not in categories:
        raise _bad(f"category {name!r} is none of this network's {len(categories)}")
    category = categories[name]
    schema_name = _text("schema", document.get("schema", ""))
    latest = category.latest()
    if schema_name not in latest:
        known = ", ".join(repr(item) for item in sorted(latest))
        raise _bad(f"category {name} has no schema {schema_name!r}, want one of {known}")
    version = document.get("version", latest[schema_name].version)
    schema = category.schemas.get((schema_name, version))
    if schema is None:
        raise _bad(f"schema {latest[schema_name].full_name} has no version {version!r}")
    return category, schema


def _company(value: object) -> ColumnRule:
    if isinstance(value, str):
        return ColumnRule(value, parse_company)
    table = _table("company", value)
    _check_keys("company", table, frozenset({"column", "code"}))
    code = _text("company.code", table.get("code", "uscc"))
    if code not in _CODES:
        raise _bad(f"company.code: got {code!r}, want one of {', '.join(_CODES)}")
    return ColumnRule(_text("company.column", table.get("column")), _CODES[code])


def parse_company(cell: Any) -> str:
    """Return a valid company code; raise `CellError` or `Rejected` (2201–2203)."""
    code = parse_legacy_company(cell)
    check_uscc(code)
    return code


def parse_legacy_company(cell: Any) -> str:
    """Return a code of the right form: some old ones fail their checks, and the chain knows them.

    Raises `CellError` or `Rejected` (2201, 2202).
    """
    if type(cell) is not str or not cell.strip():
        raise CellError("" if cell is None else cell, "a company's code")
    code = cell.strip()
    check_form(code)
    return code


def _made_up(cell: Any) -> str:
    try:
        return made_up_code(str(cell).strip())
    except LocalError:
        raise CellError(cell, "a name like E12") from None


_CODES: Mapping[str, Converter] = {
    "uscc": parse_company,
    "legacy": parse_legacy_company,
    "made-up": _made_up,
}


def _day(value: object, schema: RecordSchema) -> ColumnRule | None:
    if value is None:
        if not schema.date_field:
            raise _bad(f"day is needed: records of {schema.full_name} have no date of their own")
        return None
    if schema.date_field:
        raise _bad(f"day is given, but it is the field {schema.date_field} of {schema.full_name}")
    if isinstance(value, str):
        return ColumnRule(value, parse_date)
    table = _table("day", value)
    _check_keys("day", table, frozenset({"column", "as"}))
    form = _text("day.as", table.get("as", "date"))
    if form not in _DAY_FORMS:
        raise _bad(f"day.as: got {form!r}, want one of {', '.join(_DAY_FORMS)}")
    return ColumnRule(_text("day.column", table.get("column")), _DAY_FORMS[form])


def _supersedes(value: object) -> tuple[str, str] | None:
    if value is None:
        return None
    table = _table("supersedes", value)
    _check_keys("supersedes", table, frozenset({"day", "digest"}))
    day, digest = table.get("day"), table.get("digest")
    return _text("supersedes.day", day), _text("supersedes.digest", digest)


def _only(value: object) -> Mapping[str, Callable[[str], bool]]:
    table = _table("only", value)
    return {column: make_filter(items) for column, items in table.items()}


def make_filter(items: object) -> Callable[[str], bool]:
    """Return what tells whether a text is one of `items`: texts and ranges such as "E1..E20"."""
    wanted = [items] if isinstance(items, str) else items
    if not isinstance(wanted, list) or not all(type(item) is str for item in wanted):
        raise _bad(f'only: got {items!r}, want texts or ranges like "E1..E20"')
    exact: set[str] = set()
    for item in wanted:
        match = _RANGE.fullmatch(item)
        if match is None:
            exact.add(item)
            continue
        first, last = int(match[2]), int(match[4])
        if match[1] != match[3] or not 0 <= last - first < 1_000_000:
            raise _bad(f"only: {item!r} is no range like E1..E20")
        exact.update(f"{match[1]}{number}" for number in range(first, last + 1))
    return exact.__contains__


def _fields(value: object, schema: RecordSchema) -> tuple[FieldRule, ...]:
    table = _table("fields", value)
    for name in table:
        if name not in schema.fields:
            raise _bad(f"fields.{name} is no field of {schema.full_name}")
    return tuple(
        _field(spec, table.get(name, name), is_named=name in table)
        for name, spec in schema.fields.items()
    )


def _field(spec: FieldSpec, value: object, *, is_named: bool) -> FieldRule:
    place = f"fields.{spec.name}"
    table = {"column": value} if isinstance(value, str) else _table(place, value)
    _check_keys(place, table, _FIELD_KEYS)
    separator = _text(f"{place}.separator", table.get("separator", "|"))
    values = _table(f"{place}.values", table.get("values", {}))
    if not all(type(item) is str for item in values.values()):
        raise _bad(f"{place}.values: want texts")
    try:
        convert = make_converter(
            spec, _text(f"{place}.as", table.get("as", Form.CATALOGUE.value)), separator
        )
        if "value" in table:
            constant = convert(table["value"])
            return FieldRule(spec.name, "", convert, {}, spec.is_optional, constant)
    except (ValueError, CellError) as error:
        raise _bad(f"{place}: {error}") from None
    column = _text(f"{place}.column", table.get("column"))
    # An optional field that the mapping does not name may be without a column.
    return FieldRule(spec.name, column, convert, values, spec.is_optional and not is_named)
