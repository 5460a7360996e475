"""The view change (OSDI 1999, section 4.4; rules 22 to 35).

A replica that suspects its primary leaves the normal case, makes its VIEW-CHANGE durable and sends
it. f members or fewer never move another: only W VIEW-CHANGEs above the own view do (rule 26). The
new-view timer starts when Q members are on their way to this view or beyond: those are enough to
bring it about, and if the timer runs out the next view is due; it doubles with each failed view
(rule 27). STATUS exchange sends VIEW-CHANGE and NEW-VIEW again until they are superseded (rule 28).

A NEW-VIEW names Q VIEW-CHANGEs by signer and hash. One is kept per primary while named ones are
missing and fetched; so a member can only block its own. When V is whole the replica computes O
itself (`consensus.new_view`): if it agrees it enters, else it goes on to the next view (rule 32).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.effects import CancelTimer, Persist, ReportNewView, ReportViewChange, SetTimer
from consensus.events import Timer
from consensus.log import MessageLog, NewViewRecord, ViewChangeRecord
from consensus.messages import (
    PRE_PREPARE_KIND,
    NewView,
    Proposal,
    ViewChange,
    ViewChangeRequest,
    new_view_input,
    view_change_hash,
    view_change_input,
    vote_input,
)
from consensus.new_view import Opening, ProofConflictError, compute_opening
from consensus.state import Phase, State
from ledger.errors import Code
from ledger.keys import SIGNATURE_BYTES

_UNSIGNED = bytes(SIGNATURE_BYTES)


@dataclass(slots=True)
class PendingNewView:
    """A NEW-VIEW whose V is not whole yet: `found` by signer, `missing` hashes by signer."""

    message: NewView
    found: dict[int, ViewChange] = field(default_factory=dict)
    missing: dict[int, bytes] = field(default_factory=dict)


class ViewChanges:
    """VIEW-CHANGE and NEW-VIEW of one replica.

    `by_signer` holds the VIEW-CHANGE of the highest view of each member, the own one included,
    with its hash. `entered` is the NEW-VIEW of the current view, with `entered_changes`, its V.
    """

    def __init__(self, state: State, log: MessageLog) -> None:
        self._state = state
        self._log = log
        self.by_signer: dict[int, tuple[ViewChange, bytes]] = {}
        self.entered: NewView | None = None
        self.entered_changes: tuple[ViewChange, ...] = ()
        self._pending: dict[int, PendingNewView] = {}
        self._timed_view = 0
        self._opened: tuple[NewView, Opening] | None = None

    # Leaving a view

    def start(self, view: int, cause: str) -> None:
        """Leave for `view`: durable first, then sent (rules 23, 24, 43)."""
        state = self._state
        state.view = view
        state.phase = Phase.VIEW_CHANGE
        state.suspicion = None
        state.failed_views += 1
        state.emit(ReportViewChange(view, cause))
        state.emit(CancelTimer(Timer.REQUEST))
        state.emit(CancelTimer(Timer.NEW_VIEW))
        self._log.start_view()
        change = self._build()
        state.emit(Persist(ViewChangeRecord(change), ()))
        state.broadcast(change)
        self.by_signer[state.index] = (change, view_change_hash(change))
        self._after_change()

    def _build(self) -> ViewChange:
        state, config = self._state, self._state.config
        prepared = tuple(
            self._log.proofs[height]
            for height in sorted(self._log.proofs)
            if height > state.stable_height
        )
        certificate, height = state.certificate, state.stable_height
        unsigned = ViewChange(
            config.epoch, state.view, height, certificate, prepared, config.index, _UNSIGNED
        )
        signature = state.sign(view_change_input(config.chain_id, unsigned))
        return ViewChange(
            config.epoch, state.view, height, certificate, prepared, config.index, signature
        )

    def on_view_change(self, sender: int, message: ViewChange) -> None:
        """Keep a valid VIEW-CHANGE, move with W others, open the view as its primary."""
        digest = view_change_hash(message)
        is_wanted = self._complete_pending(message, digest)
        reason = self.ignore_view_change(message, digest)
        if reason is not None:
            if not is_wanted:
                self._state.drop(sender, message, reason)
            return
        self.by_signer[message.signer] = (message, digest)
        self._after_change()

    def ignore_view_change(self, message: ViewChange, digest: bytes) -> str | None:
        """Return why a VIEW-CHANGE is dropped, or None; its proofs are verified (rule 25)."""
        state = self._state
        if message.signer == state.index:
            return "view change is our own"
        if message.view < state.view or (message.view == state.view and state.is_normal):
            return "view is past"
        known = self.by_signer.get(message.signer)
        if known is None or known[0].view < message.view:
            return None
        if known[0].view == message.view and known[1] != digest:
            state.report_conflict(message.signer, known[0], message)
            return "contradicts an earlier view change of its signer"
        return "view change is known, or superseded"

    def _after_change(self) -> None:
        """Act on the VIEW-CHANGEs held: join, run the timer, open the view (rules 26, 27, 29)."""
        state, config = self._state, self._state.config
        above = sorted(
            change.view
            for signer, (change, _) in self.by_signer.items()
            if signer != state.index and change.view > state.view
        )
        if len(above) >= config.weak_quorum:
            self.start(above[0], "weak quorum of view changes")
            return
        if state.phase is not Phase.VIEW_CHANGE:
            return
        on_their_way = sum(c.view >= state.view for c, _ in self.by_signer.values())
        if on_their_way >= config.quorum and self._timed_view < state.view:
            self._timed_view = state.view
            state.emit(SetTimer(Timer.NEW_VIEW, state.timeout_ns))
        if state.primary == config.index:
            self._open()

    def on_new_view_timer(self) -> None:
        """Go on to the next view: this one did not begin in time (rule 27)."""
        if self._state.phase is Phase.VIEW_CHANGE:
            self.start(self._state.view + 1, "new-view timeout")

    # Opening a view (its primary)

    def _open(self) -> None:
        """Send NEW-VIEW as soon as Q VIEW-CHANGEs for exactly this view are here."""
        state, config = self._state, self._state.config
        named = {
            signer: (change, digest)
            for signer, (change, digest) in sorted(self.by_signer.items())
            if change.view == state.view
        }
        if len(named) < config.quorum:
            return
        chosen = [(change, digest) for change, digest in named.values()][: config.quorum]
        changes = tuple(change for change, _ in chosen)
        opening = self._compute(changes)
        if opening is None:
            return
        proposals = tuple(
            Proposal(height, digest, self._sign_proposal(height, digest))
            for height, digest in opening.digests
        )
        names = tuple((change.signer, digest) for change, digest in chosen)
        unsigned = NewView(config.epoch, state.view, names, proposals, config.index, _UNSIGNED)
        signature = state.sign(new_view_input(config.chain_id, unsigned))
        message = NewView(config.epoch, state.view, names, proposals, config.index, signature)
        self._enter(message, changes, opening)

    def _compute(self, changes: tuple[ViewChange, ...]) -> Opening | None:
        try:
            return compute_opening(changes, self._state.config.chain_id)
        except ProofConflictError as conflict:
            self._state.halt(Code.CONSENSUS_TOO_MANY_FAULTS, str(conflict))
            return None

    def _sign_proposal(self, height: int, digest: bytes) -> bytes:
        state, config = self._state, self._state.config
        signed = vote_input(
            config.chain_id,
            PRE_PREPARE_KIND,
            config.epoch,
            state.view,
            height,
            digest,
            config.index,
        )
        return state.sign(signed)

    # Entering a view

    def on_new_view(self, sender: int, message: NewView) -> None:
        """Look for the VIEW-CHANGEs that a NEW-VIEW names; fetch the missing (rule 29)."""
        reason = self.ignore_new_view(message)
        if reason is not None:
            self._state.drop(sender, message, reason)
            return
        pending = PendingNewView(message)
        for signer, digest in message.view_changes:
            known = self.by_signer.get(signer)
            if known is not None and known[1] == digest:
                pending.found[signer] = known[0]
            else:
                pending.missing[signer] = digest
        self._pending[message.signer] = pending
        if pending.missing:
            self._request(pending, (sender, message.signer))
        else:
            self._process_whole(pending)

    def ignore_new_view(self, message: NewView) -> str | None:
        """Return why a NEW-VIEW is dropped, or None (rule 44: never below the own VIEW-CHANGE)."""
        state = self._state
        if message.signer == state.index:
            return "new view is our own"
        if message.view < state.view:
            return "view is past"
        if message.view == state.view and state.is_normal:
            chain_id, entered = state.config.chain_id, self.entered
            if entered is not None and _differ(entered, message, chain_id):
                state.report_conflict(message.signer, entered, message)
            return "view is entered already"
        pending = self._pending.get(message.signer)
        if pending is not None and pending.message == message:
            return "new view is known and waits for view changes"
        if pending is not None and pending.message.view > message.view:
            return "new view is superseded"
        return None

    def _request(self, pending: PendingNewView, members: tuple[int, ...]) -> None:
        state = self._state
        wanted = tuple(sorted(pending.missing.items()))
        request = ViewChangeRequest(state.config.epoch, pending.message.view, wanted)
        for member in sorted(set(members)):
            state.send(member, request)

    def ask_again(self) -> None:
        """Ask all for what is missing of the NEW-VIEWs in hand (rule 28)."""
        for signer in sorted(self._pending):
            self._request(self._pending[signer], self._state.others)

    def on_view_change_request(self, sender: int, message: ViewChangeRequest) -> None:
        """Answer with the named VIEW-CHANGEs that are here."""
        held = {digest: change for change, digest in self.by_signer.values()}
        if self.entered is not None and self.entered.view == message.view:
            names = (digest for _, digest in self.entered.view_changes)
            held.update(zip(names, self.entered_changes, strict=True))
        for _, digest in message.wanted:
            if digest in held:
                self._state.send(sender, held[digest])

    def _complete_pending(self, message: ViewChange, digest: bytes) -> bool:
        """Give a VIEW-CHANGE to the NEW-VIEWs that wait for it; tell whether one did."""
        is_wanted = False
        for signer in sorted(self._pending):
            pending = self._pending.get(signer)
            if pending is None or pending.missing.get(message.signer) != digest:
                continue
            is_wanted = True
            del pending.missing[message.signer]
            pending.found[message.signer] = message
            if not pending.missing:
                self._process_whole(pending)
        return is_wanted

    def _process_whole(self, pending: PendingNewView) -> None:
        """Enter the view if its O is what V makes it, else go on to the next (rules 30, 32)."""
        message, state = pending.message, self._state
        self._pending.pop(message.signer, None)
        if self.ignore_new_view(message) is not None:
            return
        changes = tuple(pending.found[signer] for signer, _ in message.view_changes)
        if any(change.view != message.view for change in changes):
            state.drop(message.signer, message, "new view names view changes for another view")
            return
        opening = self._compute(changes)
        if opening is None:
            return
        proposed = tuple((item.height, item.digest) for item in message.proposals)
        if proposed != opening.digests:
            self.start(message.view + 1, "new view with a wrong set of proposals")
        else:
            self._enter(message, changes, opening)

    def _enter(self, message: NewView, changes: tuple[ViewChange, ...], opening: Opening) -> None:
        """Enter a view: durable first; `Replica` then begins the normal case (rules 33, 43)."""
        state = self._state
        state.emit(Persist(NewViewRecord(message, changes), ()))
        if message.signer == state.index:
            state.broadcast(message)
        state.view = message.view
        state.phase = Phase.NORMAL
        state.suspicion = None
        state.progress_ns = state.now.monotonic_ns
        state.emit(CancelTimer(Timer.NEW_VIEW))
        state.emit(ReportNewView(message.view, message.signer))
        self.resume(message, changes)
        self._opened = (message, opening)

    def resume(self, message: NewView, changes: tuple[ViewChange, ...]) -> None:
        """Hold `message` as the NEW-VIEW of the current view; forget what it supersedes."""
        self.entered, self.entered_changes = message, changes
        for signer in [s for s, (c, _) in self.by_signer.items() if c.view <= message.view]:
            del self.by_signer[signer]
        for signer in [s for s, p in self._pending.items() if p.message.view <= message.view]:
            del self._pending[signer]

    def pop_opened(self) -> tuple[NewView, Opening] | None:
        """Return the view that was entered in this event, once."""
        opened, self._opened = self._opened, None
        return opened


def _differ(first: NewView, second: NewView, chain_id: bytes) -> bool:
    """Tell whether two NEW-VIEWs say different things; one thing signed twice is no lie."""
    return new_view_input(chain_id, first) != new_view_input(chain_id, second)
