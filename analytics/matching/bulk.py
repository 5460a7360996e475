"""From a command line to a plan: the snapshot and the products in force on its day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analytics.columns import open_parquet, read_snapshot
from analytics.matching.plan import Plan, compile_plan
from analytics.matching.rules import Rules, load_rules
from analytics.matching.run import find_files
from ledger.errors import Code, LocalError
from ledger.rules.features import AS_OF
from ledger.rules.units import FactValue


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan over a snapshot; `absent` are the facts that no company has, for lack of a column."""

    files: tuple[Path, ...]
    plan: Plan
    rows: int
    as_of: int
    absent: tuple[str, ...]


def prepare(
    facts: Path, rules: Path, wish: Mapping[str, int], products: Sequence[str] = ()
) -> Prepared:
    """Return the plan of the products in force on the snapshot's day.

    `wish` is what everyone asks for (`ap.amount` in fen, `ap.term` in days); `products` are ids, or
    references, of those that are wanted, none for all. Raise `LocalError` (8001, 8002).
    """
    files = find_files(facts)
    snapshot = read_snapshot(files[0])
    found = _select(load_rules(rules, snapshot.as_of), products)
    constants: dict[str, FactValue] = {AS_OF: snapshot.as_of, **wish}
    _check_constants(found, constants)
    names = frozenset(open_parquet(files[0]).schema_arrow.names)
    plan = compile_plan(found.products, found.schemas, names, constants)
    absent = sorted(name for name in plan.columns if name not in names and name not in constants)
    rows = sum(open_parquet(file).metadata.num_rows for file in files)
    return Prepared(files, plan, rows, snapshot.as_of, tuple(absent))


def _select(rules: Rules, wanted: Sequence[str]) -> Rules:
    products = rules.products
    for name in wanted:
        if not any(name in (item.id, item.ref) for item in products):
            raise LocalError(Code.INPUT_USAGE, f"no product {name} is in force on that day")
    if wanted:
        products = tuple(item for item in products if item.id in wanted or item.ref in wanted)
    if not products:
        raise LocalError(Code.INPUT_FILE, "no product is in force on the day of the snapshot")
    used = {product.schema_ref for product in products}
    return Rules(products, {ref: item for ref, item in rules.schemas.items() if ref in used})


def _check_constants(rules: Rules, constants: Mapping[str, FactValue]) -> None:
    """Raise where what is asked for lies outside the declared range: nobody could be granted."""
    for ref, schema in rules.schemas.items():
        for name, value in constants.items():
            feature = schema.features.get(name)
            if feature is not None and not feature.accepts(value):
                raise LocalError(Code.INPUT_USAGE, f"{name} is {value}, outside what {ref} allows")
