"""The links between nodes of one machine, each through a proxy that can cut it or slow it down.

For each ordered pair of members the proxy listens on a port of its own; the node of the first is
told to find the second there (`[peers]` in its config.toml). It forwards bytes, so TLS stays end to
end and neither node can tell. A connection has two directions, and each obeys its own `Link`: what
`sender` says to `receiver`. A link that is cut holds the bytes back, as a network does that loses
every packet: TCP keeps them, the far end hears nothing, and nobody is told. A slow link delays
every chunk and limits their rate.

`Link` is plain data, set from any thread; what it says counts from the next chunk on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations
from math import inf

import trio

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
CHUNKS_MAX = 64  # held back in one direction of one connection; then TCP holds the sender back
LOOK_S = 0.02  # how often a cut link looks whether it is whole again


@dataclass(slots=True)
class Link:
    """What happens to the bytes that one member's node sends to another's."""

    sender: str
    receiver: str
    is_cut: bool = False
    delay_s: float = 0.0
    bytes_per_s: float = inf

    def heal(self) -> None:
        """Let everything pass again."""
        self.is_cut, self.delay_s, self.bytes_per_s = False, 0.0, inf


@dataclass(slots=True)
class Links:
    """All links of a network: `addresses` are the members' own listening ports."""

    addresses: Mapping[str, int]
    links: dict[tuple[str, str], Link] = field(init=False)
    ports: dict[tuple[str, str], int] = field(default_factory=dict)
    _scopes: dict[frozenset[str], set[trio.CancelScope]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.links = {pair: Link(*pair) for pair in permutations(self.addresses, 2)}

    def of(self, member: str) -> Sequence[Link]:
        """Return every link to and from one member."""
        return [link for pair, link in self.links.items() if member in pair]

    def between(self, first: str, second: str) -> Sequence[Link]:
        """Return both directions between two members."""
        return [self.links[first, second], self.links[second, first]]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen for every pair and forward, until cancelled; started once `ports` are known."""
        async with trio.open_nursery() as nursery:
            for pair in self.links:
                listeners = await trio.open_tcp_listeners(0, host=HOST, backlog=64)
                self.ports[pair] = int(listeners[0].socket.getsockname()[1])
                serve = partial(trio.serve_listeners, partial(self._serve, pair), listeners)
                await nursery.start(serve)
            task_status.started()

    def break_connections(self, member: str) -> None:
        """End every connection to and from a member at once; call it in trio's thread."""
        for pair, scopes in self._scopes.items():
            if member in pair:
                for scope in tuple(scopes):
                    scope.cancel()

    async def _serve(self, pair: tuple[str, str], near: trio.SocketStream) -> None:
        scopes = self._scopes.setdefault(frozenset(pair), set())
        forth, back = self.links[pair], self.links[pair[::-1]]
        with trio.CancelScope() as scope:
            scopes.add(scope)
            try:
                await _whole(forth)
                far = await trio.open_tcp_stream(HOST, self.addresses[pair[1]])
                await _join(near, far, forth, back)
            except OSError:
                pass  # nobody listens there: the near end sees its connection closed
            finally:
                scopes.discard(scope)
                await trio.aclose_forcefully(near)


async def _join(near: trio.SocketStream, far: trio.SocketStream, forth: Link, back: Link) -> None:
    """Forward both ways until either end closes."""
    try:
        async with trio.open_nursery() as nursery:
            for source, target, link in ((near, far, forth), (far, near, back)):
                nursery.start_soon(_forward, source, target, link, nursery.cancel_scope)
    finally:
        await trio.aclose_forcefully(far)


async def _forward(
    source: trio.SocketStream, target: trio.SocketStream, link: Link, scope: trio.CancelScope
) -> None:
    into, out_of = trio.open_memory_channel[tuple[float, bytes]](CHUNKS_MAX)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_take, source, into, link)
        nursery.start_soon(_give, target, out_of, link, scope)


async def _take(
    source: trio.SocketStream, into: trio.MemorySendChannel[tuple[float, bytes]], link: Link
) -> None:
    free_at = 0.0
    async with into:
        while True:
            try:
                data = await source.receive_some(CHUNK_BYTES)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            now = trio.current_time()
            free_at = max(now, free_at) + len(data) / link.bytes_per_s
            await into.send((max(free_at, now + link.delay_s), data))


async def _give(
    target: trio.SocketStream,
    out_of: trio.MemoryReceiveChannel[tuple[float, bytes]],
    link: Link,
    scope: trio.CancelScope,
) -> None:
    async for due, data in out_of:
        if due > trio.current_time():
            await trio.sleep_until(due)
        await _whole(link)
        try:
            await target.send_all(data)
        except trio.BrokenResourceError:
            break
    scope.cancel()


async def _whole(link: Link) -> None:
    """Wait until a link is not cut."""
    while link.is_cut:
        await trio.sleep(LOOK_S)
