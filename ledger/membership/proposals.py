"""Proposals to change the membership: their states, and how they are kept.

A proposal is open until its approvals reach a quorum, its proposer withdraws it, or its time has
passed. What a decision does depends on the change: one that alters who votes waits for its height
(`PENDING`), any other acts at once (`ACTIVE`). `TRANSITIONS` is the whole of it. Expiry needs no
transaction: an open proposal is expired as soon as the chain's time says so.

    PROPOSALS   "P" id       the proposal
                "N" number   its id; numbers count from 1 in the order of proposing
                "O"          ids of those that are open (expired ones until the next is proposed)
                "R" member   what the member's node last said by `member.ready`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ledger.errors import Code, LocalError, Rejected
from ledger.state.overlay import Overlay
from ledger.state.tables import PROPOSALS

_PROPOSAL = b"P"
_NUMBER = b"N"
_OPEN = b"O"
_READY = b"R"


class ProposalState(StrEnum):
    """What became of a proposal."""

    OPEN = "open"
    PENDING = "pending"  # decided; active from its height
    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Act(StrEnum):
    """What can happen to a proposal."""

    APPROVE = "approve"
    DECIDE = "decide"
    WITHDRAW = "withdraw"
    ACTIVATE = "activate"
    LAPSE = "lapse"  # its time passes


_S, _A = ProposalState, Act
TRANSITIONS: Mapping[tuple[ProposalState, Act], tuple[ProposalState, ...]] = {
    (_S.OPEN, _A.APPROVE): (_S.OPEN,),
    (_S.OPEN, _A.DECIDE): (_S.PENDING, _S.ACTIVE),
    (_S.OPEN, _A.WITHDRAW): (_S.WITHDRAWN,),
    (_S.OPEN, _A.LAPSE): (_S.EXPIRED,),
    (_S.PENDING, _A.ACTIVATE): (_S.ACTIVE,),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal; `id` is that of its transaction, `change` the map as it was proposed.

    `approvals` are the members that approved, in order; whether they still count is asked when it
    matters. `active_from` is the height from which the change is in force, once decided.
    """

    id: bytes
    number: int
    proposer: str
    height: int
    time_ms: int
    expires_ms: int
    note: str
    change: Mapping[str, Any]
    approvals: tuple[str, ...]
    state: ProposalState = ProposalState.OPEN
    active_from: int | None = None

    def to_value(self) -> tuple[Any, ...]:
        """Return the canonical value that PROPOSALS holds."""
        return (
            self.number,
            self.proposer,
            self.height,
            self.time_ms,
            self.expires_ms,
            self.note,
            self.change,
            self.approvals,
            self.state.value,
            self.active_from,
        )

    def state_at(self, time_ms: int) -> ProposalState:
        """Return the state at a moment of chain time, expiry included."""
        is_over = self.state is ProposalState.OPEN and time_ms >= self.expires_ms
        return ProposalState.EXPIRED if is_over else self.state

    def check_open(self, time_ms: int) -> None:
        """Raise `Rejected` (2604) unless it can be approved or withdrawn now."""
        state = self.state_at(time_ms)
        if state is ProposalState.EXPIRED:
            raise Rejected(
                Code.PROPOSAL_STATE, f"proposal {self.number} has expired: propose it again"
            )
        if state is not ProposalState.OPEN:
            raise Rejected(Code.PROPOSAL_STATE, f"proposal {self.number} is {state}, want open")

    def after(self, act: Act, to: ProposalState, **changes: Any) -> Proposal:
        """Return the proposal in the state `to`; a step that is not in the table is our own bug."""
        if to not in TRANSITIONS.get((self.state, act), ()):
            raise LocalError(Code.INTERNAL, f"proposal cannot {act} from {self.state} to {to}")
        return replace(self, state=to, **changes)


@dataclass(frozen=True, slots=True)
class Ready:
    """What a node showed that follows: a block of its chain, and under which key it stood then."""

    node_key: bytes
    height: int
    block_hash: bytes
    time_ms: int  # chain time of the transaction


def get_proposal(state: Overlay, proposal_id: bytes) -> Proposal:
    """Return a proposal; raise `Rejected` (2603) if there is none."""
    value = state.get(PROPOSALS, _PROPOSAL + proposal_id)
    if value is None:
        raise Rejected(Code.PROPOSAL_UNKNOWN, f"no proposal {proposal_id.hex()}")
    *fields, proposal_state, active_from = value
    last = {"state": ProposalState(proposal_state), "active_from": active_from}
    return Proposal(proposal_id, *fields, **last)


def put_proposal(state: Overlay, proposal: Proposal) -> None:
    """Keep a proposal, and whether it is among the open ones."""
    state.put(PROPOSALS, _PROPOSAL + proposal.id, proposal.to_value())
    known: tuple[bytes, ...] = state.get(PROPOSALS, _OPEN) or ()
    if (proposal.id in known) == (proposal.state is ProposalState.OPEN):
        return
    if proposal.state is ProposalState.OPEN:
        state.put(PROPOSALS, _OPEN, (*known, proposal.id))
        state.put(PROPOSALS, _number_key(proposal.number), proposal.id)
    else:
        state.put(PROPOSALS, _OPEN, tuple(item for item in known if item != proposal.id))


def get_open_proposals(state: Overlay, time_ms: int) -> tuple[Proposal, ...]:
    """Return the proposals that are open at this moment, in the order of proposing."""
    known = [get_proposal(state, item) for item in state.get(PROPOSALS, _OPEN) or ()]
    return tuple(item for item in known if item.state_at(time_ms) is ProposalState.OPEN)


def drop_expired(state: Overlay, time_ms: int) -> None:
    """Write down what has expired, so that the list of open ones stays short."""
    for proposal_id in state.get(PROPOSALS, _OPEN) or ():
        proposal = get_proposal(state, proposal_id)
        if proposal.state_at(time_ms) is ProposalState.EXPIRED:
            put_proposal(state, proposal.after(Act.LAPSE, ProposalState.EXPIRED))


def get_last_number(state: Overlay) -> int:
    """Return the number of the newest proposal, 0 when there is none."""
    for key, _ in state.scan(PROPOSALS, _NUMBER, reverse=True):
        return int.from_bytes(key[1:], "big")
    return 0


def get_proposals_below(state: Overlay, number: int) -> Iterator[Proposal]:
    """Yield the proposals with smaller numbers, the newest first."""
    stop = _number_key(number)[len(_NUMBER) :]
    for _, proposal_id in state.scan(PROPOSALS, _NUMBER, stop=stop, reverse=True):
        yield get_proposal(state, proposal_id)


def _number_key(number: int) -> bytes:
    return _NUMBER + number.to_bytes(8, "big")


def get_ready(state: Overlay, member_id: str) -> Ready | None:
    """Return what a member's node last said by `member.ready`, or None."""
    value = state.get(PROPOSALS, _READY + member_id.encode())
    return None if value is None else Ready(*value)


def put_ready(state: Overlay, member_id: str, ready: Ready) -> None:
    """Keep what a member's node says."""
    value = (ready.node_key, ready.height, ready.block_hash, ready.time_ms)
    state.put(PROPOSALS, _READY + member_id.encode(), value)
