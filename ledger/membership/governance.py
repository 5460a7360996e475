"""Changes of the membership by the members' own vote: propose, approve, withdraw, be ready.

Any member proposes; the members whose nodes are validators in force vote, one vote each, and what a
quorum of them approves is done. The votes are counted at each approval over those that are still
validators. A change that alters who votes becomes pending and is active from g + L + 1, where g is
the deciding block and L the window, so that no height that may have been accepted by then changes
its members (rule 2). There is at most one such change at a time, and nothing else touches its
member meanwhile; an approval that would decide another is refused with the height after which to
approve again, and leaves no trace (F86).

`member.ready` is what a node says that follows the chain, signed by its own key: it names a recent
block by its hash. Without it, and not long ago, an observer is not promoted, so that a network does
not give a vote to a node that does not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ledger.chain.certificate import quorum
from ledger.encoding import Value
from ledger.errors import Code, Rejected, StorageError
from ledger.membership.changes import (
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
from ledger.membership.limits import (
    MAX_NOTE,
    MAX_OPEN_PROPOSALS,
    MAX_PROPOSAL_MS,
    MAX_PROPOSALS_A_BLOCK,
    READY_BLOCKS,
    READY_MS,
)
from ledger.membership.members import get_member, get_validators
from ledger.membership.proposals import (
    Act,
    Proposal,
    ProposalState,
    Ready,
    drop_expired,
    get_last_number,
    get_open_proposals,
    get_proposal,
    get_ready,
    put_proposal,
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
    fields = Fields(context.body)
    change = read_change(fields.map("change"))
    expires_ms = fields.time_ms("expires_ms")
    note = fields.optional_text("note", maximum=MAX_NOTE) or ""
    fields.done()
    _check_member(context)
    _check_expiry(context, expires_ms)
    _check_rate(context)
    state = context.state
    drop_expired(state, context.time_ms)
    _check_room(context)
    compute_outcome(_get_standing(state), change)
    voters = [name for name, _ in get_validators(state)]
    proposal = Proposal(
        context.transaction.id,
        get_last_number(state) + 1,
        context.sender.id,
        context.height,
        context.time_ms,
        expires_ms,
        note,
        context.body["change"],
        (context.sender.id,) if context.sender.id in voters else (),
    )
    put_proposal(state, proposal)
    return _answer(proposal, voters)


def handle_approve(context: Context) -> Value:
    """`member.approve` {proposal}: vote for a proposal; the vote that makes a quorum decides it.

    Who approved before may approve again: nothing is added, the votes are counted anew.
    """
    proposal = _read_proposal(context)
    state, voter = context.state, context.sender.id
    voters = [name for name, _ in get_validators(state)]
    if voter not in voters or context.sender.member is None:
        raise Rejected(
            Code.NOT_PERMITTED, f"{voter} has no validator in force: only members with one vote"
        )
    if voter not in proposal.approvals:
        approvals = (*proposal.approvals, voter)
        proposal = proposal.after(Act.APPROVE, ProposalState.OPEN, approvals=approvals)
    if _count(proposal, voters) >= quorum(len(voters)):
        proposal = _decide(context, proposal)
    put_proposal(state, proposal)
    return _answer(proposal, voters)


def handle_withdraw(context: Context) -> Value:
    """`member.withdraw` {proposal}: take an own proposal back while it is open."""
    proposal = _read_proposal(context)
    if context.sender.is_company or context.sender.id != proposal.proposer:
        raise Rejected(
            Code.NOT_PERMITTED,
            f"proposal {proposal.number} is of {proposal.proposer}: only its proposer withdraws it",
        )
    put_proposal(context.state, proposal.after(Act.WITHDRAW, ProposalState.WITHDRAWN))
    return {"proposal": proposal.id, "number": proposal.number, "state": "withdrawn"}


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


def _check_member(context: Context) -> None:
    if context.sender.member is None:
        raise Rejected(Code.NOT_PERMITTED, f"{context.sender.id} is no member")


def _check_expiry(context: Context, expires_ms: int) -> None:
    latest = context.time_ms + MAX_PROPOSAL_MS
    if not context.time_ms < expires_ms <= latest:
        raise Rejected(
            Code.BODY_MALFORMED,
            f"field expires_ms: got {expires_ms}, want after the block's time {context.time_ms}, "
            f"at most {latest}",
        )


def _check_rate(context: Context) -> None:
    judged = context.notes.proposals
    count = judged.get(context.sender.id, 0)
    if count >= MAX_PROPOSALS_A_BLOCK:
        raise Rejected(
            Code.PROPOSAL_LIMIT,
            f"{context.sender.id} has made {count} proposals in this block: send it again",
        )
    judged[context.sender.id] = count + 1


def _check_room(context: Context) -> None:
    proposals = get_open_proposals(context.state, context.time_ms)
    own = [item for item in proposals if item.proposer == context.sender.id]
    if len(own) >= MAX_OPEN_PROPOSALS:
        raise Rejected(
            Code.PROPOSAL_LIMIT,
            f"{context.sender.id} has {len(own)} open proposals: withdraw one first",
        )


def _read_proposal(context: Context) -> Proposal:
    """Return the open proposal that the body names."""
    fields = Fields(context.body)
    proposal_id = fields.bytes32("proposal")
    fields.done()
    proposal = get_proposal(context.state, proposal_id)
    proposal.check_open(context.time_ms)
    return proposal


def _count(proposal: Proposal, voters: list[str]) -> int:
    return len(set(proposal.approvals) & set(voters))


def _answer(proposal: Proposal, voters: list[str]) -> Value:
    return {
        "proposal": proposal.id,
        "number": proposal.number,
        "state": proposal.state.value,
        "approvals": _count(proposal, voters),
        "needed": quorum(len(voters)),
        "active_from": proposal.active_from,
    }


def _decide(context: Context, proposal: Proposal) -> Proposal:
    """Do what a quorum approved, at once or from its height on; raise `Rejected` if it may not."""
    state = context.state
    change = read_change(Fields(proposal.change))
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


HANDLERS: Mapping[str, Handler] = {
    "member.propose": handle_propose,
    "member.approve": handle_approve,
    "member.withdraw": handle_withdraw,
    READY_KIND: handle_ready,
}
