"""A member that lies: it holds a right certificate and a right vote key, and wants to harm.

`Liar` takes the place of one member's node towards those of higher index (which it dials) and does
everything at once that one key can do: two different votes for each height that it sees proposed,
one to each half of the members; VIEW-CHANGEs for views that nobody is in; STATUS that claims to
lack everything; questions for as many blocks and bodies as may be asked for; transactions whose
signatures are wrong; and now and then a vote that does not verify, or garbage, which costs it the
session. As a primary it is silent. What it sends is bounded by `frames_per_s` for each link, so
that a measurement says what was endured.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

import trio

from consensus import messages as m
from consensus.wire import decode_message, encode_message
from ledger.chain.certificate import checkpoint_signing_input
from ledger.encoding import encode
from ledger.errors import CreditLedgerError
from ledger.keys import SigningKey
from network.frames import PEER_LINK, FrameLink
from network.peers import PeerAddress
from network.tls import PEER_PROTOCOL, TlsEndpoint
from network.wire import (
    Bodies,
    GetBlocks,
    GetBodies,
    Hello,
    PeerFrame,
    Votes,
    decode_peer_frame,
    encode_peer_frame,
)

FAR = 2**40
AGAIN_S = 0.3
BREACH_SHARE = 0.001
BODY_BYTES = 300


@dataclass(slots=True)
class _Said:
    """One link, on which two tasks speak, one at a time."""

    link: FrameLink
    lock: trio.Lock = field(default_factory=trio.Lock)

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send frames, whole."""
        async with self.lock:
            await self.link.send(frames)


@dataclass(slots=True)
class Liar:
    """One lying member; `told` counts what it has sent, by kind."""

    chain_id: bytes
    own: PeerAddress
    others: Sequence[PeerAddress]
    tls: TlsEndpoint
    key: SigningKey
    frames_per_s: float
    seed: int
    told: Counter[str] = field(default_factory=Counter)
    _view: int = 0
    _height: int = 0
    _numbers: count[int] = field(default_factory=lambda: count(1))

    async def run(self) -> None:
        """Lie to every member of higher index, until cancelled."""
        async with trio.open_nursery() as nursery:
            for peer in self.others:
                if peer.index > self.own.index:
                    nursery.start_soon(self._keep, peer)

    async def _keep(self, peer: PeerAddress) -> None:
        random = Random(f"{self.seed}/{peer.index}")  # noqa: S311  which lie, not a secret
        while True:
            try:
                await self._lie_to(peer, random)
            except (CreditLedgerError, OSError):
                self.told["sessions lost"] += 1
            await trio.sleep(AGAIN_S)

    async def _lie_to(self, peer: PeerAddress, random: Random) -> None:
        stream = await trio.open_tcp_stream(peer.host, peer.port)
        try:
            secure = await self.tls.connect(stream, PEER_PROTOCOL, peer.member, peer.member)
            link = FrameLink(secure.stream, PEER_LINK, peer.member)
            hello = Hello(self.chain_id, self.own.member, os.urandom(16), 0)
            await link.send([encode_peer_frame(hello)])
            said = _Said(link)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, said, peer)
                await self._talk(said, random)
        except* (CreditLedgerError, OSError) as group:
            raise ConnectionError(str(group.exceptions[0])) from None
        finally:
            await trio.aclose_forcefully(stream)

    async def _listen(self, said: _Said, peer: PeerAddress) -> None:
        """Read what comes, and contradict itself about every proposal."""
        while frames := await said.link.receive():
            for data in frames:
                frame = decode_peer_frame(data)
                if isinstance(frame, Votes):
                    await self._hear(said, peer, decode_message(frame.message))
        raise ConnectionError("closed by the peer")

    async def _hear(self, said: _Said, peer: PeerAddress, message: m.Message) -> None:
        if not isinstance(message, m.PrePrepare):
            return
        self._view, self._height = message.view, message.batch.height
        other = bytes([peer.index % 2 + 1]) * 32
        await said.send(
            [
                self._vote(m.Prepare, self._view, self._height, other),
                self._vote(m.Commit, self._view, self._height, other),
                self._checkpoint(self._height, other),
            ]
        )
        self.told["contradicting votes"] += 3

    async def _talk(self, said: _Said, random: Random) -> None:
        pause_s = 1 / self.frames_per_s
        acts: list[tuple[str, Callable[[Random], bytes]]] = [
            ("statuses", self._status),
            ("far view changes", self._view_change),
            ("questions for blocks", self._ask_blocks),
            ("questions for bodies", self._ask_bodies),
            ("bodies with wrong signatures", self._bodies),
            ("votes of other views", self._early_vote),
        ]
        due = trio.current_time()
        while True:
            name, act = random.choice(acts)
            if random.random() < BREACH_SHARE:
                name, act = random.choice((("forged votes", _forged), ("garbage", _garbage)))
            await said.send([act(random)])
            self.told[name] += 1
            due = max(due + pause_s, trio.current_time() - 1)
            await trio.sleep_until(due)

    def _status(self, _random: Random) -> bytes:
        height = max(1, self._height)
        slots = tuple(m.SlotStatus(height + i, False, b"", b"") for i in range(32))
        lacking = tuple((height + i, b"") for i in range(32))
        status = m.Status(0, self._view, True, height, height, slots, lacking, b"", ())
        return _votes(status)

    def _view_change(self, random: Random) -> bytes:
        view = self._view + random.randrange(1, FAR)
        empty = m.ViewChange(0, view, 0, None, (), self.own.index, bytes(64))
        signature = self.key.sign(m.view_change_input(self.chain_id, empty))
        return _votes(m.ViewChange(0, view, 0, None, (), self.own.index, signature))

    def _ask_blocks(self, _random: Random) -> bytes:
        return encode_peer_frame(GetBlocks(1, 256))

    def _ask_bodies(self, random: Random) -> bytes:
        return encode_peer_frame(GetBodies(tuple(random.randbytes(32) for _ in range(64))))

    def _bodies(self, random: Random) -> bytes:
        """Return transactions with the right form, each another, that nobody has signed."""
        items = tuple(
            encode((random.randbytes(BODY_BYTES), random.randbytes(64), ())) for _ in range(16)
        )
        return encode_peer_frame(Bodies(items))

    def _early_vote(self, random: Random) -> bytes:
        view, height = self._view + 4 * random.randrange(1, 99) + 1, self._height + 1
        return self._vote(m.Commit, view, height, random.randbytes(32))

    def _vote(self, kind: type, view: int, height: int, digest: bytes) -> bytes:
        name = m.PREPARE_KIND if kind is m.Prepare else m.COMMIT_KIND
        signed = m.vote_input(self.chain_id, name, 0, view, height, digest, self.own.index)
        return _votes(kind(0, view, height, digest, self.own.index, self.key.sign(signed)))

    def _checkpoint(self, height: int, block_hash: bytes) -> bytes:
        index = self.own.index
        signed = checkpoint_signing_input(self.chain_id, 0, height, block_hash, index)
        return _votes(m.Checkpoint(0, height, block_hash, index, self.key.sign(signed)))


def _votes(message: m.Message) -> bytes:
    frame: PeerFrame = Votes(encode_message(message))
    return encode_peer_frame(frame)


def _forged(random: Random) -> bytes:
    return _votes(m.Commit(0, 1, 5, random.randbytes(32), 0, random.randbytes(64)))


def _garbage(random: Random) -> bytes:
    return random.randbytes(100)
