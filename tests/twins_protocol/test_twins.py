"""A fixed sample of the Twins schedules (F38), and that what explores them all can be believed."""

from __future__ import annotations

import pytest

from tests.simulator.checkers import ViolationError
from tests.twins_protocol.clone import clone
from tests.twins_protocol.explore import (
    SCHEDULES,
    Schedule,
    explore_from,
    parse_schedule,
    run_alone,
    schedule_of,
)
from tests.twins_protocol.main import main
from tests.twins_protocol.world import SPLITS, World, side

EVERY = 1999


def fingerprint(world):
    heads = tuple(item.ledger.head() for item in world.instances)
    return world.describe(), heads, world.now_ns, world._sequence


def test_f38_sample_of_the_twins_schedules():
    views, with_evidence = set(), 0
    for number in range(0, SCHEDULES, EVERY):
        world = run_alone(schedule_of(number))
        views.add(world.highest_view)
        with_evidence += bool(world.counts["evidence"])
    assert max(views) >= 4
    assert with_evidence > 20


def test_f38_all_schedules_are_there_once():
    assert SCHEDULES == 202_500
    assert len({str(schedule_of(number)) for number in range(0, SCHEDULES, 97)}) == 2088
    assert str(schedule_of(SCHEDULES - 1)) == "3:14,14,14,14"
    splits = {frozenset(n for n in range(5) if side(split, n)) for split in range(SPLITS)}
    assert len(splits | {frozenset(range(5)) - one for one in splits}) == 30


def test_f38_what_begins_alike_is_counted_whole():
    tally = explore_from(Schedule(1, (2, 7)))
    assert tally.schedules == SPLITS**2
    assert tally.failures == []


@pytest.mark.parametrize("twin", range(4))
def test_a_run_from_a_copy_is_the_run_from_the_start(twin):
    world = World(twin)
    splits = (3, 8, 5, 11)
    while (view := world.run()) is not None:
        other = world.copy()
        other.splits[view] = (splits[view] + 1) % SPLITS
        other.run()  # what a copy does must not be seen by the other
        world.splits[view] = splits[view]
    assert fingerprint(world) == fingerprint(run_alone(Schedule(twin, splits)))


def test_copies_share_nothing_that_changes():
    table = [1]
    value = {"a": table, "b": [table, {2}], "c": (3, b"x")}
    copy = clone(value, {})
    assert copy == value
    assert copy["a"] is copy["b"][0]
    copy["a"].append(2)
    copy["b"][1].add(4)
    assert value == {"a": [1], "b": [[1], {2}], "c": (3, b"x")}


def test_f38_a_quorum_that_is_too_small_is_seen():
    world = World(0)
    for item in world.instances:
        # The members have already begun: only what they count from now on is broken.
        object.__setattr__(item.replica._state.config, "quorum", 2)
    world.splits = dict(enumerate((10, 0, 0, 0)))
    with pytest.raises(ViolationError, match="fork"):
        world.run()


@pytest.mark.parametrize("text", ["4:1", "0:15", "0:1,2,3,4,5", "0:", "x:1"])
def test_a_schedule_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"want|got|invalid"):
        parse_schedule(text)


def test_the_command_runs_one_schedule(capsys):
    assert main(["--only", "2:1,3,5,7", "--jobs", "1"]) == 0
    assert "1 schedules in 1 runs" in capsys.readouterr().out
