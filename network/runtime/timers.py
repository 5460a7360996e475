"""The replica's timers: one task, one heap, each timer at most once (DESIGN 2).

A timer that is looked at late says that this node did not run meanwhile: the machine paused it, or
its loop had too much to do. What the others sent then waits unread, and their silence is its own.
So what accuses a primary is put off for as long as it takes to read what waits: once for each
setting, and a second at most, so that nobody keeps a node from suspecting by keeping it busy.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from itertools import count

import trio

from consensus.events import Timer

_NS = 1_000_000_000
# These accuse somebody of silence.
ACCUSING = frozenset((Timer.REQUEST, Timer.NEW_VIEW, Timer.IDLE))
LATE_S = 0.1
# So many turns of the loop a message takes from its socket to the replica.
TURNS = 8
PUT_OFF_S_MAX = 1.0


class TimerService:
    """Sets, replaces and cancels timers; hands each expiry to `fire`, in order of time."""

    def __init__(self, fire: Callable[[Timer], Awaitable[None]]) -> None:
        self._fire = fire
        self._heap: list[tuple[float, int, Timer]] = []
        self._current: dict[Timer, int] = {}
        self._put_off: set[int] = set()
        self._numbers = count()
        self._changed = trio.Event()

    def set(self, timer: Timer, after_ns: int) -> None:
        """Start `timer`; an earlier setting of it is replaced."""
        number = next(self._numbers)
        self._put_off.discard(self._current.get(timer, number))
        self._current[timer] = number
        heapq.heappush(self._heap, (trio.current_time() + after_ns / _NS, number, timer))
        self._changed.set()

    def cancel(self, timer: Timer) -> None:
        """Stop `timer`; nothing happens where it does not run."""
        self._put_off.discard(self._current.pop(timer, -1))

    def clear(self) -> None:
        """Stop every timer."""
        self._current.clear()
        self._put_off.clear()

    def left_ms(self) -> dict[str, int]:
        """Return which timers run, and how long still."""
        now = trio.current_time()
        return {
            timer.value: max(0, int((at - now) * 1000))
            for at, number, timer in sorted(self._heap)
            if self._current.get(timer) == number
        }

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            self._changed = trio.Event()
            deadline = self._next_deadline()
            with trio.move_on_at(deadline):
                await self._changed.wait()
            while self._heap and self._heap[0][0] <= trio.current_time():
                at, number, timer = heapq.heappop(self._heap)
                if self._current.get(timer) != number:
                    continue
                late_s = trio.current_time() - at
                if timer in ACCUSING and late_s > LATE_S and number not in self._put_off:
                    self._put_off.add(number)
                    again = trio.current_time() + min(TURNS * late_s, PUT_OFF_S_MAX)
                    heapq.heappush(self._heap, (again, number, timer))
                    continue
                self._put_off.discard(number)
                del self._current[timer]
                await self._fire(timer)

    def _next_deadline(self) -> float:
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")
