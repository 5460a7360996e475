"""The adversary between the members: delay, loss, duplication, reordering, cuts, clogs.

Delays are drawn for each message alone, so messages overtake each other. A cut is one-way and
loses; a partition is cuts both ways. A clogged member's messages, in and out, are late but not
lost: they come when it is unclogged. After a cut ends both ends are told that the link is up, as
TCP would. A `Loss` picks out messages by their kind and their ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.simulator.dice import dice
from tests.simulator.scheduler import NS_PER_MS, Scheduler

# What every message takes at least; `base_ns` of a network comes on top.
DELAY_NS_MIN = NS_PER_MS // 2
DELAY_NS_MAX = 12 * NS_PER_MS


@dataclass(slots=True)
class Conditions:
    """How bad the network is now; probabilities in 1/1000."""

    loss: int = 0
    duplicate: int = 0
    slow: int = 0
    slow_ns_max: int = 4000 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages that are lost: of these kinds (lower case; none: all) on these links."""

    kinds: frozenset[str]
    links: frozenset[tuple[int, int]]

    def is_met(self, sender: int, to: int, payload: Any) -> bool:
        """Tell whether it takes this message."""
        return (sender, to) in self.links and (not self.kinds or kind_of(payload) in self.kinds)


def kind_of(payload: Any) -> str:
    """Return the name of what is sent: a message's type, or the shell's word."""
    if type(payload) is tuple:
        return str(payload[0]).replace(" ", "-")
    return type(payload).__name__.lower()


class Network:
    """Carries payloads between members; `deliver(to, sender, payload)` is set by the run.

    `is_lost(sender, to, payload)` picks out single messages to lose, for the acts.
    """

    def __init__(self, scheduler: Scheduler, seed: int) -> None:
        self._scheduler = scheduler
        self._seed = seed
        self._dice: dict[tuple[int, int], Callable[[], float]] = {}
        self.conditions = Conditions()
        self.base_ns = 0
        self.is_lost: Callable[[int, int, Any], bool] | None = None
        self.losses: list[Loss] = []
        self.cuts: Counter[tuple[int, int]] = Counter()
        self.clogged_until_ns: dict[int, int] = {}
        self.deliver: Callable[[int, int, Any], None] = lambda to, sender, payload: None
        self.sent = self.lost = self.duplicated = self.slowed = self.clogged = 0

    def _chance_of(self, sender: int, to: int) -> Callable[[], float]:
        found = self._dice.get((sender, to))
        if found is None:
            found = self._dice[sender, to] = dice(self._seed, "link", sender, to).random
        return found

    def _is_taken(self, sender: int, to: int, payload: Any) -> bool:
        if self.cuts and self.cuts[sender, to] > 0:
            return True
        if self.is_lost and self.is_lost(sender, to, payload):
            return True
        return any(loss.is_met(sender, to, payload) for loss in self.losses)

    def send(self, sender: int, to: int, payload: Any) -> None:
        """Send, if the link is not cut and the network is not unkind."""
        self.sent += 1
        conditions, chance = self.conditions, self._chance_of(sender, to)
        if self._is_taken(sender, to, payload):
            self.lost += 1
            return
        if conditions.loss and chance() * 1000 < conditions.loss:
            self.lost += 1
            return
        self._carry(sender, to, payload, chance)
        if conditions.duplicate and chance() * 1000 < conditions.duplicate:
            self.duplicated += 1
            self._carry(sender, to, payload, chance)

    def _carry(self, sender: int, to: int, payload: Any, chance: Callable[[], float]) -> None:
        delay_ns = self.base_ns + DELAY_NS_MIN + int(chance() * (DELAY_NS_MAX - DELAY_NS_MIN))
        conditions = self.conditions
        if conditions.slow and chance() * 1000 < conditions.slow:
            self.slowed += 1
            delay_ns += int(chance() * conditions.slow_ns_max)
        if self.clogged_until_ns:
            until = self.clogged_until_ns
            release_ns = max(until.get(sender, 0), until.get(to, 0)) - self._scheduler.now_ns
            if release_ns > 0:
                self.clogged += 1
                delay_ns += release_ns
        self._scheduler.after(delay_ns, self.deliver, to, sender, payload)


def draw_links(random: Random, size: int) -> set[tuple[int, int]]:
    """Return the links from one drawn group to the rest, or both ways."""
    group = set(random.sample(range(size), random.randint(1, size - 1)))
    cuts = {(a, b) for a in group for b in range(size) if b not in group}
    return cuts | {(b, a) for a, b in cuts} if random.random() < 0.7 else cuts
