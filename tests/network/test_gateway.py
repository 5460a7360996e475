"""The gateway: answers, refusals with their numbers, BUSY, and no client at another's cost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ledger.encoding import Value, encode
from ledger.errors import Code, LocalError, Refused, RemoteError
from network.allowance import AllowanceLimits
from network.certificates import ClientIdentity
from network.connection import Connection, NodeError, open_connection
from network.frames import CLIENT_LINK, FrameLink
from network.gateway import (
    BUSY_REST_S,
    BUSY_REST_S_MAX,
    MEMBER_FACTOR,
    Gateway,
    GatewayLimits,
    Shares,
)
from network.listener import Listener
from network.profile import NodeAddress
from network.tls import CLIENT_PROTOCOL, SecureStream
from network.wire import Busy, Request, Response, decode_response
from tests.network.support import CHAIN, Consortium, Wire, run

BAD = AllowanceLimits(burst=50, rate=10)
NODE = NodeAddress("tax", "10.0.0.1", 7000)


class Service:
    """What stands behind the gateway here: echoes, refuses, breaks, or waits until it may go on."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.waiting = 0

    async def handle(self, client: ClientIdentity, request: Request) -> Value:
        """Do what the query's name says."""
        name = request.params.get("name")
        if name == "refuse":
            raise Refused(Code.NOT_FOUND, "no such thing")
        if name == "forged":
            raise Refused(Code.SIGNATURE_INVALID, "signature does not verify")
        if request.method == "submit_many":
            bad = (None, int(Code.SIGNATURE_INVALID), "signature does not verify")
            return {"items": (bad,) * len(request.params["txs"]), "retry_after_ms": 0}
        if name == "busy":
            raise Busy(70, "queue is full")
        if name == "break":
            raise ZeroDivisionError
        if name == "huge":
            return bytes(3_000_000)
        if name == "float":
            return {"rate": 0.5}  # type: ignore[dict-item]
        if name == "wait":
            self.waiting += 1
            await self.gate.wait()
        return {"client": str(client), "method": request.method, "params": request.params}


class Served:
    """A gateway behind its listener, and ways to reach it."""

    def __init__(
        self, consortium: Consortium, nursery: trio.Nursery, limits: GatewayLimits | None
    ) -> None:
        self.service = Service()
        self.gateway = Gateway(
            chain_id=CHAIN,
            member="tax",
            members=len(consortium.members),
            handler=self.service.handle,
            limits=limits,
        )
        self._consortium = consortium
        self._nursery = nursery
        self._wire = Wire(nursery)
        self.listener = Listener(consortium.node("tax"), _no_peers, self.gateway.serve)
        self._wire.listening[NODE.port] = self.listener.take

    async def connect(
        self, member: str = "transport", name: str = "cli", chain_id: bytes = CHAIN
    ) -> Connection:
        """Connect as a client of `member`."""
        tls = self._consortium.client(member, name)
        return await open_connection(self._nursery, tls, NODE, chain_id, dial=self._wire.dial)

    async def raw(self, member: str = "transport") -> FrameLink:
        """Connect as one who then writes frames by hand."""
        stream = await self._wire.dial(NODE.host, NODE.port)
        tls = self._consortium.client(member)
        secure = await tls.connect(stream, CLIENT_PROTOCOL, "tax", "there")
        return FrameLink(secure.stream, CLIENT_LINK, "tax")


async def _no_peers(_secure: SecureStream) -> None:
    raise AssertionError("no node connects here")


@asynccontextmanager
async def served(
    consortium: Consortium, limits: GatewayLimits | None = None
) -> AsyncIterator[Served]:
    """Give a gateway that is served for the length of the block."""
    async with trio.open_nursery() as nursery:
        yield Served(consortium, nursery, limits)
        nursery.cancel_scope.cancel()


def play(
    consortium: Consortium,
    scenario: Callable[[Served], Awaitable[None]],
    limits: GatewayLimits | None = None,
    clock: MockClock | None = None,
) -> None:
    """Run a scenario against a gateway."""

    async def whole() -> None:
        async with served(consortium, limits) as gateway:
            await scenario(gateway)

    run(whole, clock)


async def error_of(connection: Connection, method: str, **params: Any) -> NodeError:
    """Return the node's refusal of a request."""
    with pytest.raises(NodeError) as refusal:
        await connection.call(method, params, 10)
    return refusal.value


