"""STATUS: saying what one holds, so that peers send again what was lost (rule 28, F13, F20).

Every second, and when a link comes up, a replica tells where it is and whose votes it holds. A
peer answers with its own votes that are missing there, as long as their heights are not stable;
with NEW-VIEW or its VIEW-CHANGE when the sender's view is behind; and with a certificate when the
sender's checkpoint is: blocks are then fetched by the sender itself. Nothing in a STATUS is
counted, so a lie in it costs the liar some traffic and nobody else anything. An observer says by
STATUS that it follows: it gets certificates only, and those of new stable heights unasked.
"""

from __future__ import annotations

from consensus.checkpoint import Checkpoints
from consensus.log import MessageLog, Slot
from consensus.messages import SlotStatus, StableCertificate, Status
from consensus.quorum import bitmap, is_in_bitmap
from consensus.state import Phase, State
from consensus.view_change import ViewChanges

# A peer that asks more often is not answered: an answer may be much larger than a STATUS (F69).
ANSWERS_PER_PERIOD = 8
OBSERVERS_MAX = 256


class StatusExchange:
    """Makes and answers STATUS for one replica."""

    def __init__(
        self,
        state: State,
        log: MessageLog,
        checkpoints: Checkpoints,
        view_changes: ViewChanges,
    ) -> None:
        self._state = state
        self._log = log
        self._checkpoints = checkpoints
        self._view_changes = view_changes
        self._answered_ns: dict[int, int] = {}
        self._observers: dict[int, None] = {}
        self._shown_height = 0
        self._shown_ns = 0

    def build(self) -> Status:
        """Return the STATUS of this replica."""
        state, size = self._state, self._state.config.size
        slots = tuple(
            SlotStatus(
                height,
                slot.pre_prepare is not None,
                bitmap(slot.prepares, size),
                bitmap(slot.commits, size),
            )
            for height, slot in sorted(self._log.slots.items())
            if height > state.stable_height
        )
        checkpoints = tuple(
            (height, bitmap(votes, size))
            for height, votes in sorted(self._checkpoints.votes.items())
            if height > state.stable_height
        )
        changes = (
            signer
            for signer, (change, _) in self._view_changes.by_signer.items()
            if change.view >= state.view
        )
        return Status(
            state.config.epoch,
            state.view,
            state.is_normal,
            state.stable_height,
            state.executed_height,
            slots,
            checkpoints,
            bitmap(changes, size),
            self._checkpoints.get_uncertified(),
        )

    def on_status(self, sender: int, message: Status) -> None:
        """Send `sender` what it lacks and this replica has, some times a second at most."""
        now_ns = self._state.now.monotonic_ns
        pause_ns = self._state.config.timers.status_ns // ANSWERS_PER_PERIOD
        if sender in self._answered_ns and now_ns - self._answered_ns[sender] < pause_ns:
            self._state.drop(sender, message, "status was answered a moment ago")
            return
        self._answered_ns[sender] = now_ns
        self._answer_certificates(sender, message)
        if sender >= self._state.config.size:
            self.add_observer(sender)
            return
        self._answer_checkpoints(sender, message)
        if message.view < self._state.view:
            self._answer_old_view(sender)
        elif message.view == self._state.view:
            self._answer_same_view(sender, message)

    def _answer_certificates(self, sender: int, message: Status) -> None:
        state, checkpoints = self._state, self._checkpoints
        if message.stable_height < state.stable_height:
            self._send_stable(sender)
        for height in message.uncertified[: state.config.limits.window]:
            certificate = checkpoints.certificates.get(height)
            if certificate is None or certificate.epoch != state.config.epoch:
                continue
            if height != state.stable_height:
                state.send(sender, StableCertificate(state.config.epoch, certificate))

    def _send_stable(self, to: int) -> None:
        """Show the highest certificate, unless the epoch before this one made it."""
        state, certificate = self._state, self._state.certificate
        if certificate is not None and certificate.epoch == state.config.epoch:
            state.send(to, StableCertificate(state.config.epoch, certificate))

    def _answer_checkpoints(self, sender: int, message: Status) -> None:
        state, checkpoints = self._state, self._checkpoints
        held = dict(message.checkpoints)
        for height in sorted(checkpoints.votes):
            own = checkpoints.votes[height].get(state.index)
            if own is None or height <= message.stable_height:
                continue
            if not is_in_bitmap(held.get(height, b""), state.index):
                state.send(sender, own)

    # Observers: peers from `size` upward

    def add_observer(self, peer: int) -> None:
        """Show `peer`, which follows without a vote, what becomes stable; the last few are kept."""
        self._observers.pop(peer, None)
        self._observers[peer] = None
        if len(self._observers) > OBSERVERS_MAX:
            del self._observers[next(iter(self._observers))]

    def show_observers(self) -> None:
        """Show observers a new stable height: W members by turns, some times a second at most."""
        state, height = self._state, self._state.stable_height
        if height <= self._shown_height:
            return
        config, now_ns = state.config, state.now.monotonic_ns
        if now_ns - self._shown_ns < config.timers.status_ns // ANSWERS_PER_PERIOD:
            return
        self._shown_height, self._shown_ns = height, now_ns
        if (height + state.index) % config.size < config.weak_quorum:
            for peer in self._observers:
                self._send_stable(peer)

    def _answer_old_view(self, sender: int) -> None:
        """Show the way to the current view: its NEW-VIEW, or the own VIEW-CHANGE for it."""
        state, changes = self._state, self._view_changes
        if state.is_normal and changes.entered is not None:
            state.send(sender, changes.entered)
        elif state.phase is Phase.VIEW_CHANGE and state.index in changes.by_signer:
            state.send(sender, changes.by_signer[state.index][0])

    def _answer_same_view(self, sender: int, message: Status) -> None:
        state = self._state
        if state.is_normal and message.is_normal:
            known = {slot.height: slot for slot in message.slots}
            for height, slot in sorted(self._log.slots.items()):
                if height > message.stable_height:
                    self._answer_slot(sender, slot, known.get(height))
            return
        lacks_change = not is_in_bitmap(message.view_changes, state.index)
        if state.is_normal or (not message.is_normal and lacks_change):
            self._answer_old_view(sender)

    def _answer_slot(self, sender: int, slot: Slot, known: SlotStatus | None) -> None:
        """Send the own votes on one height that `known` does not show."""
        state, index = self._state, self._state.index
        own = slot.pre_prepare
        is_known = known is not None and known.has_pre_prepare
        if own is not None and own.signer == index and slot.is_accepted and not is_known:
            state.send(sender, own)
        prepare, commit = slot.prepares.get(index), slot.commits.get(index)
        if prepare is not None and not is_in_bitmap(known.prepares if known else b"", index):
            state.send(sender, prepare)
        if commit is not None and not is_in_bitmap(known.commits if known else b"", index):
            state.send(sender, commit)
