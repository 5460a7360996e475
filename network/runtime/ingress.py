"""Takes in what other members send, and gives each its own lane (F69, F70).

Each member has two workers, one for votes and one for bulk, behind bounded queues: votes do not
wait behind bodies, and a member that floods loses its own messages, nobody else's. A vote whose
signatures do not verify, or a frame that cannot be decoded, is charged to the member whose link
brought it (rule 48).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
import trio

from consensus.config import ReplicaConfig
from consensus.events import Event, MessageReceived
from consensus.messages import Message
from consensus.verification import check_message, signature_items
from consensus.wire import decode_message
from ledger.errors import Code, CreditLedgerError
from network.peers import PeerNetwork
from network.runtime.door import Door
from network.runtime.mempool import Mempool
from network.runtime.verifier import VoteVerifier
from network.wire import (
    Blocks,
    Bodies,
    BodiesPurpose,
    GetBlocks,
    GetBodies,
    Offer,
    PeerFrame,
    Votes,
)

VOTE_LANE = 2048
BULK_LANE = 256
VOTES_AT_ONCE = 64
ANSWER_BYTES = 4 * 1024 * 1024  # of one frame
ANSWER_BYTES_MAX = 16 * 1024 * 1024  # of all frames that answer one request, below a link's queue

log = structlog.get_logger()


class BlockSource(Protocol):
    """The part that serves and receives whole blocks."""

    async def serve_blocks(self, member: int, request: GetBlocks) -> None:
        """Send the blocks that another member asked for."""

    def on_blocks(self, member: int, frame: Blocks) -> None:
        """Take the blocks that another member sent."""


class Ingress:
    """Dispatches frames from `PeerNetwork.receive` to the lanes and works them off."""

    def __init__(
        self,
        config: ReplicaConfig,
        peers: PeerNetwork,
        door: Door,
        mempool: Mempool,
        verifier: VoteVerifier,
        blocks: BlockSource,
        post: Callable[[Event], None],
    ) -> None:
        self._config = config
        self._peers = peers
        self._door = door
        self._mempool = mempool
        self._verifier = verifier
        self._blocks = blocks
        self._post = post
        self._votes: dict[int, trio.MemorySendChannel[Votes]] = {}
        self._bulk: dict[int, trio.MemorySendChannel[PeerFrame]] = {}
        self.dropped_count = 0

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            for member in range(self._config.size):
                if member == self._config.index:
                    continue
                votes_in, votes_out = trio.open_memory_channel[Votes](VOTE_LANE)
                bulk_in, bulk_out = trio.open_memory_channel[PeerFrame](BULK_LANE)
                self._votes[member], self._bulk[member] = votes_in, bulk_in
                nursery.start_soon(self._work_votes, member, votes_out)
                nursery.start_soon(self._work_bulk, member, bulk_out)
            while True:
                for member, frame in await self._peers.receive():
                    self._dispatch(member, frame)

    def _dispatch(self, member: int, frame: PeerFrame) -> None:
        try:
            if isinstance(frame, Votes):
                self._votes[member].send_nowait(frame)
            elif isinstance(frame, Blocks):
                self._blocks.on_blocks(member, frame)
            else:
                self._bulk[member].send_nowait(frame)
        except trio.WouldBlock:
            self.dropped_count += 1

    async def _work_votes(self, member: int, lane: trio.MemoryReceiveChannel[Votes]) -> None:
        async for first in lane:
            frames = [first]
            while len(frames) < VOTES_AT_ONCE:
                try:
                    frames.append(lane.receive_nowait())
                except trio.WouldBlock:
                    break
            await self._take_votes(member, frames)

    async def _take_votes(self, member: int, frames: Sequence[Votes]) -> None:
        """Decode and verify messages together; where one is bad, find out which, one by one."""
        decoded = []
        for frame in frames:
            try:
                message = decode_message(frame.message)
                check_message(message, self._config)
                decoded.append((message, signature_items(message, self._config)))
            except CreditLedgerError as error:
                self._charge(member, error.code, error.message)
        together = [item for _, items in decoded for item in items]
        if await self._verifier.verify(together):
            self._deliver(member, [message for message, _ in decoded])
            return
        for message, items in decoded:
            if await self._verifier.verify(items):
                self._deliver(member, [message])
            else:
                self._charge(member, Code.SIGNATURE_INVALID, "a vote does not verify")

    def _deliver(self, member: int, messages: Sequence[Message]) -> None:
        for message in messages:
            self._post(MessageReceived(member, message))

    async def _work_bulk(self, member: int, lane: trio.MemoryReceiveChannel[PeerFrame]) -> None:
        async for frame in lane:
            if isinstance(frame, Bodies):
                bad = await self._door.admit_remote(frame.items, member)
                if bad:
                    log.warning("bodies refused", peer=member, count=bad)
            elif isinstance(frame, GetBodies):
                self._send_bodies(member, frame.hashes)
            elif isinstance(frame, Offer):
                self._take_offer(member, frame.hashes)
            elif isinstance(frame, GetBlocks):
                await self._blocks.serve_blocks(member, frame)

    def _take_offer(self, member: int, hashes: Sequence[bytes]) -> None:
        """Serve what is held from the places of the member that asks too; fetch the rest."""
        wanted = [item for item in hashes if not self._door.is_known(item, member)]
        if wanted:
            self._peers.send(member, GetBodies(tuple(wanted)))

    def _send_bodies(self, member: int, hashes: Sequence[bytes]) -> None:
        wires: list[bytes] = []
        left = ANSWER_BYTES_MAX
        for signed_hash in dict.fromkeys(hashes):
            held = self._mempool.get(signed_hash)
            if held is not None and len(held.wire) <= left:
                wires.append(held.wire)
                left -= len(held.wire)
        for chunk in chunked(wires):
            self._peers.send(member, Bodies(chunk, BodiesPurpose.ANSWER))

    def _charge(self, member: int, code: Code, reason: str) -> None:
        log.warning("peer breached the protocol", peer=member, error=int(code), text=reason)
        self._peers.charge(member, code, reason)


def chunked(wires: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Split transactions into frames that stay well below the cap."""
    chunks: list[tuple[bytes, ...]] = []
    current: list[bytes] = []
    size = 0
    for wire in wires:
        if current and (size + len(wire) > ANSWER_BYTES or len(current) == 4096):
            chunks.append(tuple(current))
            current, size = [], 0
        current.append(wire)
        size += len(wire)
    if current:
        chunks.append(tuple(current))
    return chunks
