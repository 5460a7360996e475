"""The products in force on a day: of a home, of a genesis document, or of a folder of TOML files.

A home is read as it stands at its last block, from a copy of its database (`export.home`). In a
folder, and in those below it, are schemas, scorecards and products; what their features may read is
the catalogue of the network that the folder belongs to (`categories.csv` in it or above it), else
that of the network shipped with this program.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, TypeVar

from analytics.export.home import open_copy
from genesis.network import NETWORKS, load_network
from ledger.credit.categories import compute_event_types
from ledger.credit.rulebook import RuleCache
from ledger.errors import Code, LocalError, RuleSourceError
from ledger.execution import execute_genesis
from ledger.lending.matching import get_products_in_force
from ledger.membership.catalogue import category_from_value
from ledger.membership.genesis import parse_genesis
from ledger.rules.documents import load_kind
from ledger.rules.product import Product, load_product
from ledger.rules.schema import EventTypes, Schema, load_schema
from ledger.rules.scorecard import Scorecard, load_scorecard
from ledger.state.overlay import Overlay
from ledger.storage.home import HomeLayout
from ledger.storage.memory import MemoryStore
from ledger.storage.store import Reader

T = TypeVar("T")
Sources: TypeAlias = dict[str, list[tuple[Path, bytes]]]  # by kind of document

_SHIPPED = NETWORKS / "guangdong"


@dataclass(frozen=True, slots=True)
class Rules:
    """Products in the order of their ids, and the schemas they are written for, by reference."""

    products: tuple[Product, ...]
    schemas: Mapping[str, Schema]


def load_rules(path: Path, day: int) -> Rules:
    """Return the products in force on `day` (days since 1970-01-01) that `path` holds.

    `path` is a genesis document, the home of a stopped node or a copy of one, or a folder of rule
    files. Raise `LocalError` (8001, 6103) or `RuleSourceError`.
    """
    if path.is_file():
        return _of_genesis(path.read_bytes(), day)
    if HomeLayout(path).genesis.exists():
        with (
            TemporaryDirectory(prefix="creditledger-") as scratch,
            open_copy(path, Path(scratch)) as reader,
        ):
            return _of_state(reader, day)
    return _of_folder(path, day)


def _of_genesis(data: bytes, day: int) -> Rules:
    store = MemoryStore()
    store.write(execute_genesis(parse_genesis(data)).writes, sync=False)
    return _of_state(store, day)


def _of_state(reader: Reader, day: int) -> Rules:
    state = Overlay(reader)
    book = RuleCache().over(state)
    products = get_products_in_force(state, book, day)
    refs = {product.schema_ref for product in products}
    return Rules(products, {ref: book.registered_schema(ref) for ref in sorted(refs)})


def _of_folder(folder: Path, day: int) -> Rules:
    network = _find_network(folder)
    sources = _read_sources(folder)
    if not sources.get("product"):
        raise LocalError(Code.INPUT_FILE, f"{folder} holds no product of smartrule/1")
    beside = _load_beside(network)
    schemas, scorecards = dict(beside[0]), dict(beside[1])
    _load_inputs(sources, _read_events(network), schemas, scorecards)
    products = []
    for path, data in sources["product"]:
        with _naming(path):
            schema = _find(path, data, "schema", schemas)
            scorecard = _find(path, data, "scorecard", scorecards)
            products.append(load_product(data, schema, scorecard))
    return Rules(select_in_force(products, day), schemas)


@cache
def _load_beside(network: Path) -> tuple[dict[str, Schema], dict[str, Scorecard]]:
    """Return the schemas and scorecards of a network, which do not change while we run."""
    schemas: dict[str, Schema] = {}
    scorecards: dict[str, Scorecard] = {}
    _load_inputs(_read_sources(network / "rules"), _read_events(network), schemas, scorecards)
    return schemas, scorecards


def _load_inputs(
    sources: Sources,
    events: EventTypes,
    schemas: dict[str, Schema],
    scorecards: dict[str, Scorecard],
) -> None:
    """Add the schemas and scorecards of `sources` to those known."""
    for path, data in sources.get("schema", ()):
        with _naming(path):
            schema = load_schema(data, events)
        schemas[schema.ref] = schema
    for path, data in sources.get("scorecard", ()):
        with _naming(path):
            scorecard = load_scorecard(data, _find(path, data, "schema", schemas))
        scorecards[scorecard.ref] = scorecard


def _find(path: Path, source: bytes, kind: str, known: Mapping[str, T]) -> T:
    """Return the document that `source` names; raise `LocalError` 8001 where there is none."""
    ref = str(tomllib.loads(source.decode()).get(kind, ""))
    if ref not in known:
        raise LocalError(Code.INPUT_FILE, f"{path.name} names the {kind} {ref}, which is not there")
    return known[ref]


def select_in_force(products: Iterable[Product], day: int) -> tuple[Product, ...]:
    """Return of each product the version that may be applied for on `day`, in order of their ids.

    As on the chain: the highest version whose first day has come, if its last day has not.
    """
    found: dict[str, Product] = {}
    for product in products:
        held = found.get(product.id)
        has_begun = product.effective_from <= day
        if has_begun and (held is None or held.version < product.version):
            found[product.id] = product
    return tuple(found[name] for name in sorted(found) if found[name].is_effective(day))


def _read_sources(folder: Path) -> Sources:
    found: Sources = {}
    for path in sorted(folder.rglob("*.toml")):
        data = path.read_bytes()
        if b"smartrule/1" in data:
            with _naming(path):
                kind = load_kind(data)
            found.setdefault(kind, []).append((path, data))
    return found


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let a refusal name the file."""
    try:
        yield
    except RuleSourceError as error:
        message = f"{path.name}: {error.message}"
        raise RuleSourceError(error.code, message, error.line, error.column) from None


def _find_network(folder: Path) -> Path:
    resolved = folder.resolve()
    places = (resolved, *resolved.parents)
    return next((item for item in places if (item / "categories.csv").is_file()), _SHIPPED)


@cache
def _read_events(network: Path) -> EventTypes:
    tables = load_network(network)
    return compute_event_types(
        category_from_value(f"category {value['id']}", value)
        for value in (*tables.categories, *tables.declared)
    )
