"""The loop of the replica or observer: events in, one at a time; effects out (DESIGN 2).

`post` may be called from any task of the node and returns at once. The loop hands the replica both
clocks with each event and gives other tasks their turn between bursts. It never waits for a disk or
a signature: that is what the performer and the verifiers are for. Between two epochs nobody is
seated: what is posted then is dropped, since the next one begins from the chain and asks for the
rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio

from consensus.effects import Effect
from consensus.events import Clock, Event

EVENTS_A_TURN = 128


class Machine(Protocol):
    """A replica or an observer: what the loop drives."""

    def handle(self, event: Event, now: Clock) -> list[Effect]:
        """Process one event to completion and return what is to be done, in order."""


class ReplicaLoop:
    """Owns the queue of events of the machine that is seated."""

    def __init__(self, clock: Callable[[], Clock], accept: Callable[[list[Effect]], None]) -> None:
        self._clock = clock
        self._accept = accept
        self._machine: Machine | None = None
        self._events: deque[Event] = deque()
        self._wake = trio.Event()

    @property
    def waiting_count(self) -> int:
        """How many events wait for the replica."""
        return len(self._events)

    def post(self, event: Event) -> None:
        """Queue an event; without anybody seated it is dropped."""
        if self._machine is not None:
            self._events.append(event)
            self._wake.set()

    def seat(self, machine: Machine | None) -> None:
        """Drive `machine` from now on, or nobody; events for the one before are dropped."""
        self._events.clear()
        self._machine = machine

    async def run(self) -> None:
        """Drive whoever is seated until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._events:
                for _ in range(EVENTS_A_TURN):
                    if self._machine is None or not self._events:
                        break
                    self._accept(self._machine.handle(self._events.popleft(), self._clock()))
                await trio.lowlevel.checkpoint()
