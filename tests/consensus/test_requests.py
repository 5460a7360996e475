"""The pool of requests: places, turns, bodies kept and let go (rules 17, 20, 22, F30, F31)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consensus import effects as fx
from consensus.events import Request, RequestReceived, Timer
from consensus.requests import PLACES_SLACK, QUEUE_SLACK, RequestPool
from tests.consensus.harness import EXPIRES_MS, WALL_MS, Bench, make_config, of_kind, tx


def pool_with(*requests: Request) -> RequestPool:
    """Return a pool of four members that took these in."""
    pool = RequestPool(make_config(4, 0))
    for request in requests:
        assert pool.add(request, is_local=False)
    return pool


def request(number: int, origin: int, size: int = 100, expires_at_ms: int = EXPIRES_MS) -> Request:
    """Return a request for a made-up transaction."""
    return Request(tx(number), size, expires_at_ms, origin)


def test_a_flooding_member_takes_only_its_own_places():  # rule 22, F30
    bench = Bench(index=1)
    places = bench.config.limits.places
    effects = bench.add_bodies(*range(2 * places + 1), origin=2)
    assert of_kind(effects, fx.ForgetRequests) == [fx.ForgetRequests((tx(2 * places),))]
    assert bench.replica.free_places(2) == 0
    assert bench.replica.free_places(3) == places


def test_places_grow_with_size():  # rule 22: what it costs to execute
    pool = pool_with(request(1, 2, size=2048))
    assert pool.free_places(2) == 8 - 3


def test_body_that_a_proposal_waits_for_is_taken_without_a_place():  # rule 20
    bench = Bench(index=1)
    bench.add_bodies(*range(16), origin=2)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 99)))
    assert of_kind(bench.add_bodies(99, origin=2), fx.ForgetRequests) == []


def test_places_are_free_again_after_execution():
    bench = Bench(index=1)
    bench.add_bodies(1, 2, origin=2)
    assert bench.replica.free_places(2) == 6
    bench.commit_height(bench.make.batch(1, 1, 2))
    assert bench.replica.free_places(2) == 8


def test_request_of_two_members_is_executed_once_and_frees_both():  # F31
    pool = pool_with(request(1, 2), request(1, 3))
    assert pool.take(WALL_MS) == [tx(1)]
    assert pool.take(WALL_MS) == []
    pool.mark_in_batch([tx(1)], 1, 0)
    assert pool.process_executed([tx(1)], 1)
    assert (pool.free_places(2), pool.free_places(3)) == (8, 8)
    assert not pool.process_executed([tx(1)], 2)


def test_executed_request_is_not_taken_in_again():  # rule 14, F31
    bench = Bench(index=1)
    bench.add_bodies(1)
    bench.commit_height(bench.make.batch(1, 1))
    assert of_kind(bench.add_bodies(1), fx.ForgetRequests) == [fx.ForgetRequests((tx(1),))]
    assert bench.replica.pending_count == 0


def test_batch_is_bounded_by_count_and_bytes():  # rule 17
    pool = pool_with(*(request(number, 2, size=1500) for number in range(3)))
    assert pool.take(WALL_MS) == [tx(0), tx(1)]
    assert pool.take(WALL_MS) == [tx(2)]


def test_one_request_above_the_bytes_of_a_batch_goes_alone():
    pool = pool_with(request(1, 2, size=5000), request(2, 3))
    assert pool.take(WALL_MS) == [tx(1)]
    assert pool.take(WALL_MS) == [tx(2)]


def test_primary_leaves_out_what_is_expired_or_expires_too_late():  # rules 17 and 51
    late_ms = WALL_MS + 600_001
    pool = pool_with(request(1, 2, expires_at_ms=WALL_MS), request(2, 2, expires_at_ms=late_ms))
    assert pool.take(WALL_MS) == []
    assert pool.take(WALL_MS + 1) == [tx(2)]


def test_expired_request_is_forgotten_after_the_skew():  # rules 20 and 22
    bench = Bench(index=1)
    bench.add_bodies(1)
    bench.wait(300_000)
    assert of_kind(bench.fire(Timer.STATUS), fx.ForgetRequests) == []
    bench.wait(2_000)
    assert of_kind(bench.fire(Timer.STATUS), fx.ForgetRequests) == [fx.ForgetRequests((tx(1),))]


def test_body_behind_a_prepare_is_kept_past_its_expiry_and_the_view():  # rule 20
    bench = Bench(index=3)
    bench.add_bodies(1)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1)))
    changes = [bench.make.view_change(1, by) for by in (0, 1, 2)]
    bench.receive(*changes, bench.make.new_view(1, changes))
    bench.wait(400_000)
    forgotten = of_kind(bench.fire(Timer.STATUS), fx.ForgetRequests)
    assert all(tx(1) not in effect.hashes for effect in forgotten)


def test_bodies_are_let_go_when_their_block_is_stable():  # rule 20
    bench = Bench(index=1)
    bench.add_bodies(1)
    bench.commit_height(bench.make.batch(1, 1))
    assert of_kind(bench.effects, fx.ForgetRequests) == []
    bench.certify_height(1)
    assert of_kind(bench.effects, fx.ForgetRequests) == [fx.ForgetRequests((tx(1),))]


def test_request_in_a_lost_proposal_is_proposed_again_in_the_next_view():  # section 4.4
    bench = Bench(index=1)
    bench.add_bodies(1)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1)))
    changes = [bench.make.view_change(1, by) for by in (0, 2)]
    bench.receive(*changes)
    proposed = [item.message for item in of_kind(bench.effects, fx.Broadcast)]
    batches = [item.batch for item in proposed if hasattr(item, "batch")]
    assert [batch.transactions for batch in batches] == [(tx(1),)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=60))
def test_turns_are_those_of_a_naive_model(arrivals):  # rule 22
    pool, queues, seen = pool_with(), [[], [], [], []], set()
    for number, origin in arrivals:
        if number not in seen and pool.add(request(number, origin), is_local=False):
            seen.add(number)
            queues[origin].append(tx(number))
    expected, member = [], 0
    while any(queues):
        while not queues[member % 4]:
            member += 1
        expected.append(queues[member % 4].pop(0))
        member += 1
    taken = []
    while batch := pool.take(WALL_MS):
        taken += batch
    assert taken == expected


def test_local_request_is_spread_by_the_shell_and_not_relayed_at_once():  # rule 22
    bench = Bench(index=1)
    effects = bench.handle(RequestReceived(request(1, 1), is_local=True))
    assert of_kind(effects, fx.RelayRequests) == []


def test_request_that_finds_no_place_is_looked_at_later_not_at_once():  # found by seed 9 of n = 5
    bench = Bench(index=1)
    bench.handle(RequestReceived(request(1, 1, size=1500), is_local=True))
    bench.handle(RequestReceived(request(2, 1, size=1024 * 7), is_local=True))
    bench.wait(500)
    timers = of_kind(bench.fire(Timer.REQUEST), fx.SetTimer)
    assert [timer.after_ns for timer in timers] == [bench.config.timers.request_ns // 8]


def test_body_behind_an_own_vote_is_kept_though_all_places_are_taken():  # rule 20
    bench = Bench()
    bench.add_bodies(1, origin=3)
    bench.receive(bench.make.pre_prepare(0, bench.make.batch(1, 1)))
    bench.wait(10_000)
    bench.add_bodies(2, origin=1)
    bench.wait(10_000)
    bench.fire(Timer.REQUEST)
    assert not bench.replica.is_normal
    again = Bench(records=bench.records)
    most = PLACES_SLACK * again.config.limits.places
    again.add_bodies(*range(100, 100 + most), origin=3)
    assert of_kind(again.add_bodies(99, origin=3), fx.ForgetRequests) == [
        fx.ForgetRequests((tx(99),))
    ]
    assert of_kind(again.add_bodies(1, origin=3), fx.ForgetRequests) == []


def test_queues_of_a_backup_do_not_grow_with_what_others_order():  # rule 48
    pool = pool_with()
    for number in range(3000):
        assert pool.add(request(number, 2), is_local=False)
        pool.mark_in_batch((tx(number),), number + 1, 0)
        pool.process_executed((tx(number),), number + 1)
    assert max(len(queue) for queue in pool._queues) <= QUEUE_SLACK
    for number in range(3000, 3010):
        assert pool.add(request(number, 2), is_local=False)
    assert pool.take(WALL_MS) == [tx(3000), tx(3001), tx(3002)]
