"""Links to the other members' nodes: one session each, fair both ways (DESIGN 6, F69, F71).

Links belong to members, by their ids; a member's number is that of the epoch, and `set_peers`
changes who is there, under which number and at which address, while everything runs (rule 2): links
to members that stay are left alone, a removed member's link ends, a new address is dialled when the
link is next made. A frame that waits when numbers change is handed out under the new number.

Of two members the one whose id sorts first dials, so two nodes never cross, whatever numbers an
epoch gives them; a session is taken whoever dialled. It begins with TLS (whom the certificate names
is whom we meant) and a `Hello` each way (the same chain). A new session of a member replaces the
old one: the old is half-open when an address has changed. A session that ends is dialled again
after a delay that doubles up to a cap, with jitter from the caller's source; it starts anew once a
session has lasted. A peer that breaks the protocol is charged: its session ends, and for a while it
is neither dialled nor let in.

`send` and `broadcast` queue and return at once; a member that is not connected gets nothing, since
consensus repeats itself on reconnection (rule 28). `receive` gives (number, frame) pairs, one peer
after the other. Keep-alives are exchanged here and never seen outside.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from ledger.errors import Code, CreditLedgerError, LocalError, RemoteError
from network.frames import PEER_LINK, FrameLink, LinkLimits
from network.peer_session import PeerCounters, PeerSession, decode_from
from network.queues import Inbox, Outbox, QueueLimits
from network.tls import PEER_PROTOCOL, SecureStream, TlsEndpoint
from network.wire import (
    Hello,
    PeerFrame,
    encode_peer_frame,
)

log = logging.getLogger(__name__)

Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """One node of the epoch: its number (observers follow the validators), id, and address."""

    index: int
    member: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """Deadlines in seconds, and bounds of the queues."""

    link: LinkLimits = PEER_LINK
    queues: QueueLimits = field(default_factory=QueueLimits)
    ping_s: float = 5.0
    backoff_s: float = 0.05
    backoff_s_max: float = 2.0
    lasting_s: float = 5.0  # a session of this age was a good one: the delay starts anew
    penalty_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.ping_s * 2 < self.link.idle_s:
            raise LocalError(Code.CONFIG_INVALID, "ping_s must be below half of idle_s")
        if not 0 < self.backoff_s <= self.backoff_s_max:
            raise LocalError(Code.CONFIG_INVALID, "backoff_s must be within 0 and backoff_s_max")


@dataclass(slots=True, eq=False)
class _Peer:
    """One other member: where it is, its live session if there is one, who keeps dialling it."""

    address: PeerAddress
    counters: PeerCounters = field(default_factory=PeerCounters)
    session: PeerSession | None = None
    penalty_until: float = 0.0
    dialling: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def member(self) -> str:
        """The member's id."""
        return self.address.member

    @property
    def index(self) -> int:
        """The member's number in the epoch."""
        return self.address.index


def _ignore_connect(_index: int, _hello: Hello) -> None:
    """Do nothing on a connection."""


def _ignore_disconnect(_index: int, _reason: str) -> None:
    """Do nothing on a disconnection."""


