"""All queries by name: what a node answers from its state, on a snapshot, for one caller.

Each area of the ledger keeps its own; two with one name are an error found at import.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.credit import asset_queries, consent
from ledger.errors import Code, LocalError
from ledger.lending import products
from ledger.lending import queries as lending_queries
from ledger.membership.context import Query


def _merged(*groups: Mapping[str, Query]) -> dict[str, Query]:
    merged: dict[str, Query] = {}
    for group in groups:
        for name, query in group.items():
            if name in merged:
                raise LocalError(Code.INTERNAL, f"query {name} stands twice")
            merged[name] = query
    return merged


QUERIES: Mapping[str, Query] = _merged(
    asset_queries.QUERIES, consent.QUERIES, products.QUERIES, lending_queries.QUERIES
)
