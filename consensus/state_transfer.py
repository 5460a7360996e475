"""Catching up: a replica that is behind a stable height fetches blocks (rules 28, 41, 42).

It is behind when a certificate is known for a height that it has not executed. Mostly it is only
slower than the others, and its own log brings it there; so it fetches when a window lies between,
or when a short time has passed and the next height is still not committed-local here. While a
fetch runs nothing else is executed, so blocks come from one place at a time. Sources are the
signers of the certificate, a different one first at each attempt; a fetch that stalls is asked
again, each time with twice the patience: a network may be slower than T, and a fetch that is
replaced before it can be answered would never end. Snapshots for a replica that is too far behind
are not built yet: blocks are always kept.
"""

from __future__ import annotations

from consensus.effects import FetchBlocks, SetTimer
from consensus.events import Timer
from consensus.log import MessageLog
from consensus.state import DOUBLINGS_MAX, State

# Parts of T: how long the own log is waited for, and how long a fetch may bring nothing.
PATIENCE_DIVISOR = 4


class CatchUp:
    """Decides when to fetch blocks, and from whom."""

    def __init__(self, state: State, log: MessageLog) -> None:
        self._state = state
        self._log = log
        self._attempt = 0
        self._is_timer_set = False
        self._seen_height = 0
        self._stalled = 0

    def advance(self) -> None:
        """See after each event whether blocks have to be fetched."""
        state = self._state
        if state.fetch_target and state.executed_height >= state.fetch_target:
            state.fetch_target = 0
        if not state.is_behind or state.fetch_target or state.is_executing:
            return
        if self._can_execute():
            return
        if state.stable_height - state.executed_height >= state.config.limits.window:
            self._fetch()
        elif not self._is_timer_set:
            self._set_timer()

    def _can_execute(self) -> bool:
        height = self._state.executed_height + 1
        digest = self._log.committed.get(height)
        return digest is not None and self._log.get_batch(height, digest) is not None

    def _set_timer(self) -> None:
        timers, height = self._state.config.timers, self._state.executed_height
        if height > self._seen_height:
            self._stalled = 0
        self._is_timer_set = True
        self._seen_height = height
        patience_ns = timers.request_ns // PATIENCE_DIVISOR << min(self._stalled, DOUBLINGS_MAX)
        self._state.emit(SetTimer(Timer.CATCH_UP, min(patience_ns, timers.request_max_ns)))

    def _fetch(self) -> None:
        state, certificate = self._state, self._state.certificate
        if certificate is None:
            return
        signers = [signer for signer, _ in certificate.votes if signer != state.index]
        first = self._attempt % len(signers)
        self._attempt += 1
        self._stalled += 1
        state.fetch_target = certificate.height
        sources = tuple(signers[first:] + signers[:first])
        state.emit(FetchBlocks(state.executed_height + 1, certificate, sources))
        self._set_timer()

    def on_timer(self) -> None:
        """Fetch now, or again from another source, if nothing has been executed since."""
        state = self._state
        self._is_timer_set = False
        if not state.is_behind or state.is_executing:
            return
        if state.executed_height > self._seen_height:
            self._set_timer()
        else:
            self._fetch()

    def on_fetch_failed(self, to_height: int) -> None:
        """Let the timer try again: no source had the blocks."""
        if self._state.fetch_target == to_height:
            self._state.fetch_target = 0
