"""Answers of queries, shown to people: scalars as facts, lists of maps as tables.

A field's name says its unit (STYLE 9), and that is enough to show it: `amount_fen` as an amount,
`rate_bp` as a percentage, `due_day` as a date, `expires_ms` as a time. The order is the answer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commands.console import show_facts, show_table
from commands.values import amount, day, moment, rate

_MAX_CELL = 72


def text_of(name: str, value: Any) -> str:
    """Return the text of a field, by its name's unit and its type."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _number(name, value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={text_of(key, item)}" for key, item in value.items()) or "-"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(text_of(name, item) for item in value) or "-"
    return str(value)


def _number(name: str, value: int) -> str:
    if name.endswith("fen"):
        return amount(value)
    if name.endswith("_bp"):
        return rate(value)
    if name.endswith("_ms") and value > 10**11:
        return moment(value)
    if name in ("day", "as_of", "effective_from", "effective_to") or name.endswith("_day"):
        return day(value)
    return str(value)


def show_answer(title: str, answer: Any) -> None:
    """Print an answer: its scalars first, then a table for each list of maps in it."""
    if not isinstance(answer, Mapping):
        show_rows(title, answer if isinstance(answer, Sequence) else [answer])
        return
    tables = {name: rows for name, value in answer.items() if (rows := _as_table(value))}
    facts = {
        _title(name): text_of(name, value) for name, value in answer.items() if name not in tables
    }
    if facts:
        show_facts(title, facts)
    for name, rows in tables.items():
        show_rows(_title(name), rows)


def show_rows(title: str, rows: Sequence[Any], headers: Sequence[str] = ()) -> None:
    """Print maps as a table, a column for each field (or for `headers` alone)."""
    maps = [row if isinstance(row, Mapping) else {"value": row} for row in rows]
    columns = list(headers) or list(dict.fromkeys(name for row in maps for name in row))
    cells = [[_cell(text_of(name, row.get(name))) for name in columns] for row in maps]
    if not cells:
        show_facts(title, {"-": "none"})
        return
    show_table(title, [_title(name) for name in columns], cells)


def _cell(text: str) -> str:
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"


def _title(name: str) -> str:
    for suffix in ("_fen", "_bp", "_ms", "_day"):
        name = name.removesuffix(suffix)
    return name.removeprefix("is_").replace("_", " ")


def _as_table(value: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a list of maps, or of maps by name; none for anything else."""
    if isinstance(value, Mapping) and all(isinstance(item, Mapping) for item in value.values()):
        return [{"of": name, **item} for name, item in value.items()]
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if is_list and all(isinstance(item, Mapping) for item in value):
        return list(value)
    return []
