"""The one port of a node, over real sockets and against hostile ones (F63, F67)."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from ledger.errors import Code, LocalError
from network.connection import open_connection
from network.gateway import Gateway
from network.listener import RESERVED_DESCRIPTORS, Listener, ListenerLimits
from network.profile import NodeAddress
from network.tls import PEER_PROTOCOL, SecureStream
from network.wire import Request
from tests.network.support import CHAIN, Consortium, run


class Seen:
    """Remembers whom it was handed."""

    def __init__(self) -> None:
        self.identities: list[str] = []

    async def serve(self, secure: SecureStream) -> None:
        """Take note, and end the link."""
        self.identities.append(str(secure.identity))


async def _echo(_client: object, request: Request) -> str:
    return request.method


def test_one_port_serves_nodes_and_clients(consortium: Consortium) -> None:
    async def attempt() -> None:
        peers = Seen()
        gateway = Gateway(chain_id=CHAIN, member="tax", members=4, handler=_echo)
        listener = Listener(consortium.node("tax"), peers.serve, gateway.serve)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(listener.run, "127.0.0.1", 0)
            node = NodeAddress("tax", "127.0.0.1", port)
            client = await open_connection(nursery, consortium.client("treasury"), node, CHAIN)
            assert await client.call("head", {}, 5) == "head"
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            secure = await consortium.node("treasury").connect(stream, PEER_PROTOCOL, "tax", "x")
            assert await secure.stream.receive_some() == b""
            assert peers.identities == ["creditledger:node:treasury"]
            assert listener.counters.accepted == 2
            nursery.cancel_scope.cancel()

    run(attempt)


def test_port_in_use_is_said(consortium: Consortium) -> None:
    async def attempt() -> None:
        listener = Listener(consortium.node("tax"), Seen().serve, Seen().serve)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(listener.run, "127.0.0.1", 0)
            with pytest.raises(LocalError, match=f"port {port} of 127.0.0.1 is in use") as failure:
                await listener.run("127.0.0.1", port)
            assert failure.value.code == Code.PORT_IN_USE
            nursery.cancel_scope.cancel()

    run(attempt)


def test_address_that_is_not_ours_is_said(consortium: Consortium) -> None:
    async def attempt() -> None:
        listener = Listener(consortium.node("tax"), Seen().serve, Seen().serve)
        with pytest.raises(LocalError, match=r"cannot listen on 192\.0\.2\.1:7000") as failure:
            await listener.run("192.0.2.1", 7000)
        assert failure.value.code == Code.CONFIG_INVALID

    run(attempt)


def test_plaintext_and_closed_connections_leave_the_listener_whole(consortium: Consortium) -> None:
    async def attempt() -> None:
        gateway = Gateway(chain_id=CHAIN, member="tax", members=4, handler=_echo)
        listener = Listener(consortium.node("tax"), Seen().serve, gateway.serve)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(listener.run, "127.0.0.1", 0)
            for data in (b"GET / HTTP/1.0\r\n\r\n", b"", b"\x16\x03\x01"):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                await stream.send_all(data)
                await stream.send_eof()
                with suppress(trio.BrokenResourceError):  # reset, or ended: both are refusals
                    assert await stream.receive_some() == b""
                await stream.aclose()
            node = NodeAddress("tax", "127.0.0.1", port)
            client = await open_connection(nursery, consortium.client("treasury"), node, CHAIN)
            assert await client.call("head", {}, 5) == "head"
            assert listener.counters.refused == 3
            nursery.cancel_scope.cancel()

    run(attempt)


def test_handshake_has_a_deadline(consortium: Consortium) -> None:
    clock = MockClock()

    async def attempt() -> None:
        listener = Listener(consortium.node("tax"), Seen().serve, Seen().serve)
        near, far = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.take, far, "10.0.0.9")
            await wait_all_tasks_blocked()
            clock.jump(6)
        assert await near.receive_some() == b""
        assert listener.counters.timed_out == 1

    run(attempt, clock)


def test_crowd_of_silent_connections_does_not_keep_a_member_out(consortium: Consortium) -> None:
    """F63: the oldest of the most crowded address gives way."""
    clock = MockClock()

    async def attempt() -> None:
        peers = Seen()
        limits = ListenerLimits(handshakes=10)
        listener = Listener(consortium.node("tax"), peers.serve, Seen().serve, limits)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.take, memory_stream_pair()[0], "10.0.0.7")
            await wait_all_tasks_blocked()
            crowd = [memory_stream_pair() for _ in range(30)]
            for near, _ in crowd:
                nursery.start_soon(listener.take, near, "10.0.0.66")
                await wait_all_tasks_blocked()
            near, far = memory_stream_pair()
            nursery.start_soon(listener.take, far, "10.0.0.3")
            await consortium.node("treasury").connect(near, PEER_PROTOCOL, "tax", "there")
            await wait_all_tasks_blocked()
            assert peers.identities == ["creditledger:node:treasury"]
            assert listener.counters.crowded_out == 22
            assert len(listener._pending) == 9
            assert "10.0.0.7" in listener._pending.values()
            nursery.cancel_scope.cancel()

    run(attempt, clock)


def test_f48_last_descriptors_are_kept_for_the_nodes_own_files(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt() -> None:
        listener = Listener(consortium.node("tax"), Seen().serve, Seen().serve)
        async with trio.open_nursery() as nursery:
            port = await nursery.start(listener.run, "127.0.0.1", 0)
            gc.collect()  # what other tests left open must not come free between the two
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            few = stream.socket.fileno() + RESERVED_DESCRIPTORS
            monkeypatch.setattr("resource.getrlimit", lambda _: (few, few))
            async with stream, await trio.open_tcp_stream("127.0.0.1", port) as late:
                assert await late.receive_some() == b""
            assert listener.counters.refused >= 1
            nursery.cancel_scope.cancel()

    run(attempt)
