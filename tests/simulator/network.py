"""The adversary between the members: delay, loss, duplication, reordering, cuts.

Delays are drawn for each message alone, so messages overtake each other. A cut is one-way; a
partition is cuts both ways. After a cut ends both ends are told that the link is up, as TCP would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.simulator.scheduler import NS_PER_MS, Scheduler


@dataclass(slots=True)
class Conditions:
    """How bad the network is now; probabilities in 1/1000."""

    loss: int = 0
    duplicate: int = 0
    slow: int = 0
    slow_ns_max: int = 4000 * NS_PER_MS


# What every message takes at least; `base_ns` of a network comes on top.
DELAY_NS_MIN = NS_PER_MS // 2
DELAY_NS_MAX = 12 * NS_PER_MS


class Network:
    """Carries payloads between members; `deliver(to, sender, payload)` is set by the run.

    `is_lost(sender, to, payload)` picks out single messages to lose, for the acts.
    """

    def __init__(self, scheduler: Scheduler, rng: Random) -> None:
        self._scheduler = scheduler
        self._random = rng.random
        self.conditions = Conditions()
        self.base_ns = 0
        self.is_lost: Callable[[int, int, Any], bool] | None = None
        self.cuts: set[tuple[int, int]] = set()
        self.deliver: Callable[[int, int, Any], None] = lambda to, sender, payload: None
        self.sent = self.lost = self.duplicated = self.slowed = 0

    def send(self, sender: int, to: int, payload: Any) -> None:
        """Send, if the link is not cut and the network is not unkind."""
        self.sent += 1
        conditions = self.conditions
        if (sender, to) in self.cuts or (self.is_lost and self.is_lost(sender, to, payload)):
            self.lost += 1
            return
        if conditions.loss and self._chance(conditions.loss):
            self.lost += 1
            return
        self._carry(sender, to, payload)
        if conditions.duplicate and self._chance(conditions.duplicate):
            self.duplicated += 1
            self._carry(sender, to, payload)

    def _chance(self, thousandths: int) -> bool:
        return self._random() * 1000 < thousandths

    def _carry(self, sender: int, to: int, payload: Any) -> None:
        delay_ns = self.base_ns + DELAY_NS_MIN + int(self._random() * (DELAY_NS_MAX - DELAY_NS_MIN))
        if self.conditions.slow and self._chance(self.conditions.slow):
            self.slowed += 1
            delay_ns += int(self._random() * self.conditions.slow_ns_max)
        self._scheduler.after(delay_ns, self.deliver, to, sender, payload)
