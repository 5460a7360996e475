"""What goes wrong in a run and when: a plan drawn from the seed, over by the end of faults.

Any member may crash, also all at once: what is durable must carry safety. Byzantine members are at
most f. After `end` nobody crashes, links are whole, clocks are right; liars go on lying.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from tests.simulator.network import Network
from tests.simulator.node import SimNode
from tests.simulator.scheduler import NS_PER_MS, Scheduler

# "outage" and "slow" change what a run is about, so they are asked for by name.
SPECIAL = ("outage", "slow")
KINDS = ("crash", "loss", "delay", "reorder", "duplicate", "partition", "clock", "byzantine")
DAY_MS = 86_400_000


class FaultyWorld(Protocol):
    """What the plan acts on."""

    scheduler: Scheduler
    network: Network
    nodes: list[SimNode]
    fault_bound: int

    def count(self, what: str) -> None:
        """Count something for the summary."""

    def restart(self, member: int) -> None:
        """Start a member that is down."""

    def crash_at_persist(self, member: int, after: int, moment: str) -> None:
        """Let a member crash at a sync that is `after` syncs away."""

    def clear_planned_crashes(self) -> None:
        """Let no member crash at a sync any more."""


class FaultPlan:
    """Draws the faults of one run and schedules them: begun by `busy_ns`, over by `end_ns`."""

    def __init__(
        self, world: FaultyWorld, rng: Random, kinds: frozenset[str], busy_ns: int, end_ns: int
    ) -> None:
        self._world = world
        self._rng = rng
        self._busy_ns = busy_ns
        self._end_ns = end_ns
        drawers: dict[str, Callable[[], None]] = {
            "crash": self._draw_crashes,
            "loss": self._draw_loss,
            "delay": self._draw_delay,
            "reorder": self._draw_reordering,
            "duplicate": self._draw_duplication,
            "partition": self._draw_partitions,
            "clock": self._draw_clocks,
            "outage": self._draw_outage,
            "slow": self._draw_slowness,
        }
        for kind, draw in drawers.items():
            if kind in kinds and rng.random() < 0.7:
                draw()
        world.scheduler.at(end_ns, self.heal)

    def _moment(self) -> int:
        return int(self._rng.random() * self._busy_ns)

    def _draw_outage(self) -> None:
        """Cut every link for longer than a fresh batch may be old (rule 15)."""
        size = len(self._world.nodes)
        cuts = {(a, b) for a in range(size) for b in range(size) if a != b}
        self._world.scheduler.at(self._moment(), self._cut, cuts)

    def _draw_slowness(self) -> None:
        """Make every message take longer than T leaves room for, for ever (F22)."""
        self._world.network.base_ns = self._rng.randint(400, 900) * NS_PER_MS

    def _draw_crashes(self) -> None:
        world, rng = self._world, self._rng
        for _ in range(rng.randint(1, 5)):
            member = rng.randrange(len(world.nodes))
            if rng.random() < 0.5:
                moment = rng.choice(("before", "after"))
                world.scheduler.at(
                    self._moment(), world.crash_at_persist, member, rng.randint(0, 12), moment
                )
            else:
                world.scheduler.at(self._moment(), self._crash, member)
        if rng.random() < 0.15:
            moment_ns = self._moment()
            for member in range(len(world.nodes)):
                world.scheduler.at(moment_ns, self._crash, member)

    def _crash(self, member: int) -> None:
        node = self._world.nodes[member]
        if node.is_up:
            self._world.count("crashes")
            node.crash()
        self.plan_restart(member)

    def plan_restart(self, member: int) -> None:
        """Start a member again after a while, before faults end."""
        down_ns = int((0.02 + self._rng.random() ** 3 * 4) * 1000) * NS_PER_MS
        scheduler = self._world.scheduler
        scheduler.at(min(scheduler.now_ns + down_ns, self._end_ns), self._world.restart, member)

    def _draw_loss(self) -> None:
        self._world.network.conditions.loss = self._rng.choice((10, 50, 150, 300))

    def _draw_delay(self) -> None:
        self._world.network.conditions.slow = self._rng.choice((20, 100, 300))

    def _draw_reordering(self) -> None:
        conditions = self._world.network.conditions
        conditions.slow = max(conditions.slow, 200)
        conditions.slow_ns_max = 80 * NS_PER_MS

    def _draw_duplication(self) -> None:
        self._world.network.conditions.duplicate = self._rng.choice((50, 200))

    def _draw_partitions(self) -> None:
        world, rng, size = self._world, self._rng, len(self._world.nodes)
        for _ in range(rng.randint(1, 3)):
            group = frozenset(rng.sample(range(size), rng.randint(1, size - 1)))
            others = frozenset(range(size)) - group
            cuts = {(a, b) for a in group for b in others}
            if rng.random() < 0.7:
                cuts |= {(b, a) for a, b in cuts}
            start_ns = self._moment()
            length_ns = int(rng.random() * 4000) * NS_PER_MS
            world.scheduler.at(start_ns, self._cut, cuts)
            world.scheduler.at(min(start_ns + length_ns, self._end_ns), self._mend, cuts)

    def _cut(self, cuts: set[tuple[int, int]]) -> None:
        self._world.count("partitions")
        self._world.network.cuts |= cuts

    def _mend(self, cuts: set[tuple[int, int]]) -> None:
        self._world.network.cuts -= cuts
        for sender, to in sorted(cuts):
            self._world.nodes[sender].connect(to)

    def _draw_clocks(self) -> None:
        world, rng = self._world, self._rng
        for node in world.nodes:
            node.wall_offset_ms = rng.randint(-900, 900)
        for member in rng.sample(range(len(world.nodes)), world.fault_bound):
            world.scheduler.at(self._moment(), self._skew, member, rng.choice((-DAY_MS, DAY_MS)))

    def _skew(self, member: int, offset_ms: int) -> None:
        self._world.count("clocks off by a day")
        self._world.nodes[member].wall_offset_ms = offset_ms

    def heal(self) -> None:
        """End all faults."""
        world = self._world
        conditions = world.network.conditions
        conditions.loss = conditions.duplicate = conditions.slow = 0
        world.clear_planned_crashes()
        cuts, world.network.cuts = world.network.cuts, set()
        for node in world.nodes:
            node.wall_offset_ms = max(-900, min(900, node.wall_offset_ms))
        for member in range(len(world.nodes)):
            world.restart(member)
        for sender, to in sorted(cuts):
            world.nodes[sender].connect(to)
