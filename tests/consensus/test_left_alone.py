"""A member that left a view alone does not come back by itself, and costs little (ADR 0011)."""

from __future__ import annotations

from tests.simulator.schedule import parse_schedule
from tests.simulator.scheduler import NS_PER_MS
from tests.simulator.simulation import Simulation

# Member 3 is cut off with a client's transaction, leaves view 0 for it, and hears the others again.
STORY = """
nodes 4
seed 7
calm-after 9000
at 300 cut 3|* for 2500
at 350 submit a to 3
at 4500 submit b to 3
at 6000 crash 2 for 3000
at 6100 submit c to 0
"""


def _run_until(run: Simulation, at_ms: int) -> None:
    run.scheduler.run_until(at_ms * NS_PER_MS, lambda: False)


def _views(run: Simulation) -> list[tuple[int, bool]]:
    return [(node.replica.view, node.replica.is_normal) for node in run.nodes]


def test_member_that_left_alone_follows_and_votes_again_in_the_next_view():  # rules 23 and 26
    run = Simulation(0, schedule=parse_schedule(STORY.splitlines()))
    for node in run.nodes:
        node.start()
    _run_until(run, 5900)
    assert _views(run) == [(0, True)] * 3 + [(1, False)]
    assert not run.clients.pending  # its own client is served too
    assert {node.ledger.height for node in run.nodes} == {2}
    timers = run.nodes[0].config.timers
    recovery_ms = (2 * timers.request_ns + timers.status_ns + 8 * timers.delay_ns) // NS_PER_MS
    _run_until(run, 6100 + recovery_ms)  # one view change
    assert not run.clients.pending
    assert [run.nodes[member].replica.view for member in (0, 1, 3)] == [1, 1, 1]
    assert all(run.nodes[member].replica.is_normal for member in (0, 1, 3))
    _run_until(run, 12_000)
    assert _views(run) == [(1, True)] * 4
