"""All queries by name: what a node answers from its state, on a snapshot, for one caller.

Each area of the ledger keeps its own; two with one name are an error found at import.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.credit.queries import QUERIES as CREDIT_QUERIES
from ledger.errors import Code, LocalError
from ledger.lending import QUERIES as LENDING_QUERIES
from ledger.membership.context import Query
from ledger.membership.protocol import QUERIES as PROTOCOL_QUERIES
from ledger.membership.queries import QUERIES as MEMBERSHIP_QUERIES


def _merged(*groups: Mapping[str, Query]) -> dict[str, Query]:
    merged: dict[str, Query] = {}
    for group in groups:
        for name, query in group.items():
            if name in merged:
                raise LocalError(Code.INTERNAL, f"query {name} stands twice")
            merged[name] = query
    return merged


QUERIES: Mapping[str, Query] = _merged(
    CREDIT_QUERIES, LENDING_QUERIES, MEMBERSHIP_QUERIES, PROTOCOL_QUERIES
)