def test_request_is_answered_for_whom_the_certificate_names(consortium: Consortium) -> None:
    async def scenario(gateway: Served) -> None:
        connection = await gateway.connect("treasury", "batch-1")
        answer = await connection.call("query", {"name": "x", "list": (1, b"2")}, 10)
        assert answer == {
            "client": "creditledger:client:treasury:batch-1",
            "method": "query",
            "params": {"name": "x", "list": (1, b"2")},
        }
        assert gateway.gateway.connected == 1

    play(consortium, scenario)


def test_answers_come_as_they_are_ready(consortium: Consortium) -> None:
    async def scenario(gateway: Served) -> None:
        connection = await gateway.connect()
        done: list[str] = []

        async def ask(name: str) -> None:
            await connection.call("query", {"name": name}, 10)
            done.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "wait")
            await wait_all_tasks_blocked()
            await ask("x")
            gateway.service.gate.set()
        assert done == ["x", "wait"]

    play(consortium, scenario)


def test_each_refusal_has_its_number(consortium: Consortium) -> None:
    async def scenario(gateway: Served) -> None:
        connection = await gateway.connect()
        cases = [
            ("refuse", Code.NOT_FOUND, "no such thing"),
            ("break", Code.INTERNAL, "the node failed to answer; its log says why"),
            ("huge", Code.FRAME_TOO_LARGE, "answer of 3000008 bytes, want at most 2097152"),
            ("float", Code.ENCODING_TYPE, "type float cannot be encoded"),
        ]
        for name, code, text in cases:
            error = await error_of(connection, "query", name=name)
            assert (error.code, error.message) == (code, text)
        error = await error_of(connection, "drop_tables")
        assert (error.code, error.message) == (
            Code.REQUEST_UNKNOWN,
            "method 'drop_tables' is unknown",
        )
        error = await error_of(connection, "query", name="busy")
        assert (error.code, error.retry_after_ms) == (Code.BUSY, 70)
        await connection.call("query", {"name": "x"}, 10)  # and the link has not suffered

    play(consortium, scenario)


def test_f66_client_of_another_chain_is_told_so(consortium: Consortium) -> None:
    async def scenario(gateway: Served) -> None:
        with pytest.raises(NodeError, match="this node serves chain 0001") as refusal:
            await gateway.connect(chain_id=bytes(32))
        assert refusal.value.code == Code.PEER_WRONG_CHAIN

    play(consortium, scenario)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xc1", Code.ENCODING_MALFORMED),
        (b"\xcc\x01", Code.ENCODING_NOT_CANONICAL),
        (encode({"method": "head"}), Code.REQUEST_MALFORMED),
        (encode((1, "head", None)), Code.REQUEST_MALFORMED),
        (encode((-1, "head", {})), Code.FRAME_MALFORMED),
    ],
)
def test_bytes_that_are_no_request_get_one_numbered_answer(
    consortium: Consortium, data: bytes, code: Code
) -> None:
    async def scenario(gateway: Served) -> None:
        link = await gateway.raw()
        await link.send([Request(1, "query", {"name": "x"}).encoded(), data, data])
        await wait_all_tasks_blocked()
        answers = [decode_response(item) for item in await link.receive()]
        assert answers[-1].id == 0
        assert answers[-1].code == code
        assert gateway.gateway.counters.malformed == 1

    play(consortium, scenario)


def test_oversized_frame_gets_its_number(consortium: Consortium) -> None:
    """F64: refused by its length, before a byte of it is kept."""

    async def scenario(gateway: Served) -> None:
        stream = (await gateway.raw())._stream
        await stream.send_all(b"\xff\xff\xff\xff" + b"x" * 1000)
        link = FrameLink(stream, CLIENT_LINK, "tax")
        (answer,) = [decode_response(item) for item in await link.receive()]
        assert answer == Response(
            0, None, Code.FRAME_TOO_LARGE, "frame of 4294967295 bytes, want at most 2097152"
        )

    play(consortium, scenario)


def test_client_that_breaks_the_protocol_fails_all_that_waits(consortium: Consortium) -> None:
    async def scenario(gateway: Served) -> None:
        connection = await gateway.connect()
        connection._outbox.put(b"\xc1", is_bulk=False)
        error = await error_of(connection, "query", name="wait")
        assert error.code == Code.ENCODING_MALFORMED
        with pytest.raises(RemoteError) as later:
            await connection.call("query", {"name": "x"}, 10)
        assert later.value is error

    play(consortium, scenario)


