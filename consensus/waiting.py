"""What the next height waits for, in the words of the protocol: for the operator, never acted on.

"Why is it stuck?" has one answer at a time: the step that the next height has not taken, and the
members whose votes for it are not here.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.checkpoint import Checkpoints
from consensus.log import MessageLog, Slot
from consensus.state import Phase, State
from consensus.view_change import ViewChanges


@dataclass(frozen=True, slots=True)
class Waiting:
    """The step that is not taken, the height it is about, and the members not heard from.

    `step` is one of: requests (nothing to order), pre-prepare, bodies, prepare, commit, execution,
    checkpoint, view-change, new-view, blocks (catching up), nothing (halted, or the epoch is over).
    """

    step: str
    height: int
    members: tuple[int, ...]


def compute_waiting(
    state: State,
    log: MessageLog,
    checkpoints: Checkpoints,
    view_changes: ViewChanges,
    *,
    has_requests: bool,
) -> Waiting:
    """Return what the replica waits for now."""
    height = state.executed_height + 1
    everyone = range(state.config.size)
    if state.is_stopped:
        return Waiting("nothing", height, ())
    if state.fetch_target or state.is_behind:
        return Waiting("blocks", height, ())
    if state.phase is Phase.VIEW_CHANGE:
        heard = {signer for signer, (change, _) in view_changes.by_signer.items()}
        if len(heard) < state.config.quorum:
            return Waiting("view-change", height, tuple(i for i in everyone if i not in heard))
        return Waiting("new-view", height, (state.primary,))
    if state.is_executing:
        return Waiting("execution", height, ())
    slot = log.slots.get(height)
    if slot is not None and slot.digest is not None:
        return _waiting_for_votes(slot, state)
    if state.stable_height < state.executed_height:
        votes = checkpoints.votes.get(state.executed_height, {})
        missing = tuple(i for i in everyone if i not in votes)
        return Waiting("checkpoint", state.executed_height, missing)
    if has_requests:
        return Waiting("pre-prepare", height, (state.primary,))
    return Waiting("requests", height, ())


def _waiting_for_votes(slot: Slot, state: State) -> Waiting:
    everyone = range(state.config.size)
    if not slot.is_accepted:
        return Waiting("bodies", slot.height, (state.primary,))
    if not slot.is_prepared:
        heard = {*slot.prepares, state.primary}
        return Waiting("prepare", slot.height, tuple(i for i in everyone if i not in heard))
    return Waiting("commit", slot.height, tuple(i for i in everyone if i not in slot.commits))
