"""The gateway: answers a member's client programs, and says BUSY before it drowns (DESIGN 6).

A client link carries requests and their responses in any order, each under the client's own
number. What the gateway has in hand is bounded in all, by member and by client, and the members'
bounds add up to no more than the whole: so no member can take another's place, whatever it sends.
Above a bound the answer is BUSY with a delay, and nothing has been taken. Requests that wait
(`receipt`, `watch`) have places of their own. A client that does not read its answers is read no
further. Bytes that are no request get one response with their error number, under id 0; then the
link is closed. What costs a check and no correct client sends, a wrong signature before all, is
borne up to an allowance, of each client and four times that of each member; then the sender is not
read until it has waited that out (F68). A client that is told BUSY is read no further for a moment:
one that asks again at once, and as often as it can, would take the time that ordering needs, until
the primary is taken for dead.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from ledger.encoding import Value
from ledger.errors import Code, CreditLedgerError, LocalError, Refused, RemoteError
from network.allowance import AllowanceLimits, Allowances
from network.certificates import ClientIdentity
from network.frames import CLIENT_LINK, WRITE_BYTES, FrameLink, LinkLimits
from network.methods import HELLO, METHODS, SUBMIT_MANY, WAITING_METHODS
from network.tls import SecureStream
from network.wire import Busy, Request, Response, decode_request

log = logging.getLogger(__name__)

# What no correct client sends, since it could have known better without asking.
_BAD = frozenset(
    (
        Code.ENCODING_TYPE,
        Code.ENCODING_RANGE,
        Code.ENCODING_DEPTH,
        Code.ENCODING_SIZE,
        Code.ENCODING_MALFORMED,
        Code.ENCODING_NOT_CANONICAL,
        Code.SIGNATURE_INVALID,
        Code.ENVELOPE_MALFORMED,
        Code.ATTACHMENT_MISMATCH,
    )
)
MEMBER_FACTOR = 4
# For how long a link is not read, for each BUSY that it was answered; at most.
BUSY_REST_S = 0.005
BUSY_REST_S_MAX = 0.25

Handler = Callable[[ClientIdentity, Request], Awaitable[Value]]


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Bounds in all; a member has its equal part of each, a client half of its member's."""

    link: LinkLimits = CLIENT_LINK
    connections: int = 1024
    requests: int = 2048
    waiting: int = 16_384
    answers_bytes: int = 8 * 1024 * 1024  # unread by one client before it is read no further
    retry_after_ms: int = 50
    bad_items: AllowanceLimits = field(default_factory=AllowanceLimits)  # of one client

    def __post_init__(self) -> None:
        if min(self.connections, self.requests, self.waiting, self.answers_bytes) < 1:
            raise LocalError(Code.CONFIG_INVALID, "limit of the gateway is not positive")


