"""When the primary closes a batch (DESIGN 3, rules 35 and 36).

At once when nothing is in flight, else when a full batch waits, or when a short delay has passed
and fewer than `pipeline` batches are in flight. So at light load a request waits for nobody, and
under load batches grow while blocks are executed and synced. Nothing is proposed beyond the
window, while this replica is behind, or before it knows what the view began with. Once the end of
the epoch is known, empty batches fill up the pipeline until it is reached.
"""

from __future__ import annotations

from consensus.effects import SetTimer
from consensus.events import Timer
from consensus.log import MessageLog
from consensus.normal_case import NormalCase
from consensus.requests import RequestPool
from consensus.state import State
from ledger.chain.batch import Batch


class Proposing:
    """The batch policy of one replica; it acts only while that is the primary."""

    def __init__(
        self, state: State, log: MessageLog, pool: RequestPool, normal: NormalCase
    ) -> None:
        self._state = state
        self._log = log
        self._pool = pool
        self._normal = normal
        self._proposed_ns = state.now.monotonic_ns
        self._is_batch_timer_set = False

    def advance(self) -> None:
        """Propose what the policy allows now; nothing, when this is not the primary."""
        state = self._state
        while self._pool.ready and state.is_primary and not self._must_wait():
            hashes = self._pool.take(state.now.wall_ms)
            if not hashes:
                break
            self._propose(tuple(hashes))
        while self._is_epoch_ending() and self._in_flight() < state.config.limits.pipeline:
            self._propose(())

    def _is_epoch_ending(self) -> bool:
        """Tell whether the chain has to reach the end of the epoch by empty batches (rule 2)."""
        state = self._state
        return state.is_primary and state.last_height is not None and not self._is_blocked()

    def propose_empty(self) -> None:
        """Propose a batch without transactions: chain time moves (rule 36)."""
        state = self._state
        if state.is_primary and self._in_flight() == 0 and not self._is_blocked():
            self._propose(())

    def _propose(self, hashes: tuple[bytes, ...]) -> None:
        self._proposed_ns = self._state.now.monotonic_ns
        self._normal.propose(Batch(self._get_next_height(), self._state.now.wall_ms, hashes))

    def _in_flight(self) -> int:
        return self._get_next_height() - 1 - self._state.executed_height

    def _get_next_height(self) -> int:
        state = self._state
        return max(self._normal.next_height, state.executed_height + 1, state.stable_height + 1)

    def _is_blocked(self) -> bool:
        """Tell whether the window is full, or what the view began with is not known yet.

        Before the batches of O are known, this primary would propose again what they hold.
        """
        state = self._state
        if state.is_behind or self._get_next_height() > state.high_water:
            return True
        return any(slot.digest and not slot.pre_prepare for slot in self._log.slots.values())

    def _must_wait(self) -> bool:
        state, limits = self._state, self._state.config.limits
        if self._is_blocked():
            return True
        in_flight = self._in_flight()
        if in_flight == 0 or len(self._pool.ready) >= limits.batch_count:
            return False
        if in_flight >= limits.pipeline:
            return True
        left = self._proposed_ns + state.config.timers.batch_delay_ns - state.now.monotonic_ns
        if left > 0 and not self._is_batch_timer_set:
            self._is_batch_timer_set = True
            state.emit(SetTimer(Timer.BATCH, left))
        return left > 0

    def on_batch_timer(self) -> None:
        """Note that the delay is over; `advance` follows every event."""
        self._is_batch_timer_set = False
