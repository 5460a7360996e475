"""Which rules of execution are in force: a number, raised by the members at one height (F50).

Nodes of an old and a new release run side by side while a network is upgraded, and both must give
the same results. So a release that changes what a transaction does asks `get_protocol` and does the
old thing until the height from which the chain itself says the new number. The number is raised by
one: each validator's member sends `protocol.approve` once its node runs a release that knows the
number; the approval that makes a quorum sets the height, beyond the window like a change of the
members. A node whose release does not know the number in force stops before it executes the block,
with a code, and signs nothing about it. This release knows `PROTOCOL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger.chain.certificate import quorum
from ledger.encoding import Value
from ledger.errors import Code, LocalError, Rejected
from ledger.membership.context import Context, Handler, Query, QueryContext
from ledger.membership.epoch_state import get_change_window
from ledger.membership.members import get_validators
from ledger.state.overlay import Overlay
from ledger.state.tables import SETTINGS
from ledger.transactions.fields import Fields

PROTOCOL = 1
APPROVE_KIND = "protocol.approve"
_KEY = b"~protocol"


@dataclass(frozen=True, slots=True)
class ProtocolEntry:
    """The number that holds from `active_from` on, the one before it until then.

    `approvals` are of the members who have said that their nodes know the next number.
    """

    number: int = 1
    active_from: int = 0
    approvals: tuple[str, ...] = ()

    def at(self, height: int) -> int:
        """Return the number in force at a height from the entry's own on."""
        return self.number if height >= self.active_from else self.number - 1


def get_entry(state: Overlay) -> ProtocolEntry:
    """Return the entry of the state; without one it is protocol 1."""
    value = state.get(SETTINGS, _KEY)
    return ProtocolEntry() if value is None else ProtocolEntry(*value)


def get_protocol(state: Overlay, height: int) -> int:
    """Return the number in force at the height that is being executed."""
    return get_entry(state).at(height)


def check_protocol(state: Overlay, height: int) -> None:
    """Raise `LocalError` (7004) when this release cannot execute the block of this height."""
    number = get_protocol(state, height)
    if number > PROTOCOL:
        raise LocalError(
            Code.PROTOCOL_UNKNOWN,
            f"block {height} follows protocol {number}, this release knows {PROTOCOL}: install the "
            "release that the members approved, then start the node again",
        )


def handle_approve(context: Context) -> Value:
    """`protocol.approve` {number}: the sender's node knows the next protocol."""
    fields = Fields(context.body)
    number = fields.integer("number")
    fields.done()
    state, sender = context.state, context.sender
    voters = [name for name, _ in get_validators(state)]
    if sender.member is None or sender.id not in voters:
        raise Rejected(
            Code.NOT_PERMITTED, f"{sender.id} has no validator in force: only members with one vote"
        )
    entry = get_entry(state)
    if context.height < entry.active_from:
        raise Rejected(
            Code.CHANGE_PENDING,
            f"protocol {entry.number} is active from block {entry.active_from}, one change at a "
            f"time: approve again after block {entry.active_from - 1}",
        )
    if number != entry.number + 1:
        raise Rejected(
            Code.BODY_MALFORMED,
            f"field number: got {number}, want {entry.number + 1}, the next one",
        )
    approvals = tuple(sorted({*entry.approvals, sender.id} & set(voters)))
    needed = quorum(len(voters))
    after = ProtocolEntry(entry.number, entry.active_from, approvals)
    if len(approvals) >= needed:
        after = ProtocolEntry(number, context.height + get_change_window(state) + 1)
    state.put(SETTINGS, _KEY, (after.number, after.active_from, after.approvals))
    is_decided = after.number == number
    return {
        "number": number,
        "approvals": len(approvals),
        "needed": needed,
        "active_from": after.active_from if is_decided else None,
    }


def query_show(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`protocol.show` {}: the number in force at the next height, and the vote on the next number.

    `known` is what this node's own release knows. `active_from` is set while a number is decided
    and its height not yet reached; `approved` and `missing` are of the validators in force.
    """
    Fields(params).done()
    entry, head = get_entry(context.state), context.chain.head()
    height = 1 if head is None else head.height + 1
    is_decided = height < entry.active_from
    voters = [name for name, _ in get_validators(context.state)]
    return {
        "number": entry.at(height),
        "known": PROTOCOL,
        "next": entry.at(height) + 1,
        "active_from": entry.active_from if is_decided else None,
        "approved": tuple(name for name in voters if name in entry.approvals),
        "missing": tuple(name for name in voters if name not in entry.approvals),
        "needed": quorum(len(voters)),
    }


HANDLERS: Mapping[str, Handler] = {APPROVE_KIND: handle_approve}
QUERIES: Mapping[str, Query] = {"protocol.show": query_show}
