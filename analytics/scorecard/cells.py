"""Cells of a table as strangers write them: encodings, separators, unknown values, numbers, labels.

A file is UTF-8 (with or without a mark), UTF-16 with its mark, or else taken for GB18030, of which
GBK is a part; a header without a comma is cut at its semicolons or tabs. What people write for "not
known" (UNKNOWN) is no value, in whatever column it stands. A number may have commas between
thousands, a sign of currency before it or % behind it; 10 % is then 10. A label is compared as a
number where both are numbers: "1.0" is 1.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ledger.errors import Code, LocalError

UNKNOWN = frozenset(
    ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "-", "--", "?", "#div/0!")
)
_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_GRADE = re.compile(
    r"((credit|bank|internal|risk|loan|sub)[ _-]?)?(rating|grade)|(信用|信誉|风险|内部)?(评级|等级)"
)
_VALUES_SHOWN = 4


def decode(data: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text and what is to be said of it; raise `LocalError` 8001 where it is none."""
    if data.startswith(_UTF_16):
        names: tuple[str, ...] = ("utf-16",)
    else:
        names = ("utf-8-sig", "gb18030")
    for name in names:
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        notes = (f"{path} is not UTF-8: it was read as GB18030 (GBK)",)
        return text, notes if name == "gb18030" else ()
    message = f"cannot read {path}: it is neither UTF-8 nor GB18030 (GBK), nor UTF-16"
    raise LocalError(Code.INPUT_FILE, message)


def read_bytes_of(path: Path) -> bytes:
    """Return the bytes of a file, of a .gz those within; raise `LocalError` 8001."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            data: bytes = file.read()
    except (OSError, EOFError) as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
    return data


def read_csv(path: Path) -> tuple[list[str], list[list[str]], tuple[str, ...]]:
    """Return header, rows and notes; raise `LocalError` (8001, 8002) naming the row."""
    text, notes = decode(read_bytes_of(path), path)
    first = text.partition("\n")[0]
    separator = next((sign for sign in ",;\t" if sign in first), ",")
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise LocalError(Code.INPUT_FILE, f"cannot read {path}: {error}") from None
    lines = [line for line in lines if line]
    header = [name.strip() for name in lines[0]] if lines else []
    if len(lines) < 2:
        raise LocalError(Code.INPUT_FILE, f"{path} is empty, want a header and rows")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise LocalError(Code.INPUT_FILE, f"{path} has two columns {twice[0]}: rename one")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            message = f"{path}, row {number}: {len(line)} cells, want {len(header)}"
            raise LocalError(Code.INPUT_LINE, message)
    return header, lines[1:], notes


def cell_text(cell: object) -> str:
    """Return a cell as CSV would have it; a flag counts as 0 or 1, what is not known as ""."""
    text = "" if cell is None else str(int(cell) if isinstance(cell, bool) else cell).strip()
    return "" if text.lower() in UNKNOWN else text


def read_number(text: str) -> Decimal | None:
    """Return the number of a cell, None for an empty one; `ValueError` where it is none."""
    plain = text.lstrip("¥￥$").removesuffix("%").strip()
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    if text == "":
        return None
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!a} is no number") from None
    return value if value.is_finite() else None


def read_numbers(texts: Sequence[str]) -> list[Decimal | None] | None:
    """Return the numbers of a column; None altogether when one is no number, or some end in %."""
    percents = {text.endswith("%") for text in texts if text}
    if len(percents) > 1:
        return None
    try:
        return [read_number(text) for text in texts]
    except ValueError:
        return None


def read_labels(cells: Sequence[object], bad: str) -> tuple[list[int | None], str]:
    """Return 1 for a failed company, 0 for another, None where it is not known; and the values."""
    texts = [cell_text(cell) for cell in cells]
    counted = Counter(text for text in texts if text)
    is_bad = {text: _is_same(text, bad) for text in counted}
    named = [f"{text[:24]!a} ({count:,})" for text, count in counted.most_common(_VALUES_SHOWN)]
    if len(counted) > _VALUES_SHOWN:
        named.append(f"{len(counted) - _VALUES_SHOWN} more")
    return [None if not text else int(is_bad[text]) for text in texts], ", ".join(named)


def _is_same(text: str, bad: str) -> bool:
    if text.lower() == bad.strip().lower():
        return True
    try:
        return Decimal(text) == Decimal(bad)
    except InvalidOperation:
        return False


def is_grade(column: str) -> bool:
    """Whether a column is named as a grade that somebody gave the company."""
    return _GRADE.fullmatch(column.strip().lower()) is not None
