"""Walks the tree of schedules: what is common to many is run once.

A world runs until the split of a view matters; there it is copied for each of the 15. A schedule
whose later views never matter stands for all that begin like it, and counts as many.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ledger.errors import CreditLedgerError
from tests.simulator.checkers import ViolationError
from tests.twins_protocol.world import SIZE, SPLITS, VIEWS, World

SCHEDULES = SIZE * SPLITS**VIEWS
# A replica that raises is as broken as one that lies.
BROKEN = (ViolationError, CreditLedgerError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Whose twin, and the split of each view in order; a shorter list means any after it."""

    twin: int
    splits: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.twin}:{','.join(map(str, self.splits))}"


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that `str` wrote; raise `ValueError`."""
    twin, _, splits = text.partition(":")
    schedule = Schedule(int(twin), tuple(int(item) for item in splits.split(",")))
    if not 0 <= schedule.twin < SIZE or len(schedule.splits) > VIEWS:
        raise ValueError(f"twin and at most {VIEWS} splits, got {text}")
    if any(not 0 <= item < SPLITS for item in schedule.splits):
        raise ValueError(f"want splits of 0 to {SPLITS - 1}, got {text}")
    return schedule


def schedule_of(number: int) -> Schedule:
    """Return schedule `number` of 0 to 202,499."""
    splits = []
    for _ in range(VIEWS):
        number, split = divmod(number, SPLITS)
        splits.append(split)
    return Schedule(number, tuple(reversed(splits)))


@dataclass(slots=True)
class Tally:
    """What came of schedules: each counter counts schedules, `runs` those that were really run."""

    runs: int = 0
    schedules: int = 0
    views: Counter[int] = field(default_factory=Counter)
    blocks: Counter[int] = field(default_factory=Counter)
    with_evidence: int = 0
    recovery_ns_max: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the tally of other schedules."""
        self.runs += other.runs
        self.schedules += other.schedules
        self.views.update(other.views)
        self.blocks.update(other.blocks)
        self.with_evidence += other.with_evidence
        self.recovery_ns_max = max(self.recovery_ns_max, other.recovery_ns_max)
        self.failures += other.failures

    def note(self, world: World, weight: int) -> None:
        """Count a run that ended well and stands for `weight` schedules."""
        self.runs += 1
        self.schedules += weight
        self.views[world.highest_view] += weight
        self.blocks[world.counts["blocks"]] += weight
        self.with_evidence += weight if world.counts["evidence"] else 0
        self.recovery_ns_max = max(self.recovery_ns_max, world.recovery_ns)

    def note_failure(self, world: World, weight: int, error: Exception) -> None:
        """Count a run that broke a property."""
        self.runs += 1
        self.schedules += weight
        schedule = Schedule(world.twin, tuple(world.splits.values()))
        self.failures.append((str(schedule), f"{type(error).__name__}: {error}"))


def explore(world: World, tally: Tally) -> None:
    """Run every schedule that begins as `world` has begun."""
    weight = SPLITS ** (VIEWS - len(world.splits))
    try:
        view = world.run()
    except BROKEN as error:
        tally.note_failure(world, weight, error)
        return
    if view is None:
        tally.note(world, weight)
        return
    for split in range(SPLITS):
        branch = world.copy() if split < SPLITS - 1 else world
        branch.splits[view] = split
        explore(branch, tally)


def explore_from(start: Schedule) -> Tally:
    """Return what came of all schedules that begin like `start`."""
    tally, world = Tally(), World(start.twin)
    world.splits = dict(enumerate(start.splits))
    explore(world, tally)
    return tally


def run_alone(schedule: Schedule) -> World:
    """Return the world at the end of one whole schedule, run from its start."""
    world = World(schedule.twin)
    world.splits = dict(enumerate(schedule.splits))
    if world.run() is not None:
        raise ValueError(f"want {VIEWS} splits, got {schedule}")
    return world
