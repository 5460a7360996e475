"""Ballots: what every matter on which the members vote has in common.

Any member proposes; the members whose nodes are validators in force vote, one vote each, and what a
quorum of them approves is decided. The votes are counted at each approval over those that are still
validators. Proposals of all matters share one list, their numbers and their limits; which kinds of
change belong to a matter, how one is read and judged, and what deciding it does, a `Matter` says.
Membership is one (`ledger.membership.governance`), the rules of credit are another
(`ledger.lending.rule_governance`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ledger.chain.certificate import quorum
from ledger.encoding import Value
from ledger.errors import Code, Rejected
from ledger.membership.context import Context
from ledger.membership.limits import (
    MAX_NOTE,
    MAX_OPEN_PROPOSALS,
    MAX_PROPOSAL_MS,
    MAX_PROPOSALS_A_BLOCK,
)
from ledger.membership.members import get_validators
from ledger.membership.proposals import (
    Act,
    Proposal,
    ProposalState,
    drop_expired,
    get_last_number,
    get_open_proposals,
    get_proposal,
    put_proposal,
)
from ledger.transactions.fields import Fields

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Matter(Generic[T]):
    """One field of government: `prefix` is that of its transactions ("member", "rule").

    `read` returns a change from its map, its form checked (2008). `check` raises why it may not be
    as things stand. `decide` carries it out and returns the proposal in its next state; it is
    given what `read` returns and raises as `check` does.
    """

    prefix: str
    owns: Callable[[str], bool]
    read: Callable[[Fields], T]
    check: Callable[[Context, T], None]
    decide: Callable[[Context, Proposal, T], Proposal]


def process_propose(context: Context, matter: Matter[T]) -> Value:
    """Propose a change of a matter; it counts as a vote for it where the proposer has one.

    The proposal's id is the transaction's. Raise `Rejected` (2006, 2008, 2610, and what `check`
    raises).
    """
    fields = Fields(context.body)
    change = matter.read(fields.map("change"))
    expires_ms = fields.time_ms("expires_ms")
    note = fields.optional_text("note", maximum=MAX_NOTE) or ""
    fields.done()
    _check_member(context)
    _check_expiry(context, expires_ms)
    _check_rate(context)
    state = context.state
    drop_expired(state, context.time_ms)
    _check_room(context)
    matter.check(context, change)
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


def process_approve(context: Context, matter: Matter[T]) -> Value:
    """Vote for a proposal; the vote that makes a quorum decides it.

    Who approved before may approve again: nothing is added, the votes are counted anew.
    """
    proposal = _read_proposal(context, matter)
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
        # What is decided is judged again, and judging may cost much: see `_check_rate`.
        _check_rate(context)
        proposal = matter.decide(context, proposal, matter.read(Fields(proposal.change)))
    put_proposal(state, proposal)
    return _answer(proposal, voters)


def process_withdraw(context: Context, matter: Matter[T]) -> Value:
    """Take an own proposal back while it is open."""
    proposal = _read_proposal(context, matter)
    if context.sender.is_company or context.sender.id != proposal.proposer:
        raise Rejected(
            Code.NOT_PERMITTED,
            f"proposal {proposal.number} is of {proposal.proposer}: only its proposer withdraws it",
        )
    put_proposal(context.state, proposal.after(Act.WITHDRAW, ProposalState.WITHDRAWN))
    return {"proposal": proposal.id, "number": proposal.number, "state": "withdrawn"}


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
    """Raise `Rejected` (2610) where a sender lets too much be judged in one block."""
    judged = context.notes.proposals
    count = judged.get(context.sender.id, 0)
    if count >= MAX_PROPOSALS_A_BLOCK:
        raise Rejected(
            Code.PROPOSAL_LIMIT,
            f"{context.sender.id} had {count} proposals judged in this block: send it again",
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


def _read_proposal(context: Context, matter: Matter[T]) -> Proposal:
    """Return the open proposal of the matter that the body names."""
    fields = Fields(context.body)
    proposal_id = fields.bytes32("proposal")
    fields.done()
    proposal = get_proposal(context.state, proposal_id)
    kind = proposal.change["kind"]
    if not matter.owns(kind):
        raise Rejected(
            Code.PROPOSAL_UNKNOWN, f"proposal {proposal.number} ({kind}) is no {matter.prefix}'s"
        )
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
