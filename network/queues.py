"""Bounded, fair queues between the links and the node (rule 48, F69).

`Outbox` holds what is to be sent to one peer: urgent frames go before bulk, each class has a bound
in bytes, and when one is passed the oldest of that class are dropped and counted: consensus sends
votes again until they are answered, and a lost body is asked for. `Inbox` holds what came from all
peers: each has a queue of its own, served one frame in turn; a peer whose queue is full has its
reader wait, so it slows itself and nobody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds for each peer, in bytes of encoded frames; the inbox also counts frames."""

    urgent_bytes: int = 8 * 1024 * 1024
    bulk_bytes: int = 24 * 1024 * 1024
    inbox_bytes: int = 8 * 1024 * 1024
    inbox_frames: int = 2048


class Outbox:
    """Frames that wait to be sent to one peer."""

    __slots__ = ("_bulk", "_bulk_bytes", "_limits", "_urgent", "_urgent_bytes", "_wait", "dropped")

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._urgent: deque[bytes] = deque()
        self._bulk: deque[bytes] = deque()
        self._urgent_bytes = 0
        self._bulk_bytes = 0
        self._wait = trio.lowlevel.ParkingLot()
        self.dropped = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait."""
        return self._urgent_bytes + self._bulk_bytes

    def put(self, frame: bytes, *, is_bulk: bool) -> None:
        """Queue a frame; of too many the oldest of its class go, never the one just put."""
        if is_bulk:
            self._bulk.append(frame)
            self._bulk_bytes += len(frame)
            while self._bulk_bytes > self._limits.bulk_bytes and len(self._bulk) > 1:
                self._bulk_bytes -= len(self._bulk.popleft())
                self.dropped += 1
        else:
            self._urgent.append(frame)
            self._urgent_bytes += len(frame)
            while self._urgent_bytes > self._limits.urgent_bytes and len(self._urgent) > 1:
                self._urgent_bytes -= len(self._urgent.popleft())
                self.dropped += 1
        self._wait.unpark()

    async def wait(self) -> None:
        """Wait until there is something to send; one task waits."""
        while not self._urgent and not self._bulk:
            await self._wait.park()

    def take(self, most_bytes: int) -> list[bytes]:
        """Return about `most_bytes` of frames, urgent ones first; at least one if there is one."""
        frames: list[bytes] = []
        taken = 0
        while self._urgent and taken < most_bytes:
            frame = self._urgent.popleft()
            self._urgent_bytes -= len(frame)
            taken += len(frame)
            frames.append(frame)
        while self._bulk and taken < most_bytes:
            frame = self._bulk.popleft()
            self._bulk_bytes -= len(frame)
            taken += len(frame)
            frames.append(frame)
        return frames


class _Lane(Generic[T]):
    """One peer's part of the inbox."""

    __slots__ = ("items", "size", "wait")

    def __init__(self) -> None:
        self.items: deque[tuple[T, int]] = deque()
        self.size = 0
        self.wait = trio.lowlevel.ParkingLot()


class Inbox(Generic[K, T]):
    """Received items of all peers, handed out one peer after the other."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._lanes: dict[K, _Lane[T]] = {}
        self._ready: deque[K] = deque()
        self._wait = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return sum(len(lane.items) for lane in self._lanes.values())

    def forget(self, peer: K) -> None:
        """Drop what one peer has sent and let its reader go on."""
        lane = self._lanes.pop(peer, None)
        if lane is None:
            return
        if lane.items:
            self._ready.remove(peer)
        lane.items.clear()
        lane.size = 0
        lane.wait.unpark_all()

    async def put(self, peer: K, items: Sequence[tuple[T, int]]) -> None:
        """Append (item, bytes) pairs of one peer, then wait while its queue is over its bounds."""
        lane = self._lanes.get(peer)
        if lane is None:
            lane = self._lanes[peer] = _Lane()
        if items:
            if not lane.items:
                self._ready.append(peer)
            lane.items.extend(items)
            lane.size += sum(size for _, size in items)
            self._wait.unpark()
        while self._is_full(lane):
            await lane.wait.park()

    def _is_full(self, lane: _Lane[T]) -> bool:
        limits = self._limits
        return lane.size > limits.inbox_bytes or len(lane.items) > limits.inbox_frames

    async def take(self, most: int) -> list[tuple[K, T]]:
        """Return 1 to `most` (peer, item) pairs, one of each ready peer in turn; one task takes."""
        while not self._ready:
            await self._wait.park()
        taken: list[tuple[K, T]] = []
        while self._ready and len(taken) < most:
            peer = self._ready.popleft()
            lane = self._lanes[peer]
            item, size = lane.items.popleft()
            lane.size -= size
            taken.append((peer, item))
            if lane.items:
                self._ready.append(peer)
            if not self._is_full(lane):
                lane.wait.unpark_all()
        return taken
