"""Every point at which a machine can stop in the run, tried from a copy of the run just before.

A point is (member, operation, mode): the machine of that member stops at that operation on its
disk, counted from its first start, and the disk then holds nothing, all or a part of what was not
synced. Points are dealt out by turns, so that parts of the work are alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from ledger.errors import CreditLedgerError
from tests.crash_points.world import MODES, SIZE, World
from tests.simulator.checkers import ViolationError

# A replica that raises is as broken as one that lies.
BROKEN = (ViolationError, CreditLedgerError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Point:
    """Where a machine stops."""

    member: int
    operation: int
    mode: str

    def __str__(self) -> str:
        return f"{self.member}:{self.operation}:{self.mode}"


def parse_point(text: str) -> Point:
    """Return the point that `str` wrote; raise `ValueError`."""
    member, operation, mode = text.split(":")
    point = Point(int(member), int(operation), mode)
    if not 0 <= point.member < SIZE or mode not in MODES or point.operation < 1:
        raise ValueError(f"want MEMBER:OPERATION:MODE, got {text}")
    return point


@dataclass(slots=True)
class Tally:
    """What came of points."""

    points: int = 0
    by_mode: Counter[str] = field(default_factory=Counter)
    by_member: Counter[int] = field(default_factory=Counter)
    views: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the tally of other points."""
        self.points += other.points
        self.by_mode.update(other.by_mode)
        self.by_member.update(other.by_member)
        self.views.update(other.views)
        self.failures += other.failures


def run_point(world: World, point: Point) -> World:
    """Run a world whose next events reach `point` to its end; raise `ViolationError`."""
    world.crash_at(point.member, point.operation, point.mode)
    world.run()
    if world.counts["crashes"] != 1:
        raise ViolationError(f"the machine did not stop at {point}")
    return world


def points_of(member: int) -> Iterator[tuple[World, Point]]:
    """Yield each point of a member with the world just before it, which is the caller's to use."""
    world = World()
    files = world.members[member].files
    while not world.is_over:
        if world.next_member != member:
            world.step()
            continue
        before = world.copy()
        first = files.operations + 1
        world.step()
        for operation in range(first, files.operations + 1):
            for mode in MODES:
                yield before, Point(member, operation, mode)


def explore(member: int, part: int, parts: int, every: int = 1) -> Tally:
    """Return what came of the points of a member whose number is `part` modulo `parts`.

    Of those only each `every`-th is tried.
    """
    tally = Tally()
    numbers = count()
    for before, point in points_of(member):
        number, mine = divmod(next(numbers), parts)
        if mine == part and number % every == 0:
            _try(before.copy(), point, tally)
    return tally


def _try(world: World, point: Point, tally: Tally) -> None:
    tally.points += 1
    tally.by_mode[point.mode] += 1
    tally.by_member[point.member] += 1
    try:
        run_point(world, point)
    except BROKEN as error:
        tally.failures.append((str(point), f"{type(error).__name__}: {error}"))
    else:
        tally.views[world.counts["highest view"]] += 1
