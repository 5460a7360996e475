"""One client link to one node: many requests at a time, each answered under its number.

`Connection.call` sends a request and waits for its response, up to a deadline. What the node says
is told apart from what became of the link: a refusal is a `NodeError` with the node's code, text
and delay; a lost, silent or refused link is a plain `RemoteError` (5006, 5007, 5008, 5010), after
which every request that waits fails alike and the connection is of no more use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Any

import trio

from ledger.errors import Code, CreditLedgerError, LocalError, Refused, RemoteError
from network.frames import CLIENT_LINK, FrameLink, LinkLimits
from network.methods import HELLO
from network.profile import NodeAddress
from network.queues import Outbox, QueueLimits
from network.tls import CLIENT_PROTOCOL, TlsEndpoint
from network.wire import CLIENT_FRAME_BYTES_MAX, Request, Response, decode_response

Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]

# A node may be silent for as long as no request waits; each request has its own deadline.
_LINK = LinkLimits(CLIENT_LINK.max_frame_bytes, CLIENT_LINK.handshake_s, CLIENT_LINK.frame_s, inf)
_WRITE_BYTES = 256 * 1024


class NodeError(RemoteError):
    """What a node answered instead of a value: its code, its text, its delay if it is busy."""

    def __init__(self, peer: str, code: Code, message: str, retry_after_ms: int = 0) -> None:
        super().__init__(peer, code, message)
        self.retry_after_ms = retry_after_ms


@dataclass(slots=True)
class _Slot:
    """A request that waits for its response."""

    done: trio.Event = field(default_factory=trio.Event)
    response: Response | None = None


class Connection:
    """A link that `open_connection` made; run `run` in a nursery."""

    def __init__(self, link: FrameLink) -> None:
        self._link = link
        self._outbox = Outbox(QueueLimits())
        self._slots: dict[int, _Slot] = {}
        self._numbers = count(1)
        self._scope = trio.CancelScope()
        self.error: RemoteError | None = None

    async def run(self) -> None:
        """Send and receive until the link ends; never raises for that."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read()
        finally:
            self._end(RemoteError(self._link.peer, Code.CONNECTION_LOST, "connection was closed"))
            await self._link.aclose()

    async def _read(self) -> None:
        try:
            while frames := await self._link.receive():
                for data in frames:
                    self._dispatch(decode_response(data))
            raise RemoteError(self._link.peer, Code.CONNECTION_LOST, "closed by the node")
        except RemoteError as error:
            self._end(error)
        except Refused as error:
            self._end(RemoteError(self._link.peer, error.code, error.message))

    async def _write(self) -> None:
        try:
            while True:
                await self._outbox.wait()
                await self._link.send(self._outbox.take(_WRITE_BYTES))
        except RemoteError as error:
            self._end(error)

    def _dispatch(self, response: Response) -> None:
        if response.id == 0:
            raise _error(self._link.peer, response)
        slot = self._slots.get(response.id)
        if slot is not None:  # else it came after its deadline
            slot.response = response
            slot.done.set()

    def close(self) -> None:
        """End the link; `run` closes the stream."""
        self._scope.cancel()

    def _end(self, error: RemoteError) -> None:
        """Fail every request that waits; the first reason stays."""
        self.error = self.error or error
        self._scope.cancel()
        for slot in self._slots.values():
            slot.done.set()

    async def call(self, method: str, params: Mapping[str, Any], timeout_s: float) -> Any:
        """Return the value that the node answers with; raise `NodeError` or `RemoteError`."""
        if self.error is not None:
            raise self.error
        number = next(self._numbers)
        data = Request(number, method, params).encoded()
        if len(data) > CLIENT_FRAME_BYTES_MAX:
            raise LocalError(
                Code.FRAME_TOO_LARGE,
                f"request of {len(data)} bytes, want at most {CLIENT_FRAME_BYTES_MAX}",
            )
        slot = self._slots[number] = _Slot()
        try:
            self._outbox.put(data, is_bulk=True)
            with trio.move_on_after(timeout_s):
                await slot.done.wait()
        finally:
            del self._slots[number]
        if slot.response is not None:
            return _value(self._link.peer, slot.response)
        if self.error is not None:
            raise self.error
        raise RemoteError(
            self._link.peer, Code.TIMED_OUT, f"no answer to {method} within {timeout_s:g} s"
        )


def _value(peer: str, response: Response) -> Any:
    if response.code == 0:
        return response.value
    raise _error(peer, response)


def _error(peer: str, response: Response) -> NodeError:
    try:
        code, text = Code(response.code), response.text
    except ValueError:  # of a newer release
        code, text = Code.INTERNAL, f"code {response.code}: {response.text}"
    return NodeError(peer, code, text, response.retry_after_ms)


async def open_connection(
    nursery: trio.Nursery,
    tls: TlsEndpoint,
    node: NodeAddress,
    chain_id: bytes,
    timeout_s: float = 5.0,
    dial: Dial = trio.open_tcp_stream,
) -> Connection:
    """Connect to a node, make sure that it serves the chain, and run the link in `nursery`.

    Raises `RemoteError` 5004, 5006, 5007, 5008 or 5010.
    """
    connection: Connection | None = None
    with trio.move_on_after(timeout_s):
        stream = await _dial(node, dial)
        try:
            secure = await tls.connect(stream, CLIENT_PROTOCOL, node.member, node.member)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        connection = Connection(FrameLink(secure.stream, _LINK, node.member))
    if connection is None:
        raise RemoteError(
            node.member, Code.TIMED_OUT, f"no connection to {node.host}:{node.port} in time"
        )
    nursery.start_soon(connection.run)
    try:
        await connection.call(HELLO, {"chain_id": chain_id}, timeout_s)
    except CreditLedgerError as error:
        connection.close()
        if error.code != Code.CONNECTION_LOST:
            raise
        # A TLS 1.3 client learns of its certificate's refusal by the link's end alone.
        text = "node closed the link at once: did it refuse this client's certificate, or stop?"
        raise RemoteError(node.member, Code.TLS_REFUSED, text) from None
    return connection


async def _dial(node: NodeAddress, dial: Dial) -> trio.abc.Stream:
    try:
        return await dial(node.host, node.port)
    except OSError as error:
        # The happy-eyeballs error of trio has no strerror; its text says what happened.
        reason = error.strerror or str(error)
        where = f"{node.host}:{node.port}"
        raise RemoteError(
            node.member, Code.CONNECT_FAILED, f"cannot connect to {where}: {reason}"
        ) from None
