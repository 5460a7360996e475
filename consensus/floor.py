"""The floor under the work of a primary (rule 49, F28).

The timers of rule 22 let a primary go on as long as it makes some progress, so that one on a slow
machine is not replaced under load; by itself that lets a faulty one order just enough to be kept.
So a backup also counts. If at each look during M as many places as the floor X stand relayed for
longer than T and are not executed, and blocks have brought fewer than X places in that time, the
primary is replaced: even what was overdue at the beginning did not get done. Looks at which this
node was executing, or behind, do not count: that time is not the primary's.

A machine may be too slow for X. Of f + 1 primaries in a row one is honest, so after f + 1 failures
in a row X is halved, and it is whole again as soon as it is met: f faulty ones cannot lower it.
"""

from __future__ import annotations

from consensus.requests import RequestPool
from consensus.state import State

CAUSE = "throughput below the floor"


class Floor:
    """How much the primary of this view gets done, as one backup counts it."""

    def __init__(self, state: State, pool: RequestPool) -> None:
        self._state = state
        self._pool = pool
        self._looks = 0
        self._executed_at_start = 0
        self._failures = 0

    def start_view(self) -> None:
        """Begin to count anew."""
        self._looks = 0

    @property
    def places(self) -> int:
        """Return X as it stands, in places."""
        config = self._state.config
        return max(1, config.limits.floor_places >> self._failures // (config.fault_bound + 1))

    def look(self) -> None:
        """Look at the backlog, each status period; suspect the primary after M (rule 49)."""
        state, pool = self._state, self._pool
        if state.is_executing or state.is_behind:
            return
        if not state.is_normal or self._compute_overdue() < self.places:
            self._looks = 0
            return
        if self._looks == 0:
            self._executed_at_start = pool.executed_places
        self._looks += 1
        timers = state.config.timers
        if (self._looks - 1) * timers.status_ns < timers.floor_ns:
            return
        self._looks = 0
        if pool.executed_places - self._executed_at_start >= self.places:
            self._failures = 0
        else:
            self._failures += 1
            state.suspect(CAUSE)

    def _compute_overdue(self) -> int:
        """Return how many places this node relayed more than T ago and still waits for."""
        state, pool = self._state, self._pool
        before_ns = state.now.monotonic_ns - state.timeout_ns
        latest_ms = state.now.wall_ms + state.config.limits.skew_ms
        return sum(
            pool.places(pool.pending[digest])
            for digest, relayed_ns in pool.watched.items()
            if relayed_ns <= before_ns and pool.pending[digest].expires_at_ms > latest_ms
        )