def test_full_gateway_says_busy_and_takes_nothing(consortium: Consortium) -> None:
    limits = GatewayLimits(requests=16, retry_after_ms=30)  # 4 for each member, 2 for each client

    async def scenario(gateway: Served) -> None:
        greedy = await gateway.connect("transport", "greedy")
        modest = await gateway.connect("treasury")
        results: list[str] = []

        async def ask(connection: Connection) -> None:
            try:
                await connection.call("query", {"name": "wait"}, 10)
                results.append("done")
            except NodeError as error:
                results.append(f"{error.code.name} {error.retry_after_ms}")

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask, greedy)
            await wait_all_tasks_blocked()
            assert results == ["BUSY 30"] * 18
            assert gateway.service.waiting == 2
            assert gateway.gateway.counters.busy == 18
            # The rest of its member, and every other member, has its own places.
            for connection in (await gateway.connect("transport", "other"), modest):
                assert await connection.call("query", {"name": "x"}, 10)
            gateway.service.gate.set()
        assert results.count("done") == 2
        assert await greedy.call("query", {"name": "x"}, 10)

    play(consortium, scenario, limits)


def test_client_that_is_told_busy_is_read_later_and_nobody_else_is(consortium: Consortium) -> None:
    """Who asks again at once costs a bounded share of the loop, not what it pleases."""
    asked = 100

    async def scenario(served: Served) -> None:
        eager, other = await served.connect(), await served.connect("tax")
        start = trio.current_time()
        for _ in range(asked):
            await error_of(eager, "query", name="busy")
        # The last answer's rest is still to come.
        assert trio.current_time() - start >= (asked - 1) * BUSY_REST_S
        now = trio.current_time()
        await other.call("query", {"name": "echo"}, 5)
        assert trio.current_time() == now
        await eager.call("query", {"name": "echo"}, 5)
        assert trio.current_time() - now <= BUSY_REST_S_MAX

    play(consortium, scenario, clock=MockClock(autojump_threshold=0))


def test_rest_after_busy_is_bounded(consortium: Consortium) -> None:
    async def scenario(served: Served) -> None:
        client = await served.connect()
        async with trio.open_nursery() as nursery:
            for _ in range(400):
                nursery.start_soon(partial(error_of, client, "query", name="busy"))
        now = trio.current_time()
        await client.call("query", {"name": "echo"}, 5)
        assert trio.current_time() - now <= BUSY_REST_S_MAX

    play(consortium, scenario, clock=MockClock(autojump_threshold=0))


def test_requests_that_wait_take_no_place_of_the_others(consortium: Consortium) -> None:
    limits = GatewayLimits(requests=16, waiting=400)

    async def scenario(gateway: Served) -> None:
        connection = await gateway.connect()
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(connection.call, "watch", {"name": "wait"}, 10)
            await wait_all_tasks_blocked()
            assert gateway.service.waiting == 40
            assert await connection.call("query", {"name": "x"}, 10)
            gateway.service.gate.set()

    play(consortium, scenario, limits)


def test_connections_are_bounded(consortium: Consortium) -> None:
    async def scenario(gateway: Served) -> None:
        first = await gateway.connect()
        with pytest.raises(NodeError) as refusal:
            await gateway.connect()
        assert refusal.value.code == Code.BUSY
        assert await (await gateway.connect("treasury")).call("query", {"name": "x"}, 10)
        first.close()
        await wait_all_tasks_blocked()
        assert await (await gateway.connect()).call("query", {"name": "x"}, 10)

    play(consortium, scenario, GatewayLimits(connections=8))


def test_places_are_given_back_when_a_client_leaves(consortium: Consortium) -> None:
    async def scenario(gateway: Served) -> None:
        for _ in range(5):
            connection = await gateway.connect()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_wait_or_fail, connection)
                nursery.start_soon(_wait_or_fail, connection)
                await wait_all_tasks_blocked()
                connection.close()
            await wait_all_tasks_blocked()
        assert gateway.gateway.counters.busy == 0
        assert len(gateway.gateway.shares("query")) == 0
        assert gateway.gateway.connected == 0

    play(consortium, scenario, GatewayLimits(requests=16))