class Shares:
    """Places for a number of members: none can take more than its part (see above)."""

    def __init__(self, total: int, members: int) -> None:
        self._total = total
        self.divide(members)
        self._members: Counter[str] = Counter()
        self._clients: Counter[ClientIdentity] = Counter()

    def divide(self, members: int) -> None:
        """Give each of so many members its equal part from now on."""
        self.member_most = max(2, self._total // max(1, members))
        self.client_most = max(1, self.member_most // 2)

    def __len__(self) -> int:
        return self._members.total()

    def take(self, client: ClientIdentity) -> bool:
        """Take a place for `client` if it has one left; tell whether."""
        if (
            self._members[client.member] >= self.member_most
            or self._clients[client] >= self.client_most
        ):
            return False
        self._members[client.member] += 1
        self._clients[client] += 1
        return True

    def give_back(self, client: ClientIdentity) -> None:
        """Free a place that `take` gave."""
        self._members[client.member] -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]


@dataclass(slots=True)
class GatewayCounters:
    """Counts since the start; read by metrics."""

    connections: int = 0
    requests: int = 0
    busy: int = 0
    errors: int = 0
    malformed: int = 0
    barred: int = 0


class Gateway:
    """Serves clients of `members` members on behalf of node `member`.

    `handler` answers a request with a canonical value or raises: a `CreditLedgerError` becomes its
    code and text, `Busy` its delay; any other `Exception` is logged and becomes INTERNAL (2099),
    save MemoryError and OSError, which stop the node (rule 54).
    """

    def __init__(
        self,
        *,
        chain_id: bytes,
        member: str,
        members: int,
        handler: Handler,
        limits: GatewayLimits | None = None,
    ) -> None:
        self._chain_id = chain_id
        self._member = member
        self._handler = handler
        self._limits = limits or GatewayLimits()
        self._connections = Shares(self._limits.connections, members)
        self._requests = Shares(self._limits.requests, members)
        self._waiting = Shares(self._limits.waiting, members)
        bad = self._limits.bad_items
        self._of_clients = Allowances(bad)
        self._of_members = Allowances(
            AllowanceLimits(bad.burst * MEMBER_FACTOR, bad.rate * MEMBER_FACTOR)
        )
        self.counters = GatewayCounters()

    def serve_members(self, members: int) -> None:
        """Divide the places among so many members from now on; what is taken stays taken."""
        for shares in (self._connections, self._requests, self._waiting):
            shares.divide(members)

    @property
    def connected(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def serve(self, secure: SecureStream) -> None:
        """Serve one client's stream until it ends; closes it."""
        client = secure.identity
        link = FrameLink(secure.stream, self._limits.link, str(client))
        try:
            if not isinstance(client, ClientIdentity):
                raise RemoteError(link.peer, Code.TLS_REFUSED, "not a client's certificate")
            if not self._connections.take(client):
                self.counters.busy += 1
                busy = self._busy(0, "too many connections of this client or member")
                await link.send_last(busy.encoded())
                return
            self.counters.connections += 1
            try:
                await _Connection(self, link, client).run()
            finally:
                self._connections.give_back(client)
        except RemoteError as error:
            log.info("client %s: %s", error.peer, error)
        finally:
            await link.aclose()

    def shares(self, method: str) -> Shares:
        """Return the places that requests of this method take."""
        return self._waiting if method in WAITING_METHODS else self._requests

    def _busy(self, request_id: int, text: str) -> Response:
        return Response(request_id, None, Code.BUSY, text, self._limits.retry_after_ms)

    def refuse_busy(self, request: Request) -> Response:
        """Return the BUSY that answers a request for which there is no place."""
        self.counters.busy += 1
        return self._busy(request.id, "too many requests of this client or member in hand")

    async def refuse(self, link: FrameLink, error: CreditLedgerError) -> None:
        """Tell a client why its link ends, if there is anyone to tell, and raise that."""
        if error.code not in (Code.CONNECTION_LOST, Code.TIMED_OUT):
            self.counters.malformed += 1
        if error.code != Code.CONNECTION_LOST:
            await link.send_last(Response(0, None, error.code, error.message).encoded())
        raise RemoteError(link.peer, error.code, error.message)

    @property
    def answers_bytes(self) -> int:
        """Unread bytes of answers above which a client is read no further."""
        return self._limits.answers_bytes

    async def answer(self, client: ClientIdentity, request: Request) -> tuple[bytes, bool]:
        """Return the encoded response to a request that has its place, and whether it is BUSY."""
        self.counters.requests += 1
        try:
            value = await self._value(client, request)
            if request.method == SUBMIT_MANY:
                self._charge(client, _count_bad(value))
            response = Response(request.id, value)
            data = response.encoded()
            most = self._limits.link.max_frame_bytes
            if len(data) > most:
                raise Refused(
                    Code.FRAME_TOO_LARGE, f"answer of {len(data)} bytes, want at most {most}"
                )
        except CreditLedgerError as error:
            self.counters.errors += 1
            self._charge(client, int(error.code in _BAD))
            delay = error.retry_after_ms if isinstance(error, Busy) else 0
            response = Response(request.id, None, error.code, error.message, delay)
            return response.encoded(), isinstance(error, Busy)
        except (MemoryError, OSError):
            raise
        except Exception:
            log.exception("request %s of %s failed", request.method, client)
            self.counters.errors += 1
            text = "the node failed to answer; its log says why"
            return Response(request.id, None, Code.INTERNAL, text).encoded(), False
        return data, request.method == SUBMIT_MANY and _is_some_busy(value)

    def _charge(self, client: ClientIdentity, count: int) -> None:
        """Take bad items off the allowance of a client and its member."""
        if not count:
            return
        now = trio.current_time()
        is_barred = self._of_clients.charge(client, count, now)
        if self._of_members.charge(client.member, count, now) or is_barred:
            self.counters.barred += 1
            log.warning("client %s is not read for %.0f s", client, self.barred_s(client))

    def barred_s(self, client: ClientIdentity) -> float:
        """Return for how many seconds nothing more of a client is read; 0 if it is served."""
        now = trio.current_time()
        return max(
            self._of_clients.barred_s(client, now), self._of_members.barred_s(client.member, now)
        )

    async def _value(self, client: ClientIdentity, request: Request) -> Value:
        if request.method not in METHODS:
            raise Refused(Code.REQUEST_UNKNOWN, f"method {request.method!r} is unknown")
        if request.method == HELLO:
            if request.params.get("chain_id") != self._chain_id:
                raise Refused(
                    Code.PEER_WRONG_CHAIN, f"this node serves chain {self._chain_id.hex()[:16]}"
                )
            return {"chain_id": self._chain_id, "member": self._member}
        return await self._handler(client, request)


class _Connection:
    """One client's link: a reader that starts requests, a writer that sends their answers."""

    def __init__(self, gateway: Gateway, link: FrameLink, client: ClientIdentity) -> None:
        self._gateway = gateway
        self._link = link
        self._client = client
        self._answers: deque[bytes] = deque()
        self._bytes = 0
        self._ready = trio.lowlevel.ParkingLot()
        self._drained = trio.lowlevel.ParkingLot()
        self._error: RemoteError | None = None
        self._rest_until = 0.0

    async def run(self) -> None:
        """Serve until the client ends the link or breaks the protocol; raise `RemoteError`."""
        refusal: Refused | RemoteError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, nursery.cancel_scope)
            try:
                while frames := await self._receive():
                    await self._take_in(nursery, frames)
            except (Refused, RemoteError) as error:
                refusal = error
            nursery.cancel_scope.cancel()
        if self._error is not None:
            raise self._error
        if refusal is not None:
            await self._gateway.refuse(self._link, refusal)

    async def _receive(self) -> list[bytes]:
        """Return the next frames, once the client may be read; meanwhile TCP holds it back."""
        frames = await self._link.receive()
        if trio.current_time() < self._rest_until:
            await trio.sleep_until(self._rest_until)
        while (seconds := self._gateway.barred_s(self._client)) > 0:
            await trio.sleep(seconds)
        return frames

    async def _take_in(self, nursery: trio.Nursery, frames: Sequence[bytes]) -> None:
        for data in frames:
            request = decode_request(data)
            shares = self._gateway.shares(request.method)
            if shares.take(self._client):
                nursery.start_soon(self._answer, shares, request)
            else:
                self._rest()
                self._put(self._gateway.refuse_busy(request).encoded())
        while self._bytes > self._gateway.answers_bytes:
            await self._drained.park()

    async def _answer(self, shares: Shares, request: Request) -> None:
        try:
            data, is_busy = await self._gateway.answer(self._client, request)
            if is_busy:
                self._rest()
            self._put(data)
        finally:
            shares.give_back(self._client)

    def _rest(self) -> None:
        """Read the link a little later, because of a BUSY."""
        now = trio.current_time()
        rest_until = max(now, self._rest_until) + BUSY_REST_S
        self._rest_until = min(rest_until, now + BUSY_REST_S_MAX)

    def _put(self, data: bytes) -> None:
        self._answers.append(data)
        self._bytes += len(data)
        self._ready.unpark()

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            while True:
                while not self._answers:
                    await self._ready.park()
                await self._link.send(self._take())
                self._drained.unpark_all()
        except RemoteError as error:
            self._error = error
            scope.cancel()

    def _take(self) -> list[bytes]:
        taken: list[bytes] = []
        size = 0
        while self._answers and size < WRITE_BYTES:
            data = self._answers.popleft()
            self._bytes -= len(data)
            size += len(data)
            taken.append(data)
        return taken


def _is_some_busy(value: Any) -> bool:
    """Tell whether a `submit_many` answer says BUSY of an item."""
    return isinstance(value, Mapping) and bool(value.get("retry_after_ms"))


def _count_bad(value: Any) -> int:
    """Return how many items of a `submit_many` answer are refusals of what is bad."""
    items = value.get("items") if isinstance(value, Mapping) else None
    return sum(item[1] in _BAD for item in items) if isinstance(items, tuple) else 0
