"""Runs queries on a snapshot, for one caller, without touching execution (rule 53).

The caller is known by its certificate: a program of a member acts for that member, and a client
whose name is a company's code, issued by a member that may stand at the counter for companies, acts
for that company. Rule books of queries are compiled apart from those of execution. The
node's clock ends what may be read for a time, also while no block comes. Beside the
ledger's queries there are those about the node itself, which are handed in: one namespace for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ledger.credit.rulebook import RuleCache
from ledger.credit.uscc import check_uscc
from ledger.encoding import Value
from ledger.errors import Code, CreditLedgerError, Refused
from ledger.membership.context import Party, Query, QueryContext
from ledger.membership.members import COUNTER, get_member
from ledger.queries import QUERIES
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.store import Store
from network.certificates import ClientIdentity


class QueryRunner:
    """Answers queries by name; called in worker threads, several at once."""

    def __init__(
        self, store: Store, node_queries: Mapping[str, Query], clock_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._queries = {**QUERIES, **node_queries}
        self._cache = RuleCache()

    def __call__(self, client: ClientIdentity, name: str, params: Mapping[str, Any]) -> Value:
        """Return what the query gives; raise `Refused` or `Rejected` with its number."""
        query = self._queries.get(name)
        if query is None:
            raise Refused(Code.REQUEST_UNKNOWN, f"query {name[:64]} is not known")
        snapshot = self._store.snapshot()
        chain = ChainStore(snapshot)
        state = Overlay(snapshot)
        head = chain.head()
        time_ms = 0 if head is None else head.time_ms
        caller = resolve_caller(state, client)
        rules = self._cache.over(state)
        return query(QueryContext(state, chain, caller, time_ms, rules, self._clock_ms()), params)


def resolve_caller(state: Overlay, client: ClientIdentity) -> Party:
    """Return for whom a client asks."""
    member = get_member(state, client.member)
    if member is None or member.is_removed:
        raise Refused(Code.PEER_UNKNOWN, f"{client.member} is no member")
    if COUNTER in member.capabilities and is_company(client.name):
        return Party(client.name, None, None, is_company=True)
    return Party(member.id, member.role, member, is_company=False)


def is_company(name: str) -> bool:
    """Tell whether a client's name is a company's code."""
    try:
        check_uscc(name)
    except CreditLedgerError:
        return False
    return True
