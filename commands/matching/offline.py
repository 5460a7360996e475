"""Matching with no node: facts from a file, products from wherever rules are kept.

Facts are a JSON object of features in their own units (fen, basis points, days; dates also as
"2020-01-10", amounts and rates also as rules write them), with the day as "as_of"; or the row of a
company in a Parquet snapshot (`creditledger export`). What is not there is missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analytics.matching.rules import load_rules
from commands.files import read_bytes
from commands.values import now_ms, parse_day
from ledger.errors import Code, LocalError
from ledger.lending.matching import describe_ranking
from ledger.lending.ranking import ProductBook
from ledger.membership.context import MS_A_DAY
from ledger.rules.features import AS_OF, Feature
from ledger.rules.names import quoted, suggest
from ledger.rules.quantities import parse_quantity
from ledger.rules.schema import Schema
from ledger.rules.units import FactValue, Unit

COMPANY = "company"  # the column of a snapshot that is no fact


def match_file(
    path: Path,
    rules: Path,
    company: str | None,
    wish: Mapping[str, FactValue],
    named: tuple[str, ...],
    top: int,
) -> dict[str, Any]:
    """Return what `company.match` would answer on the facts of a file.

    Raises `LocalError` (8001, 8002) for a file that holds none, or no such product.
    """
    if path.suffix == ".parquet":
        day, given = _read_row(path, company)
    else:
        day, given = _read_json(path)
    found = load_rules(rules, day)
    book = ProductBook(found.products)
    _check_names(path, given, found.schemas)
    facts = {}
    for ref in book.get_features():
        features = found.schemas[ref].features
        known = {
            name: _read_fact(features[name], value)
            for name, value in given.items()
            if name in features
        }
        facts[ref] = {**known, **wish, AS_OF: day}
    ranking = book.rank(facts, day)
    if named:
        ranking = ranking.keep(_find_named(book, named, rules))
    return {
        "company": company or path.stem,
        "as_of": day,
        "asked_fen": wish["ap.amount"],
        "term_days": wish["ap.term"],
        "assets": {},
        **describe_ranking(book, ranking, top),
    }


def _find_named(book: ProductBook, named: tuple[str, ...], rules: Path) -> set[str]:
    """Return the references of products named by id or reference."""
    refs = {product.id: product.ref for product in book.products}
    known = {**refs, **{ref: ref for ref in refs.values()}}
    for name in named:
        if name not in known:
            raise LocalError(Code.INPUT_USAGE, f"no product {name} in force in {rules}")
    return {known[name] for name in named}


def _check_names(path: Path, given: Mapping[str, Any], schemas: Mapping[str, Schema]) -> None:
    """Refuse a fact that no schema of the products knows: it would count as missing."""
    known = {name for schema in schemas.values() for name in schema.features} | {COMPANY}
    for name in given:
        if name not in known:
            near = suggest(name[:64], sorted(known))
            raise LocalError(Code.INPUT_LINE, f"{path}: no rule knows of {quoted(name)}{near}")


def _read_json(path: Path) -> tuple[int, dict[str, Any]]:
    try:
        found = json.loads(read_bytes(path))
    except ValueError as error:
        raise LocalError(Code.INPUT_FILE, f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise LocalError(Code.INPUT_FILE, f'{path}: want an object, {{"co.sales_12m": 100}}')
    day = found.get(AS_OF)
    if isinstance(day, str):
        day = _parse(AS_OF, day)
    if day is not None and (type(day) is not int or day < 0):
        raise LocalError(Code.INPUT_FILE, f"{path}: as_of is {day!r}, want a date or its number")
    return now_ms() // MS_A_DAY if day is None else day, found


def _read_row(path: Path, company: str | None) -> tuple[int, dict[str, Any]]:
    """Return the day and the facts of one company of a snapshot."""
    if company is None:
        raise LocalError(Code.INPUT_USAGE, f"name the COMPANY whose row of {path} is meant")
    try:
        import pyarrow.parquet as pq

        from analytics.columns import read_snapshot
    except ImportError:
        raise LocalError(
            Code.INPUT_USAGE, "Parquet needs more: pip install 'creditledger[analytics]'"
        ) from None
    snapshot = read_snapshot(path)
    rows = pq.read_table(path, filters=[(COMPANY, "=", company)]).to_pylist()
    if not rows:
        raise LocalError(Code.NOT_FOUND, f"company {company} is not in {path}")
    return snapshot.as_of, {name: value for name, value in rows[0].items() if value is not None}


def _read_fact(feature: Feature, value: Any) -> FactValue:
    """Return a fact as rules take it; raise `LocalError` 8002 for what the feature cannot be."""
    fact = value
    if isinstance(value, str) and feature.unit is Unit.DATE:
        fact = _parse(feature.name, value)
    elif isinstance(value, str) and feature.unit is not Unit.TEXT:
        parsed = parse_quantity(value)
        fact = parsed[1] if parsed is not None and parsed[0] is feature.unit else value
    if not isinstance(fact, bool | int | str) or not feature.accepts(fact):
        raise LocalError(
            Code.INPUT_LINE, f"{feature.name} is {value!r}, want a value in {feature.unit}"
        )
    return fact


def _parse(name: str, text: str) -> int:
    try:
        return parse_day(text)
    except ValueError as error:
        raise LocalError(Code.INPUT_LINE, f"{name}: {error}") from None
