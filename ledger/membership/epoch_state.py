"""The epoch in the state: who votes, what is pending, the switch at a block's end (rule 2).

    SETTINGS  "~validators"  ids of the validators in force, in order (rule 4)
              "~epoch"       (epoch, pending); absent in epoch 0 while nothing was ever pending
    EPOCHS    epoch          (first height, id of the proposal, its validators with their keys)

All of it says how things stand for the next height. `process_epoch_end` is called once at the end
of each block: it carries out the pending change whose height comes next, all of it or nothing, in
the same write as the block. Whatever alters the root that headers commit to is written through
"~epoch", so a block that leaves this entry alone has its parent's `members_root`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ledger.chain.epochs import EpochSet, PendingSet, Validators
from ledger.chain.header import Header
from ledger.errors import Code, LocalError
from ledger.membership.changes import Outcome, Standing, compute_outcome, read_change
from ledger.membership.limits import CHANGE_WINDOW, CHANGE_WINDOW_SETTING
from ledger.membership.members import VALIDATORS_KEY, Member, get_members, get_validators
from ledger.membership.proposals import (
    Act,
    ProposalState,
    get_open_proposals,
    get_proposal,
    put_proposal,
)
from ledger.membership.settings import get_chain_id, get_setting
from ledger.state.overlay import Overlay
from ledger.state.tables import EPOCHS, MEMBERS, SETTINGS
from ledger.transactions.fields import Fields

EPOCH_KEY = b"~epoch"


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A decided change: the height from which it is in force, its proposal, who votes then."""

    active_from: int
    proposal: bytes
    validators: Validators


@dataclass(frozen=True, slots=True)
class EpochEntry:
    """The epoch of the next height, and the pending change."""

    epoch: int = 0
    pending: PendingChange | None = None


@dataclass(frozen=True, slots=True)
class EpochStart:
    """How an epoch began: its first height, the proposal that made it, who votes in it."""

    epoch: int
    first_height: int
    proposal: bytes
    validators: Validators


def get_epoch_entry(state: Overlay) -> EpochEntry:
    """Return the epoch and what is pending."""
    value = state.get(SETTINGS, EPOCH_KEY)
    if value is None:
        return EpochEntry()
    epoch, pending = value
    return EpochEntry(epoch, None if pending is None else PendingChange(*pending))


def put_pending(state: Overlay, pending: PendingChange) -> None:
    """Keep a decided change until its height comes."""
    _put_entry(state, get_epoch_entry(state).epoch, pending)


def _put_entry(state: Overlay, epoch: int, pending: PendingChange | None) -> None:
    value: Any = None
    if pending is not None:
        value = (pending.active_from, pending.proposal, pending.validators)
    state.put(SETTINGS, EPOCH_KEY, (epoch, value))


def get_epoch_set(state: Overlay) -> EpochSet:
    """Return what a header commits to that has this state: the set of the height after it."""
    entry = get_epoch_entry(state)
    pending: PendingSet | None = None
    if entry.pending is not None:
        pending = (entry.pending.active_from, entry.pending.validators)
    return EpochSet(entry.epoch, get_validators(state), pending)


def get_epoch_start(state: Overlay, epoch: int) -> EpochStart | None:
    """Return how an epoch from 1 on began, or None if it has not begun."""
    value = state.get(EPOCHS, epoch.to_bytes(8, "big"))
    return None if value is None else EpochStart(epoch, *value)


def get_change_window(state: Overlay) -> int:
    """Return L: how many heights after its block a change of the validators is not yet active."""
    window = get_setting(state, CHANGE_WINDOW_SETTING, CHANGE_WINDOW)
    if type(window) is not int:
        raise LocalError(Code.INTERNAL, f"setting {CHANGE_WINDOW_SETTING} is no number")
    return window


def get_standing(state: Overlay) -> Standing:
    """Return the members and validators as they stand, for a change to be judged against."""
    members = {member.id: member for member in get_members(state)}
    return Standing(get_chain_id(state), members, tuple(state.get(SETTINGS, VALIDATORS_KEY)))


def apply_outcome(state: Overlay, outcome: Outcome, time_ms: int) -> None:
    """Write what a change makes: the member's entry, and who votes."""
    before = tuple(state.get(SETTINGS, VALIDATORS_KEY))
    after = tuple(name for name, _ in outcome.validators)
    state.put(MEMBERS, outcome.member.id.encode(), outcome.member.to_value())
    if after != before:
        state.put(SETTINGS, VALIDATORS_KEY, after)
    if outcome.member.is_removed:
        _forget_approvals(state, outcome.member, time_ms)


def _forget_approvals(state: Overlay, member: Member, time_ms: int) -> None:
    """Take the votes of a removed member back: if it comes again it must say so again."""
    for proposal in get_open_proposals(state, time_ms):
        if member.id in proposal.approvals:
            left = tuple(name for name in proposal.approvals if name != member.id)
            put_proposal(state, proposal.after(Act.APPROVE, ProposalState.OPEN, approvals=left))


def process_epoch_end(state: Overlay, height: int, time_ms: int) -> None:
    """Close block `height`: carry out the pending change that is active from the next height.

    Called inside an open overlay transaction. That the change still fits is so by construction:
    what it touches may not be changed while it is pending. If not, the node stops here.
    """
    entry = get_epoch_entry(state)
    pending = entry.pending
    if pending is None or pending.active_from != height + 1:
        return
    proposal = get_proposal(state, pending.proposal)
    outcome = compute_outcome(get_standing(state), read_change(Fields(proposal.change)))
    if outcome.validators != pending.validators:
        raise LocalError(Code.INTERNAL, f"proposal {proposal.number} gives other validators now")
    apply_outcome(state, outcome, time_ms)
    epoch = entry.epoch + 1
    _put_entry(state, epoch, None)
    start = (height + 1, proposal.id, pending.validators)
    state.put(EPOCHS, epoch.to_bytes(8, "big"), start)
    put_proposal(state, proposal.after(Act.ACTIVATE, ProposalState.ACTIVE))


@dataclass(slots=True)
class EpochCache:
    """The last set of members that was asked for, by the root that commits to it (rule 53)."""

    _root: bytes = b""
    _set: EpochSet | None = None

    def get(self, state: Overlay, root: bytes) -> EpochSet:
        """Return the set that `state` holds, whose root this is."""
        if self._set is None or root != self._root:
            self._root, self._set = root, get_epoch_set(state)
        return self._set


def compute_header_epoch(state: Overlay, parent: Header) -> tuple[int, bytes]:
    """Return epoch and `members_root` for the header of the block after `parent`.

    `state` is that of the block's end, over the state of its parent: the epoch of a block is what
    its parent's state says, the root what its own says.
    """
    before = get_epoch_entry(Overlay(state.base))
    if before == get_epoch_entry(state):
        return before.epoch, parent.members_root
    return before.epoch, get_epoch_set(state).root()
