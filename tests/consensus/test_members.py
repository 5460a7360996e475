"""Members change in whole runs of the simulator: F82 to F84 and F86, rules 2 and 47.

The stories are schedules (`tests.simulator.schedule`); nodes from 4 upward are no members at first.
`./scripts/simulate --faults members,...` runs any number of seeds.
"""

from __future__ import annotations

import pytest

from tests.simulator.draw import Options
from tests.simulator.schedule import parse_schedule
from tests.simulator.simulation import Result, Simulation

BENIGN = frozenset(
    {"members", "crash", "loss", "delay", "reorder", "partition", "cut", "clog", "clock"}
)
REQUESTS = [f"at {at} submit t{at} to {at % 3}" for at in range(320, 3000, 160)]


def play(nodes: int, *lines: str, spares: int = 1, calm_after: int = 3000) -> Result:
    """Run a story with clients all the while; violations raise."""
    head = [f"nodes {nodes}", "seed 5", f"spares {spares}", f"calm-after {calm_after}"]
    return Simulation(0, schedule=parse_schedule([*head, *REQUESTS, *lines])).run()


def ends_in(result: Result) -> set[tuple[int, int]]:
    """Return the epochs that the nodes are in, with the number of members."""
    return {(node.config.epoch, node.config.size) for node in result.nodes}


def members_of(result: Result) -> list[int]:
    """Return the numbers of the nodes that are members at the end."""
    return sorted(node.index for node in result.nodes if node.is_voter)


def test_f82_observer_becomes_a_member():
    result = play(4, "at 1000 change add 4")
    assert ends_in(result) == {(1, 5)}
    assert members_of(result) == [0, 1, 2, 3, 4]
    assert result.counts["acknowledged"] == len(REQUESTS) + 1


def test_f82_idle_network_passes_to_the_next_epoch_in_seconds():
    lines = ["nodes 4", "seed 5", "spares 1", "calm-after 1000", "at 999 change add 4"]
    result = Simulation(0, schedule=parse_schedule(lines)).run()
    assert ends_in(result) == {(1, 5)}
    assert result.recovery_ns < 2_000_000_000  # and the idle period is ten
    assert not any(name.startswith("view changes") for name in result.counts)


def test_f82_key_rotates_without_a_stop():  # rule 47
    result = play(4, "at 1000 change rotate 2", "at 2000 change rotate primary", spares=0)
    assert ends_in(result) == {(2, 4)}
    assert not any(name.startswith("view changes") for name in result.counts)


@pytest.mark.parametrize("at_ms", [980, 1020, 1060, 1100, 1140, 1300])
def test_f82_change_while_the_view_changes(at_ms):
    """The primary falls silent before, at and after the decision, and until the switch."""
    cut = f"at {at_ms} cut 0|* for 1500"
    result = play(4, "at 1000 change add 4", cut, "at 1030 change rotate 1")
    assert ends_in(result) == {(1, 5)}
    assert result.counts["view changes: weak quorum of view changes"] > 0


def test_f82_member_that_is_down_at_the_switch_follows_afterwards():
    result = play(4, "at 900 crash 3 for 2000", "at 1000 change add 4", "at 2000 change rotate 1")
    assert ends_in(result) == {(2, 5)}


def test_f83_removed_member_comes_back_under_a_new_key_only():
    lines = ("at 1000 change remove 2", "at 1700 change again", "at 2200 change add 2")
    result = play(5, *lines, spares=0)
    assert ends_in(result) == {(2, 5)}  # "again" is refused: no epoch comes of it
    assert result.counts["changes: again"] == 1
    keys = result.nodes[0].ledger.members
    assert len(keys.revoked) == 1
    assert not keys.revoked.intersection(keys.view.members)


def test_f84_primary_is_removed_and_nobody_below_four():
    lines = ("at 1000 change remove primary", "at 1700 change shrink", "at 2200 change remove 1")
    result = play(5, *lines, spares=0)
    assert ends_in(result) == {(1, 4)}
    assert members_of(result) == [1, 2, 3, 4]
    assert result.counts["changes: shrink"] == 1


def test_f86_of_two_changes_in_flight_one_comes_to_pass():
    result = play(4, "at 1000 change add 4", "at 1000 change rotate 1", "at 1010 change rotate 2")
    assert ends_in(result) == {(1, result.nodes[0].config.size)}
    assert len(result.nodes[0].ledger.members.ends) == 1


@pytest.mark.parametrize("at_ms", range(1000, 1360, 24))
def test_f86_all_crash_around_the_switch(at_ms):  # half applied: all or nothing
    crashes = [f"at {at_ms} crash {member} for {100 + 40 * member}" for member in range(5)]
    result = play(4, "at 1000 change add 4", *crashes)
    assert ends_in(result) == {(1, 5)}


@pytest.mark.parametrize("place", range(1, 9))
@pytest.mark.parametrize(
    ("how", "what"), [("before", "sync"), ("torn", "sync"), ("after", "block")]
)
def test_f86_member_crashes_at_a_point_of_the_switch(how, what, place):
    crash = f"at 1000 crash 1 {how} {what} {place} for 300"
    assert ends_in(play(4, "at 1000 change rotate 1", crash)) == {(1, 4)}


@pytest.mark.parametrize("size", [4, 5, 7])
def test_f82_members_change_among_faults(size):
    epochs = 0
    for seed in range(50, 54):
        options = Options(nodes=size, faults=BENIGN, chance=0.9)
        result = Simulation(seed, options).run()
        epochs += result.counts["epochs entered"]
    assert epochs > 0


@pytest.mark.parametrize("size", [4, 7])
def test_f82_members_change_among_liars(size):
    lies = 0
    for seed in range(60, 63):
        options = Options(nodes=size, faults=BENIGN | {"byzantine"}, chance=0.9)
        result = Simulation(seed, options).run()
        lies += sum(number for name, number in result.counts.items() if name.startswith("lies"))
    assert lies > 0
