"""What follows a run without liars, when all are well again: how good the service is then.

The first act: f members crash, the primary and those that would follow it. What was doubled before
must be forgotten, so the others serve a client within the bound for no failed views, and the view
they end in is the first whose primary is up (rules 22, 27, 49), though one member does not hear
another's VIEW-CHANGE and has to ask for it (rule 29). The second act: single messages are lost,
all votes on a height or a body on its way to the backups; they are sent again when links come up,
and the view stays (rules 20 and 28). The third act: nobody asks for
anything. Chain time moves all the same, without a view change; and when the primary crashes in
silence another takes its place (rule 36).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from consensus.messages import Commit, Prepare, ViewChange
from tests.simulator.checkers import ViolationError
from tests.simulator.node import SimNode
from tests.simulator.scheduler import NS_PER_MS

if TYPE_CHECKING:
    from tests.simulator.simulation import Simulation

ACT_TTL_MS = 500_000
LOSS_NS = 150 * NS_PER_MS
RESENT_NS = 600 * NS_PER_MS  # below T: nobody is to suspect the primary


class Acts:
    """The acts of one run."""

    def __init__(self, simulation: Simulation) -> None:
        self._run = simulation
        self._timers = simulation.nodes[0].config.timers

    def _wait(self, limit_ns: int, is_done: Callable[[], bool], what: str) -> None:
        scheduler = self._run.scheduler
        scheduler.run_until(scheduler.now_ns + limit_ns, is_done)
        if not is_done():
            raise ViolationError(f"{what}: {self._run.describe()}")

    def _up(self) -> list[SimNode]:
        return [node for node in self._run.nodes if node.is_up]

    def _is_settled(self) -> bool:
        """Tell whether all that are up are at one height and nobody waits."""
        if self._run.clients.pending:
            return False
        heights = {(node.ledger.height, node.replica.stable_height) for node in self._up()}
        return len(heights) == 1 and len(set(*heights)) == 1

    def _is_served(self) -> bool:
        return not self._run.clients.pending

    def _settle(self) -> None:
        self._wait(self._run.compute_bound_ns(), self._is_settled, "not settled within the bound")

    def _working_view(self) -> int:
        views = Counter(node.replica.view for node in self._up() if node.replica.is_normal)
        return views.most_common(1)[0][0]

    def _are_all_in(self, view: int) -> bool:
        return all(node.replica.is_normal and node.replica.view == view for node in self._up())

    def _crash_primaries(self, view: int, count: int) -> None:
        for step in range(count):
            self._run.crash_member((view + step) % self._run.size, "torn")

    def _restart_all(self) -> None:
        for member in range(self._run.size):
            self._run.restart(member)
        self._settle()

    def lose_primaries(self) -> None:
        """Crash f members, the primary first, and ask the others for service."""
        self._run.clients.pending.clear()
        self._run.submit_now(0, ACT_TTL_MS)
        self._settle()
        view, faulty, timers = self._working_view(), self._run.fault_bound, self._timers
        were_all_in = self._are_all_in(view)
        gap = max(node.replica.view for node in self._up()) - view
        self._crash_primaries(view, faulty)
        next_primary = (view + faulty) % self._run.size
        deaf, unheard = [node.index for node in self._up() if node.index != next_primary][:2]
        self._run.network.is_lost = lambda sender, to, payload: (
            (sender, to) == (unheard, deaf) and type(payload) is ViewChange
        )
        self._run.submit_now(self._up()[0].index, ACT_TTL_MS)
        views_ns = sum(
            min(timers.request_ns << step, timers.request_max_ns) for step in range(faulty + gap)
        )
        limit_ns = timers.request_ns + views_ns + 8 * timers.delay_ns + timers.status_ns
        self._wait(limit_ns, self._is_settled, "not served in time after the primary has crashed")
        self._run.count("acts: primaries lost")
        self._run.network.is_lost = None
        ends_in = max(node.replica.view for node in self._up())
        if were_all_in and ends_in != view + faulty:
            raise ViolationError(f"the view after a crash is {ends_in}, want {view + faulty}")
        self._restart_all()

    def _pause(self, length_ns: int) -> None:
        scheduler = self._run.scheduler
        scheduler.run_until(scheduler.now_ns + length_ns, lambda: False)

    def _connect_all(self) -> None:
        for node in self._run.nodes:
            for other in self._run.nodes:
                if other is not node:
                    node.connect(other.index)

    def lose_messages(self) -> None:
        """Lose every vote on a height, then a body: what is lost is sent again in this view."""
        network, view = self._run.network, self._working_view()
        if not self._are_all_in(view):
            return
        primary = view % self._run.size
        home = (primary + 1) % self._run.size
        network.is_lost = lambda sender, to, payload: isinstance(payload, Prepare | Commit)
        self._run.submit_now(home, ACT_TTL_MS)
        self._pause(LOSS_NS)
        network.is_lost = None
        self._connect_all()
        self._pause(LOSS_NS)
        self._connect_all()  # a STATUS too soon after the last one is not answered
        self._wait(RESENT_NS, self._is_served, "lost votes are not sent again (rule 28)")
        network.is_lost = lambda sender, to, payload: (
            type(payload) is tuple and payload[0] == "bodies" and to != primary
        )
        self._run.submit_now(home, ACT_TTL_MS)
        network.is_lost = None
        self._wait(RESENT_NS, self._is_served, "a lost body is not asked for (rule 20)")
        self._settle()
        if not self._are_all_in(view):
            raise ViolationError(f"a view change for lost messages: {self._run.describe()}")
        self._run.count("acts: messages lost")

    def serve(self, length_ms: int) -> None:
        """Ask once in less than a second: in each second a block is committed."""
        up, scheduler = self._up(), self._run.scheduler
        for number in range(length_ms // 1000):
            height = max(node.ledger.height for node in up)
            home = up[number % len(up)].index
            scheduler.at(scheduler.now_ns + 400 * NS_PER_MS, self._run.submit_now, home, ACT_TTL_MS)
            self._pause(1000 * NS_PER_MS)
            if max(node.ledger.height for node in up) <= height:
                raise ViolationError(f"a second without a block: {self._run.describe()}")
            self._run.count("acts: seconds of service")
        self._settle()

    def be_silent(self) -> None:
        """Ask for nothing: an empty batch comes, also when the primary crashes (rule 36)."""
        timers, view = self._timers, self._working_view()
        were_all_in, height = self._are_all_in(view), self._run.nodes[0].ledger.height
        slack_ns = timers.request_ns + 2 * timers.status_ns + 8 * timers.delay_ns
        self._pause(timers.idle_ns + slack_ns)
        if min(node.ledger.height for node in self._up()) <= height:
            raise ViolationError(f"chain time stands still (rule 36): {self._run.describe()}")
        if were_all_in and not self._are_all_in(view):
            raise ViolationError(f"a view change in silence (rules 36, 49): {self._run.describe()}")
        self._settle()
        self._crash_primaries(self._working_view(), 1)
        height = self._run.nodes[0].ledger.height
        limit_ns = 2 * timers.idle_ns + 4 * timers.request_ns + slack_ns
        self._wait(
            limit_ns,
            lambda: min(node.ledger.height for node in self._up()) > height,
            "chain time stands still without its primary (rule 36)",
        )
        self._run.count("acts: silence")
        self._restart_all()
