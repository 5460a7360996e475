"""What can be asked about members, proposals and epochs.

Members and proposals are one node's word, as any query; the changes of epochs carry their proof:
whoever trusts the members of one epoch checks them with `ledger.chain.epochs.follow_epochs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from ledger.chain.certificate import quorum
from ledger.chain.epochs import EpochChange
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import ChainReader, Query, QueryContext
from ledger.membership.epoch_state import (
    get_change_window,
    get_epoch_entry,
    get_epoch_start,
)
from ledger.membership.members import Member, get_members, get_validators
from ledger.membership.proposals import (
    Proposal,
    get_last_number,
    get_open_proposals,
    get_proposal,
    get_proposals_below,
    get_ready,
)
from ledger.state.overlay import Overlay, leaf_key
from ledger.state.tables import MEMBERS
from ledger.state.tree import StateTree
from ledger.transactions.fields import Fields

PROPOSALS_MAX = 256
CHANGES_MAX = 256
PROVEN_MAX = 32


def get_epoch_changes(
    state: Overlay, chain: ChainReader, after_epoch: int, until_epoch: int
) -> tuple[EpochChange, ...]:
    """Return the changes that lead from `after_epoch` to `until_epoch`, oldest first.

    Raises `Rejected` (5104) where one is not known here, or its certificate not yet.
    """
    return tuple(
        _get_change(state, chain, epoch) for epoch in range(after_epoch + 1, until_epoch + 1)
    )


def _get_change(state: Overlay, chain: ChainReader, epoch: int) -> EpochChange:
    start = get_epoch_start(state, epoch)
    if start is None:
        raise Rejected(Code.NOT_FOUND, f"epoch {epoch} has not begun")
    kept = chain.epoch_change(epoch)
    if kept is not None:
        return kept
    last = start.first_height - 1
    header, certificate = chain.header(last), chain.certificate(last)
    if header is None or certificate is None:
        raise Rejected(Code.NOT_FOUND, f"block {last} before epoch {epoch} has no certificate here")
    return EpochChange(header, certificate, start.validators)


def query_members_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`members.list` {}: every member, what it is now, and the place of the validators in order.

    `standing` is validator, observer, member (without a node) or removed; `ready_ms` is when an
    observer's node last said that it follows, in chain time.
    """
    Fields(params).done()
    order = {name: index for index, (name, _) in enumerate(get_validators(context.state))}
    return [
        {
            "id": member.id,
            "name": member.name,
            "name_zh": member.name_zh,
            "role": member.role.value,
            "kind": member.kind,
            "capabilities": tuple(sorted(member.capabilities)),
            "public_key": member.public_key,
            "node": None if member.node is None else member.node.address,
            "node_key": None if member.node is None else member.node.public_key,
            "validator": order.get(member.id),
            "standing": _standing(member, order),
            "ready_ms": _ready_ms(context.state, member),
        }
        for member in get_members(context.state)
    ]


def _standing(member: Member, order: Mapping[str, int]) -> str:
    if member.is_removed:
        return "removed"
    if member.id in order:
        return "validator"
    return "member" if member.node is None else "observer"


def _ready_ms(state: Overlay, member: Member) -> int | None:
    ready = get_ready(state, member.id)
    if ready is None or member.node is None or ready.node_key != member.node.public_key:
        return None
    return ready.time_ms


