"""The replica's loop: events in, one at a time; effects out, in order (DESIGN 2).

`post` may be called from any task of the node and returns at once. The loop hands the replica both
clocks with each event and gives other tasks their turn between bursts. It never waits for a disk or
a signature: that is what the performer and the verifiers are for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from consensus.effects import Effect
from consensus.events import Clock, Event
from consensus.replica import Replica

EVENTS_A_TURN = 128


class ReplicaLoop:
    """Owns the queue of events of one replica."""

    def __init__(self, clock: Callable[[], Clock], accept: Callable[[list[Effect]], None]) -> None:
        self._clock = clock
        self._accept = accept
        self._events: deque[Event] = deque()
        self._wake = trio.Event()

    @property
    def waiting_count(self) -> int:
        """How many events wait for the replica."""
        return len(self._events)

    def post(self, event: Event) -> None:
        """Queue an event."""
        self._events.append(event)
        self._wake.set()

    async def run(self, replica: Replica) -> None:
        """Drive the replica until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._events:
                for _ in range(min(len(self._events), EVENTS_A_TURN)):
                    self._accept(replica.handle(self._events.popleft(), self._clock()))
                await trio.lowlevel.checkpoint()
