"""What an operator is told that the next height waits for."""

from __future__ import annotations

from consensus.events import Timer
from consensus.waiting import Waiting
from tests.consensus.harness import Bench


def test_each_step_of_a_height_names_who_is_not_heard_from():
    bench = Bench()
    bench.is_executing_by_itself = False
    assert bench.replica.waiting == Waiting("requests", 1, ())
    bench.add_bodies(1)
    assert bench.replica.waiting == Waiting("pre-prepare", 1, (0,))
    batch = bench.make.batch(1, 1)
    bench.receive(bench.make.pre_prepare(0, batch))
    assert bench.replica.waiting == Waiting("prepare", 1, (2, 3))
    bench.receive(bench.make.prepare(0, batch, 3))
    assert bench.replica.waiting == Waiting("commit", 1, (0, 2, 3))
    bench.receive(bench.make.commit(0, batch, 0), bench.make.commit(0, batch, 3))
    assert bench.replica.waiting == Waiting("execution", 1, ())


def test_missing_bodies_and_missing_checkpoints_are_told():
    bench = Bench()
    batch = bench.make.batch(1, 1)
    bench.receive(bench.make.pre_prepare(0, batch))
    assert bench.replica.waiting == Waiting("bodies", 1, (0,))
    bench.add_bodies(1)
    bench.receive(bench.make.prepare(0, batch, 2), bench.make.prepare(0, batch, 3))
    bench.receive(bench.make.commit(0, batch, 0), bench.make.commit(0, batch, 3))
    assert bench.replica.waiting == Waiting("checkpoint", 1, (0, 2, 3))
    bench.certify_height(1)
    assert bench.replica.waiting == Waiting("requests", 2, ())


def test_a_view_change_tells_who_has_not_left_yet():
    bench = Bench()
    bench.add_bodies(1, origin=1)
    bench.wait(5_000)
    bench.fire(Timer.REQUEST)
    assert not bench.replica.is_normal
    assert bench.replica.waiting == Waiting("view-change", 1, (0, 2, 3))
    bench.receive(bench.make.view_change(1, 0), bench.make.view_change(1, 3))
    # It is the primary of view 1 itself: it proposes at once.
    assert bench.replica.waiting == Waiting("prepare", 1, (0, 2, 3))
