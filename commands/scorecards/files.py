"""What the scorecard commands read: a card with the schema it names, tables, facts of companies."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from commands.files import read_bytes
from genesis.network import load_network
from ledger.credit.categories import compute_event_types
from ledger.errors import Code, LocalError
from ledger.membership.catalogue import category_from_value
from ledger.rules.documents import to_days
from ledger.rules.features import AS_OF, Feature
from ledger.rules.quantities import parse_quantity
from ledger.rules.schema import Schema, load_schema
from ledger.rules.scorecard import Scorecard, load_scorecard
from ledger.rules.units import FactValue

_NETWORK = "guangdong"
_MADE = "data/"  # how a schema begins that a fit made of columns
_INVOICES = "cumcm2020c_invoices_output.csv.gz"


def need_analytics() -> None:
    """Raise `LocalError` (8004) where the libraries of the extra are not installed."""
    for name in ("numpy", "scipy", "duckdb", "pyarrow"):
        if importlib.util.find_spec(name) is None:
            message = f"{name} is not installed: pip install 'creditledger[analytics]'"
            raise LocalError(Code.INPUT_USAGE, message)


def load_schema_file(path: Path) -> Schema:
    """Return the schema of a file, checked against the network's catalogue; `RuleSourceError`."""
    network = load_network(_NETWORK)
    values = (*network.categories, *network.declared)
    events = compute_event_types([category_from_value(value["id"], value) for value in values])
    return load_schema(read_bytes(path), events)


def find_schema(ref: str, given: Path | None, beside: Path | None = None) -> Schema:
    """Return the schema `ref` ("company/2"): of the file given, a file beside, or one shipped.

    Raises `LocalError` (8001) when there is none, `RuleSourceError` when it is none.
    """
    return load_schema_file(find_schema_file(ref, given, beside))


def find_schema_file(ref: str, given: Path | None, beside: Path | None = None) -> Path:
    """Return where `find_schema` finds it; raise `LocalError` (8001) where there is none."""
    if given is not None:
        return given
    name = f"{ref.replace('/', '-')}.toml"
    network = load_network(_NETWORK)
    shipped = [*network.rule_files(), *network.province_files()]
    near = [beside.parent / name] if beside is not None else []
    for path in (*near, *shipped):
        if path.name == name and path.is_file():
            return path
    raise LocalError(Code.INPUT_FILE, f"no schema {ref}: name its file with --schema")


def load_card(path: Path, schema: Path | None) -> tuple[Scorecard, Schema]:
    """Return a scorecard and its schema; raise `RuleSourceError` with line and column."""
    source = read_bytes(path)
    found = find_schema(_schema_ref(path, source), schema, path)
    return load_scorecard(source, found), found


def _schema_ref(path: Path, source: bytes) -> str:
    try:
        return str(tomllib.loads(source.decode()).get("schema", ""))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LocalError(Code.INPUT_FILE, f"{path}: {error}") from None


def read_companies(
    path: Path, features: Iterable[Feature]
) -> tuple[tuple[str, Mapping[str, FactValue]], ...]:
    """Return name and facts of each [[company]] of a TOML file, written as in rules.

    Raises `LocalError` (8001, 8002) for a file or a fact that cannot be used.
    """
    known = {feature.name: feature for feature in features}
    try:
        tables = tomllib.loads(read_bytes(path).decode()).get("company", ())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LocalError(Code.INPUT_FILE, f"{path}: {error}") from None
    if not isinstance(tables, list) or not tables:
        raise LocalError(Code.INPUT_FILE, f"{path}: want at least one [[company]]")
    found = []
    for number, table in enumerate(tables, 1):
        name = str(table.pop("name", f"company {number}"))
        found.append((name, {key: _read_fact(name, key, known, table[key]) for key in table}))
    return tuple(found)


def _read_fact(company: str, name: str, known: Mapping[str, Feature], value: Any) -> FactValue:
    if name != AS_OF and name not in known:
        raise LocalError(Code.INPUT_LINE, f"{company}: the scorecard reads no {name}")
    parsed = parse_quantity(value) if isinstance(value, str) else None
    fact = parsed[1] if parsed is not None else to_days(value) if isinstance(value, date) else value
    if name in known and not known[name].accepts(fact):
        unit = known[name].unit
        raise LocalError(Code.INPUT_LINE, f"{company}: {name} is {value!r}, want a value in {unit}")
    result: FactValue = fact
    return result


def read_scored(
    data: Path, card: Scorecard, schema: Path, as_of: date | None, options: Mapping[str, Any]
) -> Any:
    """Return the table of facts that a scorecard over the schema of a file is to score.

    Where a fit made the schema, columns are read as it read them. Raises as `read_data` does.
    """
    need_analytics()
    from analytics.scorecard.table import read_scaled

    more: dict[str, Any] = {"only": card.inputs}
    if card.schema_ref.startswith(_MADE):
        more = {"made": read_scaled(read_bytes(schema))}
    return read_data(data, load_schema_file(schema), as_of, {**options, **more})


def read_data(
    data: Path, schema: Schema | None, as_of: date | None, options: Mapping[str, Any]
) -> Any:
    """Return the table of facts of a file, or of a folder of published invoices.

    `options` are those of `analytics.scorecard.table.read_table`; raise `LocalError` (8001, 8002).
    """
    need_analytics()
    from analytics.scorecard.invoice_facts import AS_OF as LAST_DAY
    from analytics.scorecard.invoice_facts import read_invoice_facts
    from analytics.scorecard.table import read_table

    if data.is_dir():
        if schema is None or not (data / _INVOICES).is_file():
            message = f"{data} is a folder without {_INVOICES}, want the published invoices"
            raise LocalError(Code.INPUT_FILE, message)
        return read_invoice_facts(data, schema, as_of or LAST_DAY)
    return read_table(data, schema=schema, **options)
