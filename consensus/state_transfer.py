"""Catching up: a replica that is behind a stable height fetches blocks (rules 28, 41, 42).

It is behind when a certificate is known for a height that it has not executed. Mostly it is only
slower than the others, and its own log brings it there; so it fetches when a window lies between,
or when a short time has passed and the next height is still not committed-local here. Who has left
the normal case takes no votes, so nothing but blocks brings it there: it fetches at once, as each
certificate comes, and its clients have their receipts though it votes in no view (ADR 0011).

While a fetch runs nothing else is executed, so blocks come from one place at a time. Sources are
the signers of the certificate: the first one stays the first as long as it gives what is asked,
and the next takes its place when it does not. A fetch that brings nothing is asked again after a
while, each time with twice the patience: a network may be slower than T, and a fetch that is
replaced before it can be answered would never end.

Who is further behind than `far_blocks` fetches a snapshot instead, and the blocks from there on
afterwards; and since nobody may hold the blocks any more, or offer a snapshot yet, each of the two
is tried when the other has failed. With a snapshot the chain of this node ends elsewhere, so the
replica is over as at the end of an epoch, and the next one begins as after a restart: from the
chain, and from the vote log, which a snapshot does not touch (rule 44).
"""

from __future__ import annotations

from consensus.effects import EnterEpoch, FetchBlocks, FetchState, SetTimer
from consensus.events import FetchFailed, StateInstalled, Timer
from consensus.log import MessageLog
from consensus.state import DOUBLINGS_MAX, Phase, State

# Parts of T: how long the own log is waited for, and how long a fetch may bring nothing.
PATIENCE_DIVISOR = 4


class CatchUp:
    """Decides when to fetch blocks or a snapshot, and from whom."""

    def __init__(self, state: State, log: MessageLog) -> None:
        self._state = state
        self._log = log
        self._attempt = 0
        self._is_timer_set = False
        self._seen_height = 0
        self._fetched_at: int | None = None  # executed height at the last fetch
        self._stalled = 0
        self._is_by_state = False
        self._has_failed = False

    def advance(self) -> None:
        """See after each event whether blocks have to be fetched."""
        state = self._state
        if state.fetch_target and state.executed_height >= state.fetch_target:
            state.fetch_target = 0
        if not state.is_behind or state.fetch_target or state.is_executing:
            return
        if self._can_execute() or (self._is_by_state and self._is_timer_set):
            return
        if self._is_log_no_help and self._may_fetch_at_once:
            self._fetch()
        elif not self._is_timer_set:
            self._set_timer()

    @property
    def _is_log_no_help(self) -> bool:
        """Tell whether only blocks bring this replica on, so that waiting for votes is in vain."""
        state = self._state
        gap = state.stable_height - state.executed_height
        return gap >= state.config.limits.window or state.phase is Phase.VIEW_CHANGE

    @property
    def _may_fetch_at_once(self) -> bool:
        """Tell whether the last fetch brought something, or the other way is due.

        Else the timer is waited for: where nobody has what is wanted, asking would never end.
        """
        is_other_way_due = self._has_failed and not self._is_by_state
        is_other_way_due = is_other_way_due and self._state.config.far_blocks > 0
        return is_other_way_due or self._state.executed_height != self._fetched_at

    def _can_execute(self) -> bool:
        height = self._state.executed_height + 1
        digest = self._log.committed.get(height)
        return digest is not None and self._log.get_batch(height, digest) is not None

    def _note_progress(self) -> None:
        height = self._state.executed_height
        if height > self._seen_height:
            self._stalled, self._has_failed = 0, False
        self._seen_height = height

    def _set_timer(self) -> None:
        timers = self._state.config.timers
        self._note_progress()
        self._is_timer_set = True
        patience_ns = timers.request_ns // PATIENCE_DIVISOR << min(self._stalled, DOUBLINGS_MAX)
        self._state.emit(SetTimer(Timer.CATCH_UP, min(patience_ns, timers.request_max_ns)))

    def _fetch(self) -> None:
        state, certificate = self._state, self._state.certificate
        if certificate is None:
            return
        signers = [signer for signer, _ in certificate.votes if signer != state.index]
        if certificate.epoch != state.config.epoch:
            signers = list(state.others)  # its signers have other numbers in this epoch, or none
        first = self._attempt % len(signers)
        self._note_progress()
        self._stalled += 1
        self._fetched_at = state.executed_height
        state.fetch_target = certificate.height
        sources = tuple(signers[first:] + signers[:first])
        self._is_by_state = self._choose_state(certificate.height)
        if self._is_by_state:
            state.emit(FetchState(state.executed_height, certificate, sources))
            return
        state.emit(FetchBlocks(state.executed_height + 1, certificate, sources))
        self._set_timer()

    def _choose_state(self, target: int) -> bool:
        """Return whether a snapshot is fetched: by the distance, or since blocks were not had."""
        state, far = self._state, self._state.config.far_blocks
        if far == 0:
            return False
        if self._has_failed:
            return not self._is_by_state
        return target - state.executed_height > far

    def on_timer(self) -> None:
        """Fetch now, or again from another source, if nothing has been executed since."""
        state = self._state
        self._is_timer_set = False
        if not state.is_behind or state.is_executing or self._is_fetching_state:
            return
        if state.executed_height > self._seen_height:
            self._set_timer()
        else:
            self._attempt += state.fetch_target > 0
            self._fetch()

    @property
    def _is_fetching_state(self) -> bool:
        """Tell whether a `FetchState` runs; it is always answered, so no timer watches it."""
        return self._is_by_state and self._state.fetch_target > 0

    def on_fetch_failed(self, event: FetchFailed) -> None:
        """Let the timer try again, the other way: no source had what was asked for."""
        if self._state.fetch_target == event.to_height:
            self._state.fetch_target = 0
            self._attempt += 1
            self._has_failed = True
            if self._is_by_state and not self._is_timer_set:
                self._set_timer()

    def on_state_installed(self, event: StateInstalled) -> None:
        """End here: the next replica begins where the installed state does."""
        state, epochs = self._state, event.epochs
        state.emit(EnterEpoch(epochs.epoch, epochs.members, event.certificate))
        state.phase = Phase.OVER
