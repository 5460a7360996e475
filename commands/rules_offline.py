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
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.memory import MemoryStore


def check_product(source: bytes, genesis: bytes) -> dict[str, Any]:
    """Return what `product.check` says of `source`: `is_valid`, and what is wrong or what it is."""
    document = parse_genesis(genesis)
    store = MemoryStore()
    store.write(execute_genesis(document).writes, sync=False)
    state = Overlay(store)
    lender = _lender(source)
    caller = Party(lender, Role.BANK, document.member(lender), is_company=False)
    context = QueryContext(
        state, ChainStore(store), caller, document.time_ms, RuleCache().over(state)
    )
    answer: Any = QUERIES["product.check"](context, {"source": source, "lender": lender})
    return dict(answer)


def _lender(source: bytes) -> str:
    """Return the lender a product names, "unknown" where it does not parse: the check says why."""
    try:
        return str(tomllib.loads(source.decode()).get("lender", "unknown"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return "unknown"
