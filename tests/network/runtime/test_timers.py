"""Timers fire in order of time, once, and the latest setting counts."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from consensus.events import Timer
from network.runtime.timers import TimerService

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
