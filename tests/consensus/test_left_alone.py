"""A member that left a view alone does not come back by itself, and costs little (ADR 0011).

It follows by blocks as they are certified, so that its own clients wait little longer than others.
"""

from __future__ import annotations

import pytest

from consensus import effects as fx
from consensus.events import BlockInstalled, FetchFailed, Timer
from consensus.messages import Checkpoint, Prepare, StableCertificate
from tests.consensus.harness import Bench, block_hash_of, of_kind, said, tx
from tests.simulator.model_ledger import ModelBlock
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


class Waits(Simulation):
    """Notes how long each transaction takes until it is certified at the node that took it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(0, schedule=parse_schedule(lines))
        self._begun: dict[bytes, tuple[int, int]] = {}
        self.waits_ms: list[int] = []

    def submit(self, name: str, home: int, ttl_ms: int, size: int) -> None:
        before = set(self.bodies)
        super().submit(name, home, ttl_ms, size)
        for digest in set(self.bodies) - before:
            self._begun[digest] = (home, self.scheduler.now_ns)

    def on_certified(self, member: int, block: ModelBlock) -> None:
        for digest in block.transactions:
            home, begun_ns = self._begun.get(digest, (None, 0))
            if home == member:
                del self._begun[digest]
                self.waits_ms.append((self.scheduler.now_ns - begun_ns) // NS_PER_MS)
        super().on_certified(member, block)


@pytest.mark.parametrize("every_ms", [300, 50])
def test_clients_of_a_member_that_left_alone_wait_little_longer(every_ms):  # rules 23, 28 and 42
    lines = STORY.splitlines()[:6]
    ends_ms = range(4500, 8500, every_ms)
    lines += [f"at {at_ms} submit t{at_ms} to 3" for at_ms in ends_ms]
    run = Waits(lines)
    for node in run.nodes:
        node.start()
    _run_until(run, 9000)
    assert _views(run) == [(0, True)] * 3 + [(1, False)]
    assert len(run.waits_ms) == len(ends_ms) + 1
    # Those of the others wait for 48 ms at most; here a block travels once more.
    assert max(run.waits_ms[1:]) < 100


def test_what_was_taken_while_the_links_were_down_is_offered_when_they_are_up():  # rule 22
    lines = [line for line in STORY.splitlines()[:5] if line]
    lines.append("at 1000 flood 3 every 5000 for 4000")  # a client that does not ask again
    run = Waits(lines)
    for node in run.nodes:
        node.start()
    taken = set(run.bodies)
    _run_until(run, 2700)
    (lost,) = (
        digest for digest in run.bodies if digest not in taken and digest in run.nodes[3].bodies
    )
    assert all(lost not in node.bodies for node in run.nodes[:3])
    _run_until(run, 4100)  # the links are up at 2800; a status period later it is known to all
    assert _views(run) == [(0, True)] * 3 + [(1, False)]
    assert all(lost in node.ledger.seen for node in run.nodes)


HASH = b"\x31" * 32


def _gone(size: int = 4) -> Bench:
    """Return a replica that has left view 0 alone."""
    bench = Bench(size, index=3)
    bench.add_bodies(1, origin=3)
    bench.wait(1500)
    bench.fire(Timer.REQUEST)
    assert bench.replica.view == 1
    assert not bench.replica.is_normal
    return bench


def _show(bench: Bench, height: int) -> list[fx.FetchBlocks]:
    certificate = bench.make.certificate(height, _hash(bench, height), (0, 1, 2))
    effects = bench.receive(StableCertificate(0, certificate), sender=2)
    return of_kind(effects, fx.FetchBlocks)


def _hash(bench: Bench, height: int) -> bytes:
    return block_hash_of(height, HASH)


def _install(bench: Bench, height: int) -> list[fx.Effect]:
    view = bench.config_view()
    return bench.handle(BlockInstalled(height, _hash(bench, height), HASH, 0, (), None, view))


def test_who_left_a_view_fetches_each_certified_block_at_once():  # rules 23, 28
    bench = _gone()
    assert [fetch.certificate.height for fetch in _show(bench, 1)] == [1]
    assert _show(bench, 2) == []  # one fetch at a time
    effects = _install(bench, 1)
    assert [fetch.certificate.height for fetch in of_kind(effects, fx.FetchBlocks)] == [2]
    assert said([*effects, *_install(bench, 2)], Prepare | Checkpoint) == []  # rules 23 and 42


def test_who_left_a_view_asks_the_same_source_while_it_serves():  # rule 41, F26
    bench = _gone()
    for height in range(1, 5):
        assert [fetch.sources for fetch in _show(bench, height)] == [(0, 1, 2)]
        _install(bench, height)
    _show(bench, 5)
    again = of_kind(bench.fire(Timer.CATCH_UP), fx.FetchBlocks)
    assert [fetch.sources for fetch in again] == [(1, 2, 0)]
    _install(bench, 5)
    assert [fetch.sources for fetch in _show(bench, 6)] == [(1, 2, 0)]


def test_who_left_a_view_does_not_ask_without_end():  # rule 28
    bench = _gone()
    assert len(_show(bench, 1)) == 1
    assert of_kind(bench.handle(FetchFailed(1)), fx.FetchBlocks) == []
    assert _show(bench, 2) == []
    again = of_kind(bench.fire(Timer.CATCH_UP), fx.FetchBlocks)
    assert [(fetch.certificate.height, fetch.sources) for fetch in again] == [(2, (1, 2, 0))]


def test_who_left_a_view_offers_its_own_requests_oldest_first():  # rule 22
    bench = _gone()
    places = bench.config.limits.places
    bench.add_bodies(*range(2, places + 4), origin=3)
    bench.add_bodies(90, origin=2)
    own = tuple(tx(number) for number in range(1, places + 1))
    offers = of_kind(bench.fire(Timer.STATUS), fx.RelayRequests)
    assert sorted(offer.to for offer in offers) == [0, 1, 2]
    assert {offer.hashes for offer in offers} == {own}
