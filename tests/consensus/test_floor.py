"""The floor under the work of a primary (rule 49, F28): X = 4 places in M = 2 s, T = 1 s.

The replica under test is backup 1; its places (8) are full of what it relayed to primary 0.
"""

from __future__ import annotations

import pytest

from consensus import effects as fx
from consensus.events import BatchExecuted, Timer
from consensus.floor import CAUSE
from tests.consensus.harness import WALL_MS, Bench, block_hash_of, of_kind
from tests.simulator.schedule import parse_schedule
from tests.simulator.simulation import Simulation

STEP_MS = 100


class Slow:
    """A bench with a full backlog, whose primary orders `count` transactions each `every_ms`."""

    def __init__(self, every_ms: int, count: int, backlog: int = 8) -> None:
        self.bench = Bench(4, 1)
        self._every_ms, self._count = every_ms, count
        self._waiting = list(range(1, backlog + 1))
        self._next = backlog + 1
        self.bench.add_bodies(*self._waiting, origin=1)

    def run(self, seconds: int, *, is_refilled: bool = True) -> None:
        """Let time pass; timers fire when they are due, the backlog is filled up again."""
        for _ in range(seconds * 1000 // STEP_MS):
            self.bench.wait(STEP_MS)
            now_ms = self.bench.clock.monotonic_ns // 1_000_000
            if now_ms % self._every_ms == 0 and self.bench.replica.is_normal:
                self._order(is_refilled)
            if now_ms % 1000 == 0:
                self.bench.fire(Timer.STATUS)
            if now_ms % 500 == 0:
                self.bench.fire(Timer.REQUEST)

    def _order(self, is_refilled: bool) -> None:
        taken, self._waiting = self._waiting[: self._count], self._waiting[self._count :]
        bench = self.bench
        height = bench.replica.executed_height + 1
        wall_ms = bench.clock.wall_ms
        bench.commit_height(bench.make.batch(height, *taken, time_ms=wall_ms))
        bench.certify_height(height)
        for _ in taken if is_refilled else ():
            self._waiting.append(self._next)
            bench.add_bodies(self._next, origin=1)
            self._next += 1

    @property
    def causes(self) -> list[str]:
        """Return why views were left."""
        return [item.cause for item in of_kind(self.bench.effects, fx.ReportViewChange)]


def test_f28_primary_that_orders_just_enough_for_the_timers_is_replaced():  # rule 49
    slow = Slow(every_ms=900, count=1)
    slow.run(3)
    assert slow.causes == [CAUSE]
    assert slow.bench.clock.monotonic_ns == 3_000_000_000  # T until it is overdue, then M


def test_f28_primary_that_meets_the_floor_is_kept():  # rule 49: a view stays with one that works
    slow = Slow(every_ms=900, count=2)
    slow.run(20)
    assert slow.causes == []


def test_f28_backlog_that_is_worked_off_is_no_backlog_throughout():
    slow = Slow(every_ms=900, count=1, backlog=5)
    slow.run(4, is_refilled=False)
    assert slow.causes == []


def test_f28_few_that_wait_are_the_timers_business():  # rule 22 deposes for a single request
    slow = Slow(every_ms=900, count=1, backlog=3)
    slow.run(12)
    assert slow.causes == []


def test_f28_time_of_the_own_execution_is_not_the_primarys():  # a slow machine, ADR 0010
    bench = Bench(4, 1)
    bench.add_bodies(*range(1, 9), origin=1)
    bench.is_executing_by_itself = False
    batch = bench.make.batch(1, 1)
    bench.commit_height(batch)
    for _ in range(12):
        bench.wait(1000)
        bench.fire(Timer.STATUS)
    assert of_kind(bench.effects, fx.ReportViewChange) == []
    block_hash = block_hash_of(1, bench.make.digest(batch))
    view = bench.views.get(1, bench.config_view())
    bench.handle(BatchExecuted(1, block_hash, WALL_MS, batch.transactions, view))
    assert of_kind(bench.effects, fx.ReportViewChange) == []


@pytest.mark.parametrize(("failures", "places"), [(0, 4), (1, 4), (2, 2), (4, 1), (9, 1)])
def test_f28_floor_is_halved_after_each_f_and_1_failures(failures, places):
    floor = Bench(4, 1).replica._floor
    floor._failures = failures
    assert floor.places == places


def test_f28_floor_that_is_met_is_whole_again():
    slow = Slow(every_ms=400, count=2)
    slow.bench.replica._floor._failures = 3
    slow.run(4)
    assert slow.bench.replica._floor.places == 4


def test_f28_primary_itself_and_members_on_their_way_do_not_count():
    bench = Bench(4, 1)
    bench.add_bodies(*range(1, 9), origin=1)
    bench.receive(*(bench.make.view_change(2, by) for by in (2, 3)))
    for _ in range(5):
        bench.wait(1000)
        bench.fire(Timer.STATUS)
    assert CAUSE not in [item.cause for item in of_kind(bench.effects, fx.ReportViewChange)]


@pytest.mark.parametrize("base_ms", [0, 100, 150])
def test_f28_working_primary_is_kept_under_a_flood_on_slow_links(base_ms):
    story = [
        "nodes 4",
        "seed 3",
        "calm-after 7000",
        f"at 0 base {base_ms}",
        "at 300 flood 1 every 10 for 6000",
        "at 310 flood 2 every 20 for 6000",
    ]
    result = Simulation(0, schedule=parse_schedule(story)).run()
    assert not any(name.startswith("view changes") for name in result.counts)
    assert len(result.nodes[0].ledger.index) > 60
