"""Changes of the membership by the members' own vote: propose, approve, withdraw, be ready.

The vote itself is `ledger.membership.ballots`. A change that alters who votes becomes pending and
is active from g + L + 1, where g is the deciding block and L the window, so that no height that may
have been accepted by then changes its members (rule 2). There is at most one such change at a time,
and nothing else touches its member meanwhile; an approval that would decide another is refused with
the height after which to approve again, and leaves no trace (F86).

`member.ready` is what a node says that follows the chain, signed by its own key: it names a recent
block by its hash. Without it, and not long ago, an observer is not promoted, so that a network does
not give a vote to a node that does not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ledger.encoding import Value
from ledger.errors import Code, Rejected, StorageError
from ledger.membership.ballots import (
    Matter,
    process_approve,
    process_propose,
    process_withdraw,
)
from ledger.membership.changes import (
    KINDS,
    Change,
    Promote,
    Standing,
    compute_outcome,
    read_change,
)
from ledger.membership.context import Context, Handler
from ledger.membership.epoch_state import (
    PendingChange,
    apply_outcome,
    get_change_window,
    get_epoch_entry,
    get_standing,
    put_pending,
)
from ledger.membership.limits import READY_BLOCKS, READY_MS
from ledger.membership.members import get_member
from ledger.membership.proposals import (
    Act,
    Proposal,
    ProposalState,
    Ready,
    get_proposal,
    get_ready,
    put_ready,
)
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.transactions.fields import Fields

READY_KIND = "member.ready"


def handle_propose(context: Context) -> Value:
    """`member.propose` {change, expires_ms, note?}: propose a change; it counts as a vote for it.

    The proposal's id is the transaction's.
    """
    return process_propose(context, MATTER)


def handle_approve(context: Context) -> Value:
    """`member.approve` {proposal}: vote for a proposal; the vote that makes a quorum decides it."""
    return process_approve(context, MATTER)


def handle_withdraw(context: Context) -> Value:
    """`member.withdraw` {proposal}: take an own proposal back while it is open."""
    return process_withdraw(context, MATTER)


def handle_ready(context: Context) -> Value:
    """`member.ready` {height, block_hash}: the sender's node has this block of this chain.

    Signed by the node's key or the member's.
    """
    fields = Fields(context.body)
    height, block_hash = fields.integer("height"), fields.bytes32("block_hash")
    fields.done()
    member = context.sender.member
    if member is None or member.node is None:
        raise Rejected(Code.MEMBER_STATE, f"{context.sender.id} has no node: add_observer first")
    lowest = max(0, context.height - READY_BLOCKS)
    if not lowest <= height < context.height:
        raise Rejected(
            Code.READY_BLOCK,
            f"block {height} is named in block {context.height}, want {lowest} or later: "
            "let the node catch up",
        )
    header = ChainStore(context.state.base).header(height)
    if header is None:
        # Every node keeps the headers of so many blocks; one that does not must not go on alone.
        raise StorageError(Code.STORE_CORRUPT, f"header of block {height} is gone")
    if header.hash() != block_hash:
        raise Rejected(Code.READY_BLOCK, f"block {height} has another hash on this chain")
    ready = Ready(member.node.public_key, height, block_hash, context.time_ms)
    put_ready(context.state, member.id, ready)
    return {"member": member.id, "height": height}


def _get_standing(state: Overlay) -> Standing:
    """Return how things stand, with the keys reserved that a pending change brings."""
    standing = get_standing(state)
    pending = get_epoch_entry(state).pending
    if pending is None:
        return standing
    known = {member.node.public_key for member in standing.members.values() if member.node}
    return replace(standing, reserved=frozenset(key for _, key in pending.validators) - known)


def _check(context: Context, change: Change) -> None:
    """Raise why the change may not be, as the members stand."""
    compute_outcome(_get_standing(context.state), change)


def _decide(context: Context, proposal: Proposal, change: Change) -> Proposal:
    """Do what a quorum approved, at once or from its height on; raise `Rejected` if it may not."""
    state = context.state
    standing = _get_standing(state)
    _check_not_pending(state, change)
    outcome = compute_outcome(standing, change)
    if isinstance(change, Promote):
        _check_ready(context, change.member)
    if outcome.validators == standing.voting():
        apply_outcome(state, outcome, context.time_ms)
        return proposal.after(Act.DECIDE, ProposalState.ACTIVE, active_from=context.height)
    _check_none_pending(state)
    active_from = context.height + get_change_window(state) + 1
    put_pending(state, PendingChange(active_from, proposal.id, outcome.validators))
    return proposal.after(Act.DECIDE, ProposalState.PENDING, active_from=active_from)


def _check_none_pending(state: Overlay) -> None:
    pending = get_epoch_entry(state).pending
    if pending is not None:
        number = get_proposal(state, pending.proposal).number
        raise Rejected(
            Code.CHANGE_PENDING,
            f"proposal {number} changes the validators from block {pending.active_from} on, one "
            f"change at a time: approve again after block {pending.active_from - 1}",
        )


def _check_not_pending(state: Overlay, change: Change) -> None:
    """Raise if the pending change is about the same member."""
    pending = get_epoch_entry(state).pending
    if pending is None:
        return
    proposal = get_proposal(state, pending.proposal)
    if proposal.change["member"] == change.member:
        raise Rejected(
            Code.CHANGE_PENDING,
            f"proposal {proposal.number} about {change.member} is active from block "
            f"{pending.active_from}: approve again after block {pending.active_from - 1}",
        )


def _check_ready(context: Context, member_id: str) -> None:
    ready = get_ready(context.state, member_id)
    member = get_member(context.state, member_id)
    node = None if member is None else member.node
    if ready is None or node is None or ready.node_key != node.public_key:
        raise Rejected(
            Code.NOT_READY, f"the node of {member_id} has not said member.ready under its key"
        )
    if context.time_ms - ready.time_ms > READY_MS:
        hours = READY_MS // 3_600_000
        raise Rejected(
            Code.NOT_READY,
            f"the node of {member_id} said member.ready more than {hours} hours ago: send it again",
        )


MATTER: Matter[Change] = Matter("member", KINDS.__contains__, read_change, _check, _decide)
HANDLERS: Mapping[str, Handler] = {
    "member.propose": handle_propose,
    "member.approve": handle_approve,
    "member.withdraw": handle_withdraw,
    READY_KIND: handle_ready,
}
