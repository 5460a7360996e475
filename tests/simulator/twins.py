"""Twins: two correct nodes with one identity, as after a cloned machine (F38, F45).

Each has a home of its own and follows the protocol. For a while all members hear both, then each
hears one of them only, and so in turn; so the two vote for what they saw themselves, and the member
as a whole contradicts itself. It counts among the f.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulator.scheduler import NS_PER_MS

if TYPE_CHECKING:
    from tests.simulator.simulation import Simulation

TURN_NS = 700 * NS_PER_MS
APART_IN_4 = 3


class Twins:
    """Who hears which of the two, by turns."""

    def __init__(self, size: int, random: Random) -> None:
        self._size = size
        self._random = random
        self._turns: list[frozenset[int] | None] = []

    def is_heard(self, side: int, other: int, now_ns: int) -> bool:
        """Tell whether member `other` and this side of the twins hear each other now."""
        turn = now_ns // TURN_NS
        while len(self._turns) <= turn:
            group = self._random.sample(range(self._size), self._random.randrange(self._size))
            is_apart = self._random.randrange(4) < APART_IN_4
            self._turns.append(frozenset(group) if is_apart else None)
        group_now = self._turns[turn]
        return group_now is None or (other in group_now) == (side == 0)


class TwinWorld:
    """The run as one of the twins sees it: what it sends goes to those that hear it."""

    def __init__(self, run: Simulation, twins: Twins, side: int) -> None:
        self._run = run
        self._twins = twins
        self._side = side

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def transmit(self, sender: int, to: int, payload: Any) -> None:
        """Send to those that hear this one."""
        if self._twins.is_heard(self._side, to, self._run.scheduler.now_ns):
            self._run.network.send(sender, to, payload)