class PeerNetwork:
    """This node's links to the nodes of all other members.

    `jitter` gives factors (0.5 to 1.5, say) by which delays are multiplied; `nonce` gives 16 fresh
    bytes; `head` is asked for the height that a Hello tells. Callbacks run in the network's task
    and must return at once. Run `run` in a nursery; hand accepted streams to `serve`.
    """

    def __init__(
        self,
        *,
        chain_id: bytes,
        own: PeerAddress,
        peers: Sequence[PeerAddress],
        tls: TlsEndpoint,
        head: Callable[[], int],
        jitter: Callable[[], float],
        nonce: Callable[[], bytes],
        limits: PeerLimits | None = None,
        dial: Dial = trio.open_tcp_stream,
        on_connect: Callable[[int, Hello], None] = _ignore_connect,
        on_disconnect: Callable[[int, str], None] = _ignore_disconnect,
    ) -> None:
        self._chain_id = chain_id
        self._tls = tls
        self._head = head
        self._jitter = jitter
        self._nonce = nonce
        self._limits = limits or PeerLimits()
        self._dial = dial
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self._inbox: Inbox[str, PeerFrame] = Inbox(self._limits.queues)
        self._nursery: trio.Nursery | None = None
        self._peers: dict[str, _Peer] = {}
        self._by_index: dict[int, _Peer] = {}
        self._own = own
        self.set_peers(own, peers)

    def set_peers(self, own: PeerAddress, peers: Sequence[PeerAddress]) -> None:
        """Say who the other members are from now on; `own` may be among `peers`."""
        self._own = own
        wanted = {peer.member: peer for peer in peers if peer.member != own.member}
        for member in [name for name in self._peers if name not in wanted]:
            self._remove(self._peers.pop(member))
        added = []
        for member, address in wanted.items():
            peer = self._peers.get(member)
            if peer is None:
                peer = self._peers[member] = _Peer(address)
                added.append(peer)
            peer.address = address
        self._by_index = {peer.index: peer for peer in self._peers.values()}
        for peer in added:
            self._start(peer)

    def _start(self, peer: _Peer) -> None:
        """Keep dialling a member, if that is this node's part and the network runs."""
        if self._nursery is not None and self._own.member < peer.member:
            self._nursery.start_soon(self._keep, peer)

    def _remove(self, peer: _Peer) -> None:
        peer.dialling.cancel()
        if peer.session is not None:
            peer.session.end(
                RemoteError(peer.member, Code.PEER_UNKNOWN, "has no node in the network any more")
            )
        self._inbox.forget(peer.member)

    @property
    def counters(self) -> Mapping[int, PeerCounters]:
        """What each other member cost and gave, by its number."""
        return {index: peer.counters for index, peer in self._by_index.items()}

    @property
    def connected(self) -> frozenset[int]:
        """The numbers of the members with a session."""
        return frozenset(peer.index for peer in self._peers.values() if peer.session is not None)

    def member(self, index: int) -> str | None:
        """Return the id of the other member that has the number `index` now."""
        peer = self._by_index.get(index)
        return None if peer is None else peer.member

    def index(self, member: str) -> int | None:
        """Return the number that another member has now, None for one that has no node."""
        peer = self._peers.get(member)
        return None if peer is None else peer.index

    def send(self, index: int, frame: PeerFrame) -> bool:
        """Queue a frame for one member; tell whether there is a session to take it."""
        peer = self._by_index.get(index)
        data = self._encoded(frame)
        return peer is not None and _put(peer, data, is_bulk=frame.is_bulk)

    def broadcast(self, frame: PeerFrame, below: int | None = None) -> int:
        """Queue a frame, encoded once, for every connected member; return how many that are.

        With `below` only for members of lower numbers: validators, where observers have no part.
        """
        data = self._encoded(frame)
        return sum(
            _put(peer, data, is_bulk=frame.is_bulk)
            for peer in self._peers.values()
            if below is None or peer.index < below
        )

    def _encoded(self, frame: PeerFrame) -> bytes:
        data = encode_peer_frame(frame)
        if len(data) > self._limits.link.max_frame_bytes:
            raise LocalError(Code.FRAME_TOO_LARGE, f"frame of {len(data)} bytes is above the cap")
        return data

    async def receive(self, most: int = 256) -> list[tuple[int, PeerFrame]]:
        """Return received (number, frame) pairs, at most `most`, fairly; one task may receive."""
        taken = await self._inbox.take(most)
        return [
            (self._peers[member].index, frame) for member, frame in taken if member in self._peers
        ]

    def charge(self, index: int, code: Code, reason: str) -> None:
        """End a member's session for a breach found outside, and keep it away for a while."""
        peer = self._by_index.get(index)
        if peer is None:
            return
        error = RemoteError(peer.member, code, reason)
        self._penalise(peer, error)
        if peer.session is not None:
            peer.session.end(error)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a session with every member whose id sorts after the own, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for peer in self._peers.values():
                self._start(peer)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def _keep(self, peer: _Peer) -> None:
        with peer.dialling:
            await self._keep_dialling(peer)

    async def _keep_dialling(self, peer: _Peer) -> None:
        limits = self._limits
        delay = limits.backoff_s
        while True:
            began = trio.current_time()
            try:
                await self._dial_session(peer)
            except CreditLedgerError as error:
                self._note(peer, error)
            if trio.current_time() - began >= limits.lasting_s:
                delay = limits.backoff_s
            wait = delay * self._jitter()
            penalty = peer.penalty_until - trio.current_time()
            await trio.sleep(max(wait, penalty))
            delay = min(delay * 2, limits.backoff_s_max)

    async def _dial_session(self, peer: _Peer) -> None:
        with trio.move_on_after(self._limits.link.handshake_s) as scope:
            stream = await self._open(peer)
            try:
                secure = await self._tls.connect(stream, PEER_PROTOCOL, peer.member, peer.member)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
        if scope.cancelled_caught:
            raise RemoteError(peer.member, Code.TIMED_OUT, "no connection within the deadline")
        await self._session(peer, secure)

    async def _open(self, peer: _Peer) -> trio.abc.Stream:
        try:
            return await self._dial(peer.address.host, peer.address.port)
        except OSError as error:
            # Where several addresses failed, trio's error has a text but no strerror.
            reason = error.strerror or str(error)
            where = f"{peer.address.host}:{peer.address.port}"
            raise RemoteError(
                peer.member, Code.CONNECT_FAILED, f"cannot connect to {where}: {reason}"
            ) from None

    async def serve(self, secure: SecureStream) -> None:
        """Serve a stream that another member opened, until it ends; closes it."""
        peer = self._peers.get(secure.identity.member)
        try:
            if peer is None:
                raise RemoteError(
                    secure.identity.member, Code.PEER_UNKNOWN, "not a member with a node"
                )
            if peer.penalty_until > trio.current_time():
                raise RemoteError(peer.member, Code.PEER_PROTOCOL, "kept away after a breach")
        except RemoteError as error:
            log.warning("peer %s refused: %s", error.peer, error)
            await trio.aclose_forcefully(secure.stream)
            return
        try:
            await self._session(peer, secure)
        except CreditLedgerError as error:
            self._note(peer, error)

    async def _session(self, peer: _Peer, secure: SecureStream) -> None:
        """Greet, then send and receive until the link ends or a newer session replaces it."""
        link = FrameLink(secure.stream, self._limits.link, peer.member)
        counters = peer.counters
        session = PeerSession(link, Outbox(self._limits.queues), counters)
        try:
            hello, rest = await self._greet(peer, link)
            self._install(peer, session, hello)
            with session.scope:
                put = partial(self._inbox.put, peer.member)
                await session.exchange(rest, put, self._limits.ping_s)
            if session.error is not None:
                raise session.error
        finally:
            counters.bytes_sent += link.bytes_sent
            counters.bytes_received += link.bytes_received
            counters.dropped += session.outbox.dropped
            if peer.session is session:
                peer.session = None
                self._on_disconnect(peer.index, str(session.error or "stopped"))
            await link.aclose()

    async def _greet(self, peer: _Peer, link: FrameLink) -> tuple[Hello, list[bytes]]:
        """Exchange hellos; return the peer's, and the frames that came behind it."""
        own = Hello(self._chain_id, self._own.member, self._nonce(), self._head())
        with trio.move_on_after(self._limits.link.handshake_s):
            await link.send([encode_peer_frame(own)])
            frames = await link.receive()
            if not frames:
                raise RemoteError(peer.member, Code.CONNECTION_LOST, "closed before its hello")
            return self._checked_hello(peer, decode_from(peer.member, frames[0])), frames[1:]
        raise RemoteError(peer.member, Code.TIMED_OUT, "no hello within the deadline")

    def _checked_hello(self, peer: _Peer, frame: PeerFrame) -> Hello:
        if not isinstance(frame, Hello):
            raise RemoteError(peer.member, Code.PEER_PROTOCOL, "first frame is not a hello")
        if frame.chain_id != self._chain_id:
            raise RemoteError(
                peer.member,
                Code.PEER_WRONG_CHAIN,
                f"chain {frame.chain_id.hex()[:16]}, want {self._chain_id.hex()[:16]}",
            )
        if frame.member != peer.member:
            raise RemoteError(
                peer.member, Code.PEER_PROTOCOL, f"hello of {frame.member}, want {peer.member}"
            )
        return frame

    def _install(self, peer: _Peer, session: PeerSession, hello: Hello) -> None:
        if self._peers.get(peer.member) is not peer:
            raise RemoteError(peer.member, Code.PEER_UNKNOWN, "was removed during its greeting")
        previous, peer.session = peer.session, session
        if previous is not None:
            previous.scope.cancel()
            self._on_disconnect(peer.index, "replaced by a newer session")
        peer.counters.sessions += 1
        self._on_connect(peer.index, hello)

    def _note(self, peer: _Peer, error: CreditLedgerError) -> None:
        """Count and log a failed session; charge the peer if it was its doing."""
        counters = peer.counters
        counters.failures += 1
        if str(error) != counters.last_error:
            log.warning("link to %s: %s", peer.member, error)
        counters.last_error = str(error)
        if error.code in _BREACHES:
            self._penalise(peer, error)

    def _penalise(self, peer: _Peer, error: CreditLedgerError) -> None:
        peer.penalty_until = trio.current_time() + self._limits.penalty_s
        log.warning("%s kept away: %s", peer.member, error)


def _put(peer: _Peer, data: bytes, *, is_bulk: bool) -> bool:
    if peer.session is None:
        return False
    peer.session.outbox.put(data, is_bulk=is_bulk)
    return True


# What a correct node never does; a lost connection or a stale certificate is no breach.
_BREACHES = frozenset(
    (
        Code.ENCODING_TYPE,
        Code.ENCODING_RANGE,
        Code.ENCODING_DEPTH,
        Code.ENCODING_SIZE,
        Code.ENCODING_MALFORMED,
        Code.ENCODING_NOT_CANONICAL,
        Code.ENVELOPE_MALFORMED,
        Code.FRAME_TOO_LARGE,
        Code.FRAME_MALFORMED,
        Code.PEER_WRONG_CHAIN,
        Code.PEER_PROTOCOL,
    )
)
