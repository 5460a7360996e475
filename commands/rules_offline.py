"""Checking a rule with no network: the state after genesis is enough to compile it against.

The genesis document is executed in memory, and the very check that a registration makes on the
chain is run on that state, so that what passes here passes there (unless its version is taken).
"""

from __future__ import annotations

import tomllib
from typing import Any

from ledger.credit.rulebook import RuleCache
from ledger.execution import execute_genesis
from ledger.membership.context import Party, QueryContext, Role
from ledger.membership.genesis import parse_genesis
from ledger.queries import QUERIES
from ledger.rules.product import Product
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.memory import MemoryStore


def check_product(source: bytes, genesis: bytes) -> dict[str, Any]:
    """Return what `product.check` says of `source`: `is_valid`, and what is wrong or what it is."""
    context = _after_genesis(genesis, _lender(source))
    body = {"source": source, "lender": context.caller.id}
    answer: Any = QUERIES["product.check"](context, body)
    return dict(answer)


def compile_product(source: bytes, genesis: bytes) -> Product:
    """Return the product of `source`; raise `Rejected` (2501, 2503, 2504)."""
    rules: Any = _after_genesis(genesis, _lender(source)).rules
    product: Product = rules.compile("product", source)
    return product


def _after_genesis(genesis: bytes, lender: str) -> QueryContext:
    """Return what a query of a lender is given in the state after genesis."""
    document = parse_genesis(genesis)
    store = MemoryStore()
    store.write(execute_genesis(document).writes, sync=False)
    state = Overlay(store)
    caller = Party(lender, Role.BANK, document.member(lender), is_company=False)
    return QueryContext(state, ChainStore(store), caller, document.time_ms, RuleCache().over(state))


def _lender(source: bytes) -> str:
    """Return the lender a product names, "unknown" where it does not parse: the check says why."""
    try:
        return str(tomllib.loads(source.decode()).get("lender", "unknown"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return "unknown"
