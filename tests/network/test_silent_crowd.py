"""F63: a connection that says nothing, or goes again, costs the node no TLS."""

from __future__ import annotations

from functools import partial

import trio

from network.listener import Listener, ListenerLimits
from network.tls import SecureStream

COMERS = 40


class CountingTls:
    """Takes note of each handshake that is begun, and refuses to go on."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.count = 0

    async def accept(self, stream: trio.abc.Stream, address: str) -> SecureStream | None:
        self.count += 1
        self.begun.set()
        return None


async def _never(_secure: SecureStream) -> None:
    raise AssertionError("nobody got through")


def test_f63_only_who_speaks_costs_a_handshake() -> None:
    tls = CountingTls()
    listener = Listener(tls, _never, _never, ListenerLimits(handshakes=COMERS // 2))  # type: ignore[arg-type]

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(partial(listener.run, "127.0.0.1", 0))
            silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(COMERS)]
            for _ in range(COMERS):
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            speaker = await trio.open_tcp_stream("127.0.0.1", port)
            await speaker.send_all(b"\x16")
            with trio.fail_after(120):
                await tls.begun.wait()
            for stream in (*silent, speaker):
                await stream.aclose()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert tls.count == 1
