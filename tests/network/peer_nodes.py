"""The links of four nodes in memory, on a clock of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ledger.errors import RemoteError
from network.frames import PEER_LINK, FrameLink
from network.listener import Listener
from network.peers import PeerAddress, PeerLimits, PeerNetwork
from network.tls import PEER_PROTOCOL, SecureStream
from network.wire import (
    PeerFrame,
    encode_peer_frame,
)
from tests.network.support import CHAIN, MEMBERS, Consortium, Wire, run

ADDRESSES = tuple(
    PeerAddress(index, member, "10.0.0.1", 7000 + index) for index, member in enumerate(MEMBERS)
)


class Nodes:
    """Nodes on one wire; `events` are what their callbacks saw."""

    def __init__(self, consortium: Consortium, wire: Wire, nursery: trio.Nursery) -> None:
        self.consortium = consortium
        self.wire = wire
        self.nursery = nursery
        self.events: list[tuple[int, str, int]] = []
        self.networks: dict[int, PeerNetwork] = {}
        self.scopes: dict[int, trio.CancelScope] = {}

    async def start(
        self, own: int, *, chain_id: bytes = CHAIN, limits: PeerLimits | None = None
    ) -> PeerNetwork:
        """Start the node of a member; it listens and dials."""
        network = PeerNetwork(
            chain_id=chain_id,
            own=ADDRESSES[own],
            peers=ADDRESSES,
            tls=self.consortium.node(MEMBERS[own]),
            head=lambda: 10 + own,
            jitter=lambda: 1.0,
            nonce=lambda: bytes((own,)) * 16,
            limits=limits,
            dial=self.wire.dial,
            on_connect=lambda peer, _hello: self.events.append((own, "connect", peer)),
            on_disconnect=lambda peer, _reason: self.events.append((own, "disconnect", peer)),
        )
        listener = Listener(self.consortium.node(MEMBERS[own]), network.serve, _no_clients)
        self.wire.listening[ADDRESSES[own].port] = listener.take
        self.networks[own] = network
        self.scopes[own] = await self.nursery.start(_run_in_scope, network)
        return network

    async def stop(self, own: int) -> None:
        """Stop a node: it neither dials nor listens any more."""
        del self.wire.listening[ADDRESSES[own].port]
        self.scopes[own].cancel()

    async def settle(self) -> None:
        """Run until every task waits for something."""
        await wait_all_tasks_blocked()


async def _no_clients(_secure: SecureStream) -> None:
    raise AssertionError("no client connects here")


async def _run_in_scope(
    network: PeerNetwork, task_status: trio.TaskStatus[trio.CancelScope]
) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            task_status.started(scope)


@asynccontextmanager
async def nodes_of(consortium: Consortium) -> AsyncIterator[Nodes]:
    """Give nodes on a fresh wire, all stopped at the end."""
    async with trio.open_nursery() as nursery:
        yield Nodes(consortium, Wire(nursery), nursery)
        nursery.cancel_scope.cancel()


Scenario = Callable[[Nodes, MockClock], Awaitable[None]]


def play(consortium: Consortium, scenario: Scenario) -> None:
    """Run a scenario; its clock moves only when it is told to."""
    clock = MockClock()

    async def whole() -> None:
        async with nodes_of(consortium) as nodes:
            await scenario(nodes, clock)

    run(whole, clock)


async def dial_by_hand(nodes: Nodes, member: str, to: int, *, hello: PeerFrame | None) -> FrameLink:
    """Connect as the node of `member` would, and send `hello` if there is one."""
    stream = await nodes.wire.dial("10.0.0.9", ADDRESSES[to].port)
    tls = nodes.consortium.node(member)
    secure = await tls.connect(stream, PEER_PROTOCOL, MEMBERS[to], "there")
    link = FrameLink(secure.stream, PEER_LINK, "there")
    if hello is not None:
        with suppress(RemoteError):  # a node that wants none of it has closed already
            await link.send([encode_peer_frame(hello)])
    return link
