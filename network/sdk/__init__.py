"""The SDK with typed results: `open_ledger`, and a class for every act and every question.

Areas: `records` (companies, records, profiles), `consents` (authorisations, looks, objections),
`assets`, `loans`, `matching`, `supervision` (alerts, limits, groups), `votes`. docs/SDK.md shows
each at work. What only nodes and auditors send and ask (`INTERNAL`) has no class here:
`network.client` takes any kind and any name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from network.sdk import assets, consents, loans, matching, records, supervision, votes
from network.sdk.ledger import AsyncLedger, Done, Ledger, open_ledger
from network.sdk.reading import Act, Ask

__all__ = ["ACTS", "ASKS", "INTERNAL", "Act", "Ask", "AsyncLedger", "Done", "Ledger", "open_ledger"]

_AREAS = (records, consents, assets, loans, matching, supervision, votes)

# Sent by nodes and software of members; what a node asks itself, proofs and epochs.
INTERNAL = frozenset(
    (
        "member.ready",
        "protocol.approve",
        "protocol.show",
        "block.certificate",
        "epochs.changes",
        "epochs.current",
        "members.proven",
        "receipt.check",
        "state.proof",
    )
)


def _find(base: type[Any]) -> tuple[type[Any], ...]:
    return tuple(
        item
        for area in _AREAS
        for item in vars(area).values()
        if isinstance(item, type) and issubclass(item, base) and item is not base
    )


ACTS: Mapping[str, type[Act[Any]]] = {item.kind: item for item in _find(Act)}
ASKS: tuple[type[Ask[Any]], ...] = _find(Ask)
