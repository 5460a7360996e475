"""Checking a rule with no network: the state after genesis is enough to compile it against.

The genesis document is executed in memory, and the very check that a registration makes on the
chain is run on that state, so that what passes here passes there (unless its version is taken).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ledger.credit.rulebook import RuleCache
from ledger.errors import Rejected
from ledger.execution import execute_genesis
from ledger.membership.context import Party, QueryContext, Role
from ledger.membership.genesis import parse_genesis
from ledger.queries import QUERIES
from ledger.rules.documents import load_kind
from ledger.rules.product import Product
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.memory import MemoryStore


def check_product(source: bytes, genesis: bytes, adopted: Iterable[bytes] = ()) -> dict[str, Any]:
    """Return what `product.check` says of `source`: `is_valid`, and what is wrong or what it is.

    `adopted` are schemas and scorecards that came after genesis, in the order of their coming.
    """
    context = _after_genesis(genesis, _lender(source), adopted)
    body = {"source": source, "lender": context.caller.id}
    answer: Any = QUERIES["product.check"](context, body)
    return dict(answer)


def compile_product(source: bytes, genesis: bytes, adopted: Iterable[bytes] = ()) -> Product:
    """Return the product of `source`; raise `Rejected` (2501, 2503, 2504)."""
    rules: Any = _after_genesis(genesis, _lender(source), adopted).rules
    product: Product = rules.compile("product", source)
    return product


def find_named(source: bytes) -> tuple[tuple[str, str], ...]:
    """Return (kind, reference) of the schema and scorecard that a product names."""
    try:
        values = tomllib.loads(source.decode())
    except (ValueError, RecursionError):  # not UTF-8, no TOML, a number too long, nested too deep
        return ()
    return tuple((kind, str(values.get(kind, ""))) for kind in ("schema", "scorecard"))


def _after_genesis(genesis: bytes, lender: str, adopted: Iterable[bytes]) -> QueryContext:
    """Return what a query of a lender is given in the state after genesis."""
    document = parse_genesis(genesis)
    store = MemoryStore()
    store.write(execute_genesis(document).writes, sync=False)
    state = Overlay(store)
    rules = RuleCache().over(state)
    state.begin()
    for item in adopted:
        with suppress(Rejected):  # what genesis has already, or what the check will speak of
            rules.register(load_kind(item), item, lender, 0)
    state.commit()
    caller = Party(lender, Role.BANK, document.member(lender), is_company=False)
    return QueryContext(state, ChainStore(store), caller, document.time_ms, rules)


def _lender(source: bytes) -> str:
    """Return the lender a product names, "unknown" where it does not parse: the check says why."""
    try:
        return str(tomllib.loads(source.decode()).get("lender", "unknown"))
    except (ValueError, RecursionError):  # not UTF-8, no TOML, a number too long, nested too deep
        return "unknown"
