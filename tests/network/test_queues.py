"""The queues between links and node: bounded, urgent first, fair (rule 48, F69)."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from network.queues import Inbox, Outbox, QueueLimits
from tests.network.support import run

LIMITS = QueueLimits(urgent_bytes=10, bulk_bytes=20, inbox_bytes=100, inbox_frames=3)


def test_urgent_frames_overtake_bulk() -> None:
    box = Outbox(LIMITS)
    box.put(b"bulk1", is_bulk=True)
    box.put(b"vote1", is_bulk=False)
    box.put(b"bulk2", is_bulk=True)
    box.put(b"vote2", is_bulk=False)
    assert box.pending_bytes == 20
    assert box.take(11) == [b"vote1", b"vote2", b"bulk1"]
    assert box.take(11) == [b"bulk2"]
    assert box.take(11) == []
    assert box.pending_bytes == 0


def test_oldest_bulk_is_dropped_and_votes_are_kept() -> None:
    box = Outbox(LIMITS)
    box.put(b"vote", is_bulk=False)
    for number in range(6):
        box.put(b"bulk%d" % number, is_bulk=True)
    assert box.dropped == 2
    assert box.take(1000) == [b"vote", b"bulk2", b"bulk3", b"bulk4", b"bulk5"]


def test_frame_above_the_bound_is_still_sent() -> None:
    box = Outbox(LIMITS)
    box.put(b"x" * 50, is_bulk=True)
    assert box.dropped == 0
    assert len(box.take(1)) == 1


def test_each_peer_has_its_turn() -> None:
    async def attempt() -> list[int]:
        inbox: Inbox[int, str] = Inbox(QueueLimits())
        await inbox.put(1, [("flood", 1)] * 1000)
        await inbox.put(2, [("a", 1), ("b", 1)])
        await inbox.put(3, [("c", 1)])
        assert len(inbox) == 1003
        return [peer for peer, _ in await inbox.take(6)]

    assert run(attempt) == [1, 2, 3, 1, 2, 1]


def test_order_of_one_peer_is_kept() -> None:
    async def attempt() -> list[int]:
        inbox: Inbox[int, int] = Inbox(QueueLimits())
        await inbox.put(2, [(-1, 1)] * 10)
        await inbox.put(1, [(number, 1) for number in range(50)])
        got: list[int] = []
        while len(inbox):
            got += [item for peer, item in await inbox.take(7) if peer == 1]
        return got

    assert run(attempt) == list(range(50))


def test_full_peer_waits_and_nobody_else_does() -> None:
    async def attempt() -> None:
        inbox: Inbox[int, str] = Inbox(LIMITS)
        finished: list[int] = []

        async def put(peer: int, count: int) -> None:
            await inbox.put(peer, [("x", 1)] * count)
            finished.append(peer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(put, 1, 5)
            await wait_all_tasks_blocked()
            nursery.start_soon(put, 2, 2)
            await wait_all_tasks_blocked()
            assert finished == [2]
            assert len(await inbox.take(4)) == 4
        assert finished == [2, 1]

    run(attempt)


def test_bytes_bound_the_inbox_too() -> None:
    async def attempt() -> None:
        inbox: Inbox[int, str] = Inbox(LIMITS)
        with trio.move_on_after(0) as scope:
            await inbox.put(1, [("x", 101)])
        assert scope.cancelled_caught
        assert await inbox.take(5) == [(1, "x")]  # what was put stays put

    run(attempt)