async def _wait_or_fail(connection: Connection) -> None:
    with pytest.raises(RemoteError, match="connection was closed"):
        await connection.call("query", {"name": "wait"}, 10)


def test_client_that_does_not_read_is_read_no_further(consortium: Consortium) -> None:
    limits = GatewayLimits(answers_bytes=1)

    async def scenario(gateway: Served) -> None:
        link = await gateway.raw()
        request = Request(1, "query", {"name": "x", "pad": bytes(100_000)}).encoded()
        for _ in range(20):
            await link.send([request])
        await wait_all_tasks_blocked()
        answered = 0
        while answered < 20:
            answered += len(await link.receive())
        assert gateway.gateway.counters.requests == 20

    play(consortium, scenario, limits)


def test_idle_client_is_told_and_closed(consortium: Consortium) -> None:
    clock = MockClock()

    async def scenario(gateway: Served) -> None:
        connection = await gateway.connect()
        await wait_all_tasks_blocked()
        clock.jump(200)
        await wait_all_tasks_blocked()
        assert connection.error is not None
        assert connection.error.code == Code.TIMED_OUT
        clock.jump(2)
        await wait_all_tasks_blocked()
        assert gateway.gateway.connected == 0
        assert gateway.gateway.counters.malformed == 0

    play(consortium, scenario, clock=clock)


def test_no_answer_in_time_is_an_error_of_its_own(consortium: Consortium) -> None:
    clock = MockClock(autojump_threshold=0)

    async def scenario(gateway: Served) -> None:
        connection = await gateway.connect()
        with pytest.raises(RemoteError, match="no answer to query within 3 s") as refusal:
            await connection.call("query", {"name": "wait"}, 3)
        assert refusal.value.code == Code.TIMED_OUT
        assert connection.error is None

    play(consortium, scenario, clock=clock)


def test_request_above_the_cap_is_our_own_error(consortium: Consortium) -> None:
    async def scenario(gateway: Served) -> None:
        connection = await gateway.connect()
        with pytest.raises(LocalError, match="want at most 2097152"):
            await connection.call("submit", {"tx": bytes(2_100_000)}, 10)

    play(consortium, scenario)


def test_shares_add_up_to_no_more_than_the_whole() -> None:
    shares = Shares(100, 7)
    clients = [ClientIdentity(f"m{i}", name) for i in range(7) for name in "abcd"]
    taken = sum(shares.take(client) for client in clients * 50)
    assert taken == len(shares) == 7 * 14
    for client in clients:
        assert not shares.take(client)
    shares.give_back(clients[0])
    assert not shares.take(clients[4])  # of another member
    assert shares.take(clients[0])


def test_f68_client_that_sends_wrong_signatures_is_barred_and_nobody_else(
    consortium: Consortium,
) -> None:
    """Its requests wait unread until it has waited out what it cost; then it is served again."""

    async def scenario(served: Served) -> None:
        bad, good = await served.connect(), await served.connect("tax")
        for _ in range(int(BAD.burst) // 10):
            await bad.call("submit_many", {"txs": (b"x",) * 10}, 5)
        start = trio.current_time()
        await bad.call("query", {"name": "echo", "params": {}}, 5)
        assert trio.current_time() == start
        await error_of(bad, "query", name="forged")
        assert served.gateway.counters.barred == 1
        with pytest.raises(RemoteError) as late:
            await bad.call("query", {"name": "echo", "params": {}}, 0.05)
        assert late.value.code is Code.TIMED_OUT
        await good.call("query", {"name": "echo", "params": {}}, 5)
        await bad.call("query", {"name": "echo", "params": {}}, 5)
        assert trio.current_time() - start >= 1 / BAD.rate

    play(consortium, scenario, GatewayLimits(bad_items=BAD), MockClock(autojump_threshold=0))


def test_f68_member_is_barred_when_its_clients_share_the_work(consortium: Consortium) -> None:
    async def scenario(served: Served) -> None:
        for number in range(MEMBER_FACTOR + 1):
            client = await served.connect(name=f"c{number}")
            await client.call("submit_many", {"txs": (b"x",) * int(BAD.burst)}, 5)
        fresh = ClientIdentity("transport", "one more")
        assert served.gateway.barred_s(fresh) > 0
        assert served.gateway.barred_s(ClientIdentity("tax", "c0")) == 0

    play(consortium, scenario, GatewayLimits(bad_items=BAD))