def query_members_proven(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`members.proven` {members}: entries of at most 32 members, each with its proof.

    The proofs lead to the state root of `header`, which `certificate` certifies. Raises `Rejected`
    (5105) in the moment in which the head has no certificate yet.
    """
    fields = Fields(params)
    wanted = fields.texts("members", maximum=PROVEN_MAX)
    fields.done()
    head = context.chain.head()
    certificate = None if head is None else context.chain.certificate(head.height)
    if head is None or certificate is None:
        raise Rejected(Code.NOT_SYNCED, "the last block has no certificate yet: ask again")
    reader = context.state.base
    tree = StateTree(reader, head.state_root)
    return {
        "header": head.encoded(),
        "certificate": certificate.encoded(),
        "members": tuple(
            (
                reader.get(MEMBERS.prefix + name.encode()),
                tree.prove(leaf_key(MEMBERS, name.encode())).encoded(),
            )
            for name in wanted
        ),
    }


def query_proposals_list(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`proposals.list` {is_open?, cursor?, limit?}: proposals, the newest first.

    With `is_open` those that can be approved now, all of them; else `limit` of all before the
    number `cursor`, and the cursor to go on from (None at the end).
    """
    fields = Fields(params)
    is_open = fields.flag("is_open") if fields.has("is_open") else False
    cursor = fields.optional_integer("cursor", minimum=1)
    limit = fields.optional_integer("limit", minimum=1, maximum=PROPOSALS_MAX) or PROPOSALS_MAX
    fields.done()
    state = context.state
    if is_open:
        found = list(reversed(get_open_proposals(state, context.time_ms)))
    else:
        below = get_last_number(state) + 1 if cursor is None else cursor
        found = list(islice(get_proposals_below(state, below), limit))
    is_more = not is_open and bool(found) and found[-1].number > 1
    voters = [name for name, _ in get_validators(state)]
    return {
        "proposals": tuple(_proposal(item, voters, context.time_ms) for item in found),
        "cursor": found[-1].number if is_more else None,
    }


def query_proposals_show(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`proposals.show` {proposal}: one proposal, who has approved it and who has not."""
    fields = Fields(params)
    proposal_id = fields.bytes32("proposal")
    fields.done()
    voters = [name for name, _ in get_validators(context.state)]
    return _proposal(get_proposal(context.state, proposal_id), voters, context.time_ms)


def _proposal(proposal: Proposal, voters: list[str], time_ms: int) -> dict[str, Value]:
    return {
        "id": proposal.id,
        "number": proposal.number,
        "kind": proposal.change["kind"],
        "member": proposal.change.get("member", ""),
        "change": proposal.change,
        "proposer": proposal.proposer,
        "height": proposal.height,
        "time_ms": proposal.time_ms,
        "expires_ms": proposal.expires_ms,
        "note": proposal.note,
        "state": proposal.state_at(time_ms).value,
        "active_from": proposal.active_from,
        "approved": tuple(name for name in voters if name in proposal.approvals),
        "missing": tuple(name for name in voters if name not in proposal.approvals),
        "needed": quorum(len(voters)),
    }


def query_epochs_current(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`epochs.current` {}: the epoch of the next height, who votes, and what is pending."""
    Fields(params).done()
    state = context.state
    entry, validators = get_epoch_entry(state), get_validators(state)
    start = get_epoch_start(state, entry.epoch)
    head = context.chain.head()
    pending: Value = None
    if entry.pending is not None:
        proposal = get_proposal(state, entry.pending.proposal)
        pending = {
            "proposal": proposal.id,
            "number": proposal.number,
            "kind": proposal.change["kind"],
            "member": proposal.change["member"],
            "active_from": entry.pending.active_from,
            "validators": entry.pending.validators,
        }
    return {
        "epoch": entry.epoch,
        "first_height": 0 if start is None else start.first_height,
        "height": 0 if head is None else head.height,
        "validators": validators,
        "quorum": quorum(len(validators)),
        "window": get_change_window(state),
        "pending": pending,
    }


def query_epochs_changes(context: QueryContext, params: Mapping[str, Any]) -> Value:
    """`epochs.changes` {after_epoch?}: encoded `EpochChange`s from genesis or a given epoch on.

    At most 256; `epoch` is the one in force here, so that who asks knows whether to ask again.
    """
    fields = Fields(params)
    after = fields.optional_integer("after_epoch", maximum=2**32) or 0
    fields.done()
    epoch = get_epoch_entry(context.state).epoch
    until = min(epoch, after + CHANGES_MAX)
    changes = get_epoch_changes(context.state, context.chain, after, until)
    return {"epoch": epoch, "changes": tuple(change.encoded() for change in changes)}


QUERIES: Mapping[str, Query] = {
    "members.list": query_members_list,
    "members.proven": query_members_proven,
    "proposals.list": query_proposals_list,
    "proposals.show": query_proposals_show,
    "epochs.current": query_epochs_current,
    "epochs.changes": query_epochs_changes,
}
