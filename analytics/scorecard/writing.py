"""A fitted card as a `smartrule/1` document, as an author would have written it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from analytics.scorecard.design import Design
from analytics.scorecard.points import Card, Characteristic
from ledger.rules.units import Unit


def write_card(card: Card, design: Design, schema: str, notes: Iterable[str] = ()) -> str:
    """Return the TOML source; `notes` stand above it as comments."""
    parts = card.characteristics
    lines = [f"# {note}".rstrip() for note in notes]
    lines += [
        'format = "smartrule/1"',
        'kind = "scorecard"',
        f"id = {_text(design.id)}",
        f"version = {design.version}",
    ]
    if design.name:
        lines.append(f"name = {_text(design.name)}")
    lines += [
        f"schema = {_text(schema)}",
        f"initial = {card.initial}",
        f"max_reasons = {min(4, len(parts))}",
        f"max_missing = {len(parts) // 3}",
    ]
    for part in parts:
        lines += ["", *_write_characteristic(part)]
    return "\n".join(lines) + "\n"


def _write_characteristic(part: Characteristic) -> list[str]:
    own = part.input.candidate
    lines = [
        "[[characteristic]]",
        f"id = {_text(own.id)}",
        f"input = {_text(own.input)}",
        f"baseline = {part.best}",
        f"reason = {_text(own.reason)}",
        f"missing_reason = {_text(own.missing_reason)}",
        f"text = {_text(own.text)}",
    ]
    if own.text_zh:
        lines.append(f"text_zh = {_text(own.text_zh)}")
    if part.input.levels:
        pairs = zip(part.input.levels, part.points, strict=True)
        table = ", ".join(f"{_text(level)} = {points}" for level, points in pairs)
        lines.append(f"table = {{ {table} }}")
    else:
        lines.append(f"bands = [{', '.join(_write_bands(part))}]")
    lines.append(f"missing = {part.missing}")
    return lines


def _write_bands(part: Characteristic) -> Iterable[str]:
    for lower, points in zip((part.input.lowest, *part.cuts), part.points, strict=True):
        yield f"[{write_bound(lower, part.input.unit)}, {points}]"


def write_bound(value: int, unit: Unit) -> str:
    """Return a bound as rules write it."""
    return f'"CNY {value // 100}.{value % 100:02}"' if unit is Unit.FEN else str(value)


def _text(text: str) -> str:
    """Return a basic string of TOML; JSON's escapes are among its own."""
    return json.dumps(text, ensure_ascii=False)
