"""Rows of a file with their line numbers: CSV, JSON Lines, Parquet; gzip is read directly.

A row is a map from column to text, or to what JSON and Parquet say beside text (a number, a flag, a
date, a list). A line that is no row at all is a `RowError`, and reading goes on behind it where the
format allows; a file that cannot be read is `LocalError` 8001.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO, TypeAlias, cast

from ledger.errors import Code, LocalError

MAX_LINE_CHARACTERS = 1 << 20
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowError:
    """A line that is no row: why, as the end of a sentence."""

    sentence: str


def compute_file_digest(path: Path) -> bytes:
    """Return the SHA-256 of the file as it lies on disk; `LocalError` 8001."""
    try:
        with path.open("rb") as file:
            digest = sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            return digest.digest()
    except OSError as error:
        raise _unreadable(path, error.strerror or "unknown") from None


def read_rows(path: Path) -> Iterator[tuple[int, Row | RowError]]:
    """Yield (line number, row) of a file, by its suffix; `LocalError` 8001 if it cannot be read.

    Line numbers count from 1 and are those of the file: the first row of a CSV is line 2. Rows of
    Parquet, which has no lines, are numbered from 1.
    """
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            yield from _read_parquet(path)
            return
        with _open(path) as file:
            if name.endswith(".csv"):
                yield from _read_csv(path, file)
            elif name.endswith((".jsonl", ".ndjson")):
                yield from _read_json_lines(file)
            else:
                raise _unreadable(path, f"its name ends in none of {', '.join(SUFFIXES)}")
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from None
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} is not UTF-8") from None


def _unreadable(path: Path, why: str) -> LocalError:
    return LocalError(Code.INPUT_FILE, f"cannot read {path}: {why}")


def _open(path: Path) -> TextIO:
    if path.name.endswith(".gz"):
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open("rt", encoding="utf-8-sig", newline="")


def _read_csv(path: Path, file: TextIO) -> Iterator[tuple[int, Row | RowError]]:
    reader = csv.reader(_bounded_lines(path, file), strict=True)
    try:
        columns = next(reader, None)
    except csv.Error as error:
        raise _unreadable(path, f"line 1: {error}") from None
    if not columns:
        raise _unreadable(path, "it is empty, want a row of column names")
    if len(set(columns)) != len(columns):
        raise _unreadable(path, "line 1: a column name stands twice")
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield reader.line_num, RowError(f"not a row of CSV: {error}")
            continue
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(columns):
            yield reader.line_num, RowError(f"got {len(cells)} columns, want {len(columns)}")
            continue
        yield reader.line_num, dict(zip(columns, cells, strict=True))


def _bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE_CHARACTERS + 1):
        if len(line) > MAX_LINE_CHARACTERS:
            raise _unreadable(path, f"a line is longer than {MAX_LINE_CHARACTERS} characters")
        yield line


def _read_json_lines(file: TextIO) -> Iterator[tuple[int, Row | RowError]]:
    number = 0
    while line := file.readline(MAX_LINE_CHARACTERS + 1):
        number += 1
        if len(line) > MAX_LINE_CHARACTERS:
            yield number, RowError(f"longer than {MAX_LINE_CHARACTERS} characters")
            return
        if not line.strip():
            continue
        try:
            # Numbers stay text, so that 0.1 is read as written and never through a float.
            value = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            yield number, RowError(f"not JSON: {error}")
            continue
        yield number, value if isinstance(value, dict) else RowError("not a JSON object")


def _read_parquet(path: Path) -> Iterator[tuple[int, Row | RowError]]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise _unreadable(
            path, "Parquet needs pyarrow: pip install 'creditledger[parquet]'"
        ) from None
    try:
        file = parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=4096):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except pyarrow.ArrowException as error:
        raise _unreadable(path, f"not a Parquet file: {str(error).splitlines()[0]}") from None
