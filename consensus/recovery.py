"""Rebuilding a replica from its vote records after a restart (rule 44).

The records are read once, in order. Batches and prepared certificates of every view come back,
because a later VIEW-CHANGE must show them. The view is that of the last NEW-VIEW entered, unless a
VIEW-CHANGE for a higher one was sent after it. In the view that is current, proposals accepted are
accepted again and their votes signed again, the same bytes; entries of O that were not accepted
yet wait for their bodies as they did before. Records of earlier epochs bind nobody any more; one
of a later epoch would mean that the chain was set back, and the home is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.log import (
    AcceptedRecord,
    MessageLog,
    NewViewRecord,
    PreparedRecord,
    ViewChangeRecord,
    VoteRecord,
)
from consensus.messages import view_change_hash
from consensus.normal_case import NormalCase
from consensus.state import Phase, State
from consensus.view_change import ViewChanges
from consensus.votes import Votes
from ledger.errors import Code, LocalError


def recover(
    records: Iterable[VoteRecord],
    state: State,
    log: MessageLog,
    normal: NormalCase,
    votes: Votes,
    view_changes: ViewChanges,
) -> None:
    """Bring a new replica back to where `records` end; raise `LocalError` (4004) on others'."""
    kept = [record for record in records if _check_own(record, state)]
    _recover_view(kept, state, view_changes)
    for record in kept:
        if isinstance(record, AcceptedRecord):
            if record.pre_prepare.height > state.stable_height:
                log.add_batch(record.pre_prepare.batch, record.pre_prepare.digest)
        elif isinstance(record, PreparedRecord) and record.proof.height > state.stable_height:
            log.add_proof(record.proof)
    if state.phase is Phase.NORMAL:
        _recover_slots(kept, state, normal, votes, view_changes)


def _check_own(record: VoteRecord, state: State) -> bool:
    """Tell whether a record is of this epoch; refuse one of a later epoch, or of another member."""
    epoch, want = _epoch_of(record), state.config.epoch
    if epoch > want:
        raise LocalError(
            Code.CONSENSUS_MISUSE,
            f"vote record is of epoch {epoch}, want at most {want}: "
            "the chain of this home is older than its votes (rule 44)",
        )
    if epoch == want and isinstance(record, ViewChangeRecord):
        signer = record.view_change.signer
        if signer != state.index:
            raise LocalError(
                Code.CONSENSUS_MISUSE, f"vote record is of member {signer}, want {state.index}"
            )
    return epoch == want


def _epoch_of(record: VoteRecord) -> int:
    if isinstance(record, AcceptedRecord):
        return record.pre_prepare.epoch
    if isinstance(record, PreparedRecord):
        return record.epoch
    if isinstance(record, NewViewRecord):
        return record.new_view.epoch
    return record.view_change.epoch


def _recover_view(kept: list[VoteRecord], state: State, view_changes: ViewChanges) -> None:
    for record in kept:
        if isinstance(record, NewViewRecord):
            state.view = record.new_view.view
            state.phase = Phase.NORMAL
            view_changes.resume(record.new_view, record.view_changes)
        elif isinstance(record, ViewChangeRecord):
            change = record.view_change
            state.view = change.view
            state.phase = Phase.VIEW_CHANGE
            view_changes.by_signer[state.index] = (change, view_change_hash(change))


def _recover_slots(
    kept: list[VoteRecord],
    state: State,
    normal: NormalCase,
    votes: Votes,
    view_changes: ViewChanges,
) -> None:
    """Give the slots of the current view back their proposals and own votes."""
    next_height = 0
    if view_changes.entered is not None:
        for proposal in view_changes.entered.proposals:
            next_height = proposal.height + 1
            if proposal.height > state.stable_height:
                normal.log_proposal(proposal)
    for record in kept:
        if isinstance(record, AcceptedRecord) and record.pre_prepare.view == state.view:
            next_height = max(next_height, record.pre_prepare.height + 1)
            normal.restore_accepted(record.pre_prepare)
        elif isinstance(record, PreparedRecord) and record.proof.view == state.view:
            votes.restore_prepared(record.proof)
    normal.next_height = next_height
