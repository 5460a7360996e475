"""Notices: what a member has to be told, in an inbox of its own on the chain.

A department learns of objections to its records, a reader that what it saw was corrected, a lender
that a decision of its rests on something that changed, regulators of complaints. NOTICES holds them
by recipient and height, so that a member asks from where it stopped; nothing is ever taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any

from ledger.encoding import Value, encode
from ledger.membership.context import Query, QueryContext, Role
from ledger.state.overlay import Overlay
from ledger.state.tables import NOTICES
from ledger.transactions.fields import Fields

REGULATORS = "*regulators"  # no member's id can be this
MAX_PAGE = 200
_HEIGHT_BYTES = 8
_NAME_BYTES = 16
_END = b"\x00"


class NoticeKind(StrEnum):
    """What a notice is about; the values are stored and never change."""

    OBJECTION = "objection"
    OBJECTION_DECIDED = "objection decided"
    COMPLAINT = "complaint"
    RECORD_CORRECTED = "record corrected"
    DECISION_TO_REVIEW = "decision to review"
    LIMIT_BREACHED = "limit breached"
    ALERT_ESCALATED = "alert escalated"
    GUARANTEE_ASKED = "guarantee asked"
    DELETION_OVERDUE = "deletion overdue"
    PERSON_WITHDREW = "person withdrew"


def notify(
    state: Overlay, recipient: str, height: int, kind: NoticeKind, about: Mapping[str, Value]
) -> None:
    """Put a notice into the inbox of `recipient`; the same one twice in a block is one."""
    value = (str(kind), dict(about))
    name = sha256(encode(value)).digest()[:_NAME_BYTES]
    key = recipient.encode() + _END + height.to_bytes(_HEIGHT_BYTES, "big") + name
    state.put(NOTICES, key, value)


def query_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`notices.list` {from_height?, limit?}: what the caller was told, in the chain's order.

    `next_height` of a page with more to come is where to go on; a page never cuts a block.
    """
    fields = Fields(params)
    from_height = fields.optional_integer("from_height") or 0
    limit = fields.optional_integer("limit", minimum=1, maximum=MAX_PAGE) or MAX_PAGE
    fields.done()
    inboxes = [context.caller.id]
    if context.caller.role is Role.REGULATOR:
        inboxes.append(REGULATORS)
    found: list[tuple[int, str, Any]] = []
    for inbox in inboxes:
        found += _read(context.state, inbox, from_height, limit)
    found.sort(key=lambda item: item[0])
    next_height: int | None = None
    if len(found) > limit:
        next_height = found[limit - 1][0] + 1
        found = [item for item in found if item[0] < next_height]
    notices: list[Value] = [
        {"height": height, "kind": kind, **about} for height, kind, about in found
    ]
    return {"notices": notices, "next_height": next_height}


def _read(state: Overlay, inbox: str, from_height: int, limit: int) -> list[tuple[int, str, Any]]:
    """Return at least the first `limit` notices of an inbox, whole blocks, one more if any."""
    prefix = inbox.encode() + _END
    items: list[tuple[int, str, Any]] = []
    start = from_height.to_bytes(_HEIGHT_BYTES, "big")
    for key, (kind, about) in state.scan(NOTICES, prefix, start=start):
        height = int.from_bytes(key[len(prefix) : len(prefix) + _HEIGHT_BYTES], "big")
        if len(items) > limit and height != items[-1][0]:
            break
        items.append((height, kind, about))
    return items


QUERIES: Mapping[str, Query] = {"notices.list": query_list}
