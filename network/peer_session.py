"""One live link to another member's node: frames out of a queue, frames in, keep-alives.

A session lives from the exchange of hellos to the first error of either direction; who keeps it and
makes the next one is `network.peers`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from ledger.errors import Code, CreditLedgerError, Refused, RemoteError
from network.frames import WRITE_BYTES, FrameLink
from network.queues import Outbox
from network.wire import Hello, PeerFrame, Ping, Pong, decode_peer_frame, encode_peer_frame

# Takes what was received, each frame with its bytes, and returns when there is room for more.
Put: TypeAlias = Callable[[Sequence[tuple[PeerFrame, int]]], Awaitable[None]]


@dataclass(slots=True)
class PeerCounters:
    """What one peer cost and gave since the start; read by metrics."""

    sessions: int = 0
    failures: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    dropped: int = 0
    round_trip_ms: float | None = None
    last_error: str = ""


@dataclass(slots=True)
class PeerSession:
    """One live link; `error` is what ended it, if anything did."""

    link: FrameLink
    outbox: Outbox
    counters: PeerCounters
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    error: CreditLedgerError | None = None
    ping_number: int = 0
    ping_sent: float = 0.0

    def end(self, error: CreditLedgerError) -> None:
        """Stop both directions; the first reason stays."""
        self.error = self.error or error
        self.scope.cancel()

    async def exchange(self, rest: Sequence[bytes], put: Put, ping_s: float) -> None:
        """Send and receive until an error ends it; `rest` came in behind the hello."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._ping, ping_s)
            try:
                await self._take_in(rest, put)
                while frames := await self.link.receive():
                    await self._take_in(frames, put)
                raise RemoteError(self.link.peer, Code.CONNECTION_LOST, "closed by the peer")
            except CreditLedgerError as error:
                self.end(error)

    async def _take_in(self, frames: Sequence[bytes], put: Put) -> None:
        """Decode frames of one read, answer keep-alives, and pass on the rest."""
        self.counters.frames_received += len(frames)
        items: list[tuple[PeerFrame, int]] = []
        for data in frames:
            frame = decode_from(self.link.peer, data)
            if isinstance(frame, Ping):
                self.outbox.put(encode_peer_frame(Pong(frame.number)), is_bulk=False)
            elif isinstance(frame, Pong):
                if frame.number == self.ping_number:
                    self.counters.round_trip_ms = (trio.current_time() - self.ping_sent) * 1000
            elif isinstance(frame, Hello):
                raise RemoteError(self.link.peer, Code.PEER_PROTOCOL, "a second hello")
            else:
                items.append((frame, len(data)))
        await put(items)

    async def _write(self) -> None:
        try:
            while True:
                await self.outbox.wait()
                frames = self.outbox.take(WRITE_BYTES)
                self.counters.frames_sent += len(frames)
                await self.link.send(frames)
        except CreditLedgerError as error:
            self.end(error)

    async def _ping(self, ping_s: float) -> None:
        while True:
            await trio.sleep(ping_s)
            self.ping_number += 1
            self.ping_sent = trio.current_time()
            self.outbox.put(encode_peer_frame(Ping(self.ping_number)), is_bulk=False)


def decode_from(member: str, data: bytes) -> PeerFrame:
    """Return the frame in a payload from `member`; raise `RemoteError` (10xx, 5002)."""
    try:
        return decode_peer_frame(data)
    except Refused as error:
        raise RemoteError(member, error.code, error.message) from None
