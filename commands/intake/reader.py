"""Lines of a file as records: one `Line` a row, with the record or the one thing that is wrong.

`read` yields as it goes, so that a large file needs no memory; `read_all` collects, and applies the
user's choice of what a bad line means: with `OnError.ABORT` nothing is taken, with `OnError.SKIP`
the good lines are. A record that comes out has passed the same checks that execution makes of it
(types, ranges, values, code), so what is refused later is refused for what only the chain knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from commands.intake.mapping import (
    AnyMapping,
    AttestMapping,
    FieldRule,
    FileMapping,
    parse_legacy_company,
)
from commands.intake.rows import Row, RowError, compute_file_digest, read_rows
from commands.intake.values import CellError, parse_date
from ledger.chain.hashes import HASH_BYTES
from ledger.errors import Code, LocalError, Rejected
from ledger.transactions.records import Record

MAX_SHOWN_ERRORS = 20
ATTEST_COLUMNS = ("category", "schema", "company", "from", "to")


class OnError(StrEnum):
    """What one bad line means for the others."""

    ABORT = "abort"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Attestation:
    """The owner of a category has supplied everything about a company for these days."""

    category: str
    schema: str
    company: str
    from_day: int
    to_day: int


@dataclass(frozen=True, slots=True)
class InputError:
    """What is wrong with a line; `column` is "" where it is the whole line."""

    number: int
    column: str
    sentence: str

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        return f"line {self.number}{column}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the file: its number and what it holds."""

    number: int
    item: Record | Attestation | InputError


@dataclass(frozen=True, slots=True)
class Intake:
    """All lines of a file: the good ones with their numbers, and the errors."""

    lines: tuple[tuple[int, Record | Attestation], ...]
    errors: tuple[InputError, ...]


def read(path: Path, mapping: AnyMapping) -> Iterator[Line]:
    """Yield the lines of a file that the mapping takes; `LocalError` 8001, 8003."""
    if isinstance(mapping, AttestMapping):
        for number, row in read_rows(path):
            yield Line(number, _guard(number, row, _attestation))
        return
    source = compute_file_digest(path) if mapping.source == "file" else None
    for number, row in read_rows(path):
        if isinstance(row, RowError):
            yield Line(number, InputError(number, "", row.sentence))
        elif _is_wanted(row, mapping):
            yield Line(number, _read_record(number, row, mapping, source))


def read_all(path: Path, mapping: AnyMapping, on_error: OnError) -> Intake:
    """Return every line of a file; with `OnError.ABORT` raise `LocalError` 8002 for bad ones."""
    return collect(read(path, mapping), on_error)


def collect(lines: Iterable[Line], on_error: OnError) -> Intake:
    """Return lines sorted into good ones and errors; `LocalError` 8002 as `read_all`."""
    good: list[tuple[int, Record | Attestation]] = []
    errors: list[InputError] = []
    for line in lines:
        if isinstance(line.item, InputError):
            errors.append(line.item)
        else:
            good.append((line.number, line.item))
    if errors and on_error is OnError.ABORT:
        shown = "; ".join(str(error) for error in errors[:MAX_SHOWN_ERRORS])
        more = f"; and {len(errors) - MAX_SHOWN_ERRORS} more" * (len(errors) > MAX_SHOWN_ERRORS)
        raise LocalError(Code.INPUT_LINE, f"{shown}{more}; nothing was submitted")
    return Intake(tuple(good), tuple(errors))


class _Wrong(Exception):
    def __init__(self, column: str, sentence: str) -> None:
        super().__init__(sentence)
        self.column = column
        self.sentence = sentence


def _guard(number: int, row: Row | RowError, convert: Any) -> Any:
    if isinstance(row, RowError):
        return InputError(number, "", row.sentence)
    try:
        return convert(row)
    except _Wrong as error:
        return InputError(number, error.column, error.sentence)


def _is_wanted(row: Row, mapping: FileMapping) -> bool:
    return all(accepts(str(row.get(column))) for column, accepts in mapping.only.items())


def _read_record(
    number: int, row: Row, mapping: FileMapping, source: bytes | None
) -> Record | InputError:
    try:
        return _record(row, mapping, source)
    except _Wrong as error:
        return InputError(number, error.column, error.sentence)
    except Rejected as error:
        return InputError(number, "", error.message)


def _record(row: Row, mapping: FileMapping, source: bytes | None) -> Record:
    company = _cell(row, mapping.company.column, mapping.company.convert)
    fields: dict[str, Any] = {}
    for rule in mapping.fields:
        value = _field(row, rule)
        if value is not None:
            fields[rule.name] = value
    mapping.checks.check(fields)
    if mapping.day is None:
        day = fields[mapping.schema.date_field]
    else:
        day = _cell(row, mapping.day.column, mapping.day.convert)
    if mapping.source and source is None:
        source = _digest(row, mapping.source)
    return Record(company, day, fields, source, _supersedes(row, mapping.supersedes))


def _cell(row: Row, column: str, convert: Any) -> Any:
    if column not in row:
        raise _Wrong(column, "there is no such column")
    try:
        return convert(row[column])
    except CellError as error:
        raise _Wrong(column, str(error)) from None
    except Rejected as error:
        raise _Wrong(column, error.message) from None


def _field(row: Row, rule: FieldRule) -> Any:
    if not rule.column:
        return rule.constant
    if rule.column not in row and rule.is_optional:
        return None
    cell = row.get(rule.column)
    if cell is None or cell == "":
        if rule.column not in row:
            raise _Wrong(rule.column, "there is no such column")
        return None
    if rule.values:
        if str(cell) not in rule.values:
            known = ", ".join(rule.values)
            raise _Wrong(rule.column, f"got {str(cell)[:40]!r}, want one of {known}")
        cell = rule.values[str(cell)]
    return _cell({rule.column: cell}, rule.column, rule.convert)


def _digest(row: Row, column: str) -> bytes | None:
    text = row.get(column)
    if text in (None, ""):
        return None
    try:
        digest = bytes.fromhex(str(text))
    except ValueError:
        digest = b""
    if len(digest) != HASH_BYTES:
        raise _Wrong(column, f"got {str(text)[:40]!r}, want 64 hexadecimal digits")
    return digest


def _supersedes(row: Row, columns: tuple[str, str] | None) -> tuple[int, bytes] | None:
    if columns is None or row.get(columns[1]) in (None, ""):
        return None
    digest = _digest(row, columns[1])
    if digest is None:
        return None
    return _cell(row, columns[0], parse_date), digest


def _attestation(row: Mapping[str, Any]) -> Attestation:
    for column in row:
        if column not in ATTEST_COLUMNS:
            raise _Wrong(column, f"unknown column, want {', '.join(ATTEST_COLUMNS)}")
    company = _cell(row, "company", parse_legacy_company)
    first, last = _cell(row, "from", parse_date), _cell(row, "to", parse_date)
    if first > last:
        raise _Wrong("to", "it lies before the first day")
    category = _cell(row, "category", str)
    if not category:
        raise _Wrong("category", "it is empty")
    return Attestation(category, str(row.get("schema") or ""), company, first, last)
