"""A crowd at the door: connections that say nothing, say it slowly, or come and go (F63).

It keeps `size` TCP connections to one address, as far as the node lets them live: a third open and
silent, a third that send a byte of a TLS record every ten seconds, a third that close as soon as
they are open. Whatever the node drops comes again after a pause, so the crowd stays.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field

import trio

BYTE_S = 10.0
AGAIN_S = 1.0
OPEN_A_SECOND = 500.0
_RECORD = b"\x16\x03\x01\x02\x00" + bytes(512)


@dataclass(slots=True)
class Crowd:
    """Connections to `host`:`port`; `seen` counts what became of them."""

    host: str
    port: int
    size: int
    seen: Counter[str] = field(default_factory=Counter)
    open_now: int = 0

    async def run(self) -> None:
        """Keep the crowd, until cancelled."""
        async with trio.open_nursery() as nursery:
            for number in range(self.size):
                nursery.start_soon(self._keep, number % 3)
                await trio.sleep(1 / OPEN_A_SECOND)

    async def _keep(self, manner: int) -> None:
        while True:
            try:
                stream = await trio.open_tcp_stream(self.host, self.port)
            except OSError:
                self.seen["refused"] += 1
            else:
                self.seen["opened"] += 1
                await self._stay(stream, manner)
            await trio.sleep(AGAIN_S)

    async def _stay(self, stream: trio.SocketStream, manner: int) -> None:
        self.open_now += 1
        try:
            if manner == 0:
                await stream.receive_some(1)
            elif manner == 1:
                for number in itertools.count():
                    await stream.send_all(_RECORD[number % len(_RECORD) :][:1])
                    await trio.sleep(BYTE_S)
        except trio.BrokenResourceError:
            self.seen["reset"] += 1
        finally:
            self.open_now -= 1
            await trio.aclose_forcefully(stream)
