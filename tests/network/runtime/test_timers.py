"""Timers fire in order of time, once, and the latest setting counts."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from consensus.events import Timer
from network.runtime.timers import PUT_OFF_S_MAX, TimerService

SECOND = 1_000_000_000


def run(steps):
    """Return the (time, timer) pairs fired within ten seconds after `steps(service)`."""
    fired: list[tuple[float, Timer]] = []

    async def main() -> None:
        start = trio.current_time()

        async def fire(timer: Timer) -> None:
            fired.append((round(trio.current_time() - start, 6), timer))

        service = TimerService(fire)
        with trio.move_on_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.run)
                steps(service)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return fired


def test_timers_fire_in_order_of_time():
    def steps(service):
        service.set(Timer.REQUEST, 3 * SECOND)
        service.set(Timer.BATCH, SECOND)

    assert run(steps) == [(1, Timer.BATCH), (3, Timer.REQUEST)]


def test_setting_again_replaces_and_cancelling_stops():
    def steps(service):
        service.set(Timer.REQUEST, SECOND)
        service.set(Timer.REQUEST, 5 * SECOND)
        service.set(Timer.BATCH, 2 * SECOND)
        service.cancel(Timer.BATCH)
        service.cancel(Timer.IDLE)

    assert run(steps) == [(5, Timer.REQUEST)]


def run_paused(steps, pauses):
    """Return what fired when; the loop stands still for the seconds of each pause."""
    fired: list[tuple[float, Timer]] = []
    clock = MockClock()

    async def main() -> None:
        start = trio.current_time()

        async def fire(timer: Timer) -> None:
            fired.append((round(trio.current_time() - start, 6), timer))

        service = TimerService(fire)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.run)
            steps(service)
            for seconds in pauses:
                await wait_all_tasks_blocked()
                clock.jump(seconds)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    return fired


def test_node_that_did_not_run_reads_what_waits_before_it_accuses():
    def steps(service):
        for timer in (Timer.REQUEST, Timer.IDLE, Timer.NEW_VIEW, Timer.BATCH):
            service.set(timer, SECOND)

    assert run_paused(steps, [3.0]) == [(3, Timer.BATCH)]
    late = [(4, timer) for timer in (Timer.REQUEST, Timer.IDLE, Timer.NEW_VIEW)]
    assert run_paused(steps, [3.0, PUT_OFF_S_MAX]) == [(3, Timer.BATCH), *late]


def test_accusation_is_put_off_once_for_each_setting():
    def steps(service):
        service.set(Timer.REQUEST, SECOND)

    assert run_paused(steps, [3.0, 5.0]) == [(8, Timer.REQUEST)]


def test_little_late_is_not_late_and_a_short_pause_puts_off_little():
    def steps(service):
        service.set(Timer.REQUEST, SECOND)

    assert run_paused(steps, [1.09]) == [(1.09, Timer.REQUEST)]
    assert run_paused(steps, [1.11, 0.87]) == []
    assert run_paused(steps, [1.11, 0.89]) == [(2, Timer.REQUEST)]


def test_timer_that_is_cancelled_or_set_again_while_it_is_put_off():
    fired: list[Timer] = []
    clock = MockClock()

    async def main() -> None:
        async def fire(timer: Timer) -> None:
            fired.append(timer)

        service = TimerService(fire)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.run)
            service.set(Timer.REQUEST, SECOND)
            service.set(Timer.IDLE, SECOND)
            await wait_all_tasks_blocked()
            clock.jump(3)
            await wait_all_tasks_blocked()
            service.cancel(Timer.IDLE)
            service.set(Timer.REQUEST, 5 * SECOND)
            clock.jump(4.9)
            await wait_all_tasks_blocked()
            assert fired == []
            clock.jump(0.1)
            await wait_all_tasks_blocked()
            assert fired == [Timer.REQUEST]
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
