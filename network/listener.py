"""The one port of a node: takes connections, does their TLS, and hands them on (F63, F67).

The application protocol decides who serves a stream: the links between nodes or the gateway.
Handshakes are bounded in number and in time. When there are too many, the oldest of the address
with most of them is dropped: one who opens connections and says nothing gives way to one who
speaks, and a real peer needs its place for milliseconds only.
"""

from __future__ import annotations

import errno
import logging
import resource
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import trio

from ledger.errors import Code, LocalError, RemoteError
from network.tls import PEER_PROTOCOL, SecureStream, TlsEndpoint

log = logging.getLogger(__name__)

# So many file descriptors are kept for the node's own files: whoever would take one of the last is
# sent away, so that a crowd of clients never keeps the database from opening a file (F48).
RESERVED_DESCRIPTORS = 16

Serve = Callable[[SecureStream], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Handshakes at one time, and the seconds that one may take."""

    handshakes: int = 256
    handshake_s: float = 5.0


@dataclass(slots=True)
class ListenerCounters:
    """Counts since the start; read by metrics."""

    accepted: int = 0
    refused: int = 0
    timed_out: int = 0
    crowded_out: int = 0


class Listener:
    """Accepts on one address; `peers` and `gateway` each serve a secured stream to its end."""

    def __init__(
        self,
        tls: TlsEndpoint,
        peers: Serve,
        gateway: Serve,
        limits: ListenerLimits | None = None,
    ) -> None:
        self._tls = tls
        self._peers = peers
        self._gateway = gateway
        self._limits = limits or ListenerLimits()
        self._pending: dict[trio.CancelScope, str] = {}  # in order of arrival
        self.counters = ListenerCounters()

    async def run(
        self, host: str, port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen until cancelled; started with the port (of use when `port` is 0).

        Raises `LocalError` (5009) when the port is taken, 7003 when the address cannot be used.
        """
        try:
            listeners = await trio.open_tcp_listeners(port, host=host, backlog=512)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise LocalError(
                    Code.PORT_IN_USE, f"port {port} of {host} is in use by another process"
                ) from None
            raise LocalError(
                Code.CONFIG_INVALID, f"cannot listen on {host}:{port}: {error.strerror}"
            ) from None
        bound = int(listeners[0].socket.getsockname()[1])
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_listeners, self._accept, listeners))
            task_status.started(bound)

    async def _accept(self, stream: trio.SocketStream) -> None:
        # The system gives the lowest number that is free: a high one says how many are left.
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most - stream.socket.fileno() <= RESERVED_DESCRIPTORS:
            self.counters.refused += 1
            await trio.aclose_forcefully(stream)
            return
        try:
            address = str(stream.socket.getpeername()[0])
        except OSError:
            await trio.aclose_forcefully(stream)
            return  # gone before it was looked at
        await self.take(stream, address)

    async def take(self, stream: trio.abc.Stream, address: str) -> None:
        """Do the handshake of one accepted stream, and have it served to its end."""
        try:
            secure = await self._handshake(stream, address)
            if secure is not None:
                self.counters.accepted += 1
                is_peer = secure.protocol == PEER_PROTOCOL
                await (self._peers if is_peer else self._gateway)(secure)
        except RemoteError as error:
            self.counters.refused += 1
            log.info("connection from %s: %s", address, error)
        finally:
            await trio.aclose_forcefully(stream)

    async def _handshake(self, stream: trio.abc.Stream, address: str) -> SecureStream | None:
        if len(self._pending) >= self._limits.handshakes:
            self._crowd_out()
        scope = trio.CancelScope(deadline=trio.current_time() + self._limits.handshake_s)
        self._pending[scope] = address
        try:
            with scope:
                if not await _speaks(stream):
                    raise RemoteError(address, Code.CONNECTION_LOST, "closed before its first byte")
                return await self._tls.accept(stream, address)
        finally:
            del self._pending[scope]
        if trio.current_time() >= scope.deadline:
            self.counters.timed_out += 1
        return None

    def _crowd_out(self) -> None:
        held = {scope: who for scope, who in self._pending.items() if not scope.cancel_called}
        if not held:
            return
        crowded = Counter(held.values()).most_common(1)[0][0]
        next(scope for scope, address in held.items() if address == crowded).cancel()
        self.counters.crowded_out += 1


async def _speaks(stream: trio.abc.Stream) -> bool:
    """Wait until the other end has sent something; tell whether it has, or has gone.

    TLS state costs a thousand times as much as a connection that says nothing (F63).
    """
    if not isinstance(stream, trio.SocketStream):
        return True
    try:
        return bool(await stream.socket.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
