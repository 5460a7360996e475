"""Takes in what other members send, and gives each its own lane (F69, F70).

Each member has two workers, one for votes and one for bulk, behind bounded queues: votes do not
wait behind bodies, and a member that floods loses its own messages, nobody else's. A vote whose
signatures do not verify, or a frame that cannot be decoded, is charged to the member whose link
brought it (rule 48). Lanes belong to members by their ids; what waits when an epoch ends is judged
by the next one, under the numbers of the next. From an observer only STATUS and questions are
taken: it orders nothing and votes on nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from consensus.config import OBSERVER, ReplicaConfig
from consensus.events import Event, MessageReceived
from consensus.messages import EpochChanges, Message, StableCertificate, Status, malformed
from consensus.verification import check_message, signature_items
from consensus.wire import decode_message
from ledger.chain.certificate import Certificate
from ledger.errors import Code, CreditLedgerError
from network.peers import PeerNetwork
from network.runtime.door import Door
from network.runtime.executed import ExecutedBodies
from network.runtime.history import EpochHistory
from network.runtime.mempool import Mempool
from network.runtime.own_votes import SIGNED, HeardVotes
from network.runtime.shelf import SnapshotShelf
from network.runtime.threads import run_in_thread
from network.runtime.transfer import StateTransfer
from network.runtime.verifier import VoteVerifier
from network.wire import (
    Blocks,
    Bodies,
    BodiesPurpose,
    GetBlocks,
    GetBodies,
    GetState,
    GetVotes,
    KnownVotes,
    Offer,
    PeerFrame,
    StatePiece,
    Votes,
)

VOTE_LANE = 2048
BULK_LANE = 256
VOTES_AT_ONCE = 64
# What a member waits for each body that it should not have spread: three times what that costs.
BAD_BODY_SECONDS = 0.0002
# How long a member's lane rests after something was read for it, times what that took; at most.
SERVED_PAUSE = 2.0
SERVED_PAUSE_S_MAX = 0.5
ANSWER_BYTES = 4 * 1024 * 1024  # of one frame
ANSWER_BYTES_MAX = 16 * 1024 * 1024  # of all frames that answer one request, below a link's queue

log = structlog.get_logger()


class BlockSource(Protocol):
    """The part that serves and receives whole blocks."""

    async def serve_blocks(self, member: int, request: GetBlocks) -> None:
        """Send the blocks that another member asked for."""

    def on_blocks(self, member: int, frame: Blocks) -> None:
        """Take the blocks that another member sent."""


class ShownVotes(Protocol):
    """The part that knows what members have signed, and tells them (rule 46)."""

    @property
    def heard(self) -> HeardVotes:
        """The furthest messages of each key."""

    def look_at(self, certificate: Certificate) -> None:
        """Look for the own vote in a verified certificate."""

    async def answer(self, number: int, frame: GetVotes) -> None:
        """Show a member what it has signed."""

    def take_answer(self, number: int, frame: KnownVotes) -> None:
        """Take what another member shows of this node's votes."""


@dataclass(frozen=True, slots=True)
class _Lane:
    """The ways in of one member."""

    votes: trio.MemorySendChannel[Votes]
    bulk: trio.MemorySendChannel[PeerFrame]


class Ingress:
    """Dispatches frames from `PeerNetwork.receive` to the lanes and works them off."""

    def __init__(
        self,
        peers: PeerNetwork,
        door: Door,
        mempool: Mempool,
        executed: ExecutedBodies,
        verifier: VoteVerifier,
        blocks: BlockSource,
        shown: ShownVotes,
        history: EpochHistory,
        post: Callable[[Event], None],
    ) -> None:
        self._config: ReplicaConfig | None = None
        self._peers = peers
        self._door = door
        self._mempool = mempool
        self._executed = executed
        self._verifier = verifier
        self._blocks = blocks
        self._shown = shown
        self._history = history
        self._post = post
        self._lanes: dict[str, _Lane] = {}
        self._nursery: trio.Nursery | None = None
        self._shelf: SnapshotShelf | None = None
        self._transfer: StateTransfer | None = None
        self.dropped_count = 0
        self.heights: dict[str, int] = {}  # what each member last said of its chain; a hint

    def bind_states(self, shelf: SnapshotShelf, transfer: StateTransfer) -> None:
        """Say who answers questions about snapshots and who asks them (rule 41)."""
        self._shelf = shelf
        self._transfer = transfer

    def enter(self, config: ReplicaConfig) -> None:
        """Judge messages by another epoch from now on."""
        self._config = config

    @property
    def _is_following(self) -> bool:
        return self._config is None or self._config.index == OBSERVER

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            while True:
                for number, frame in await self._peers.receive():
                    member = self._peers.member(number)
                    if member is not None:
                        self._dispatch(number, self._lane(member), frame)

    def _lane(self, member: str) -> _Lane:
        """Return a member's lane, with its workers; a member that is gone leaves idle ones."""
        lane = self._lanes.get(member)
        if lane is None:
            votes_in, votes_out = trio.open_memory_channel[Votes](VOTE_LANE)
            bulk_in, bulk_out = trio.open_memory_channel[PeerFrame](BULK_LANE)
            lane = self._lanes[member] = _Lane(votes_in, bulk_in)
            if self._nursery is not None:
                self._nursery.start_soon(self._work_votes, member, votes_out)
                self._nursery.start_soon(self._work_bulk, member, bulk_out)
        return lane

    def _dispatch(self, number: int, lane: _Lane, frame: PeerFrame) -> None:
        try:
            if isinstance(frame, Votes):
                lane.votes.send_nowait(frame)
            elif isinstance(frame, Blocks):
                self._blocks.on_blocks(number, frame)
            elif isinstance(frame, StatePiece):
                if self._transfer is not None:
                    self._transfer.on_piece(number, frame)
            else:
                lane.bulk.send_nowait(frame)
        except trio.WouldBlock:
            self.dropped_count += 1

    async def _work_votes(self, member: str, lane: trio.MemoryReceiveChannel[Votes]) -> None:
        async for first in lane:
            frames = [first]
            while len(frames) < VOTES_AT_ONCE:
                try:
                    frames.append(lane.receive_nowait())
                except trio.WouldBlock:
                    break
            if self._config is not None and self._peers.index(member) is not None:
                await self._take_votes(member, frames, self._config)

    async def _take_votes(
        self, member: str, frames: Sequence[Votes], config: ReplicaConfig
    ) -> None:
        """Decode and verify messages together; where one is bad, find out which, one by one."""
        number = self._peers.index(member)
        is_observer = number is not None and number >= config.size
        decoded = []
        for frame in frames:
            try:
                message = decode_message(frame.message)
                is_here = message.epoch == config.epoch  # of another one it counts for nothing
                if is_observer and is_here and not isinstance(message, Status):
                    raise malformed(f"{type(message).__name__} of an observer")
                check_message(message, config)
                decoded.append((message, signature_items(message, config)))
            except CreditLedgerError as error:
                self._charge(member, error.code, error.message)
        together = [item for _, items in decoded for item in items]
        if await self._verifier.verify(together):
            self._deliver(member, [message for message, _ in decoded], config)
            return
        for message, items in decoded:
            if await self._verifier.verify(items):
                self._deliver(member, [message], config)
            else:
                self._charge(member, Code.SIGNATURE_INVALID, "a vote does not verify")

    def _deliver(self, member: str, messages: Sequence[Message], config: ReplicaConfig) -> None:
        """Hand verified messages to the replica; those of an epoch that has ended meanwhile not."""
        number = self._peers.index(member)
        if number is None or config is not self._config:
            return
        for message in messages:
            if isinstance(message, Status):
                self.heights[member] = message.executed_height
            if message.epoch == config.epoch:
                self._look_at(message, config)
            self._post(MessageReceived(number, message))

    def _look_at(self, message: Message, config: ReplicaConfig) -> None:
        """Keep for others what this message proves."""
        if isinstance(message, EpochChanges):
            self._history.learn(message.changes)
        elif isinstance(message, StableCertificate):
            self._shown.look_at(message.certificate)
        elif isinstance(message, SIGNED):
            self._shown.heard.add(config.members[message.signer], message)

    async def _work_bulk(self, member: str, lane: trio.MemoryReceiveChannel[PeerFrame]) -> None:
        async for frame in lane:
            number = self._peers.index(member)
            if number is not None and self._config is not None:
                await self._take_bulk(number, frame, is_validator=number < self._config.size)

    async def _take_bulk(self, number: int, frame: PeerFrame, *, is_validator: bool) -> None:
        if isinstance(frame, GetBlocks):
            began = trio.current_time()
            await self._blocks.serve_blocks(number, frame)
            await _rest(began)
        elif isinstance(frame, GetState):
            if self._shelf is not None:
                await self._shelf.serve(number, frame)
        elif isinstance(frame, GetVotes):
            await self._shown.answer(number, frame)
        elif isinstance(frame, KnownVotes):
            self._shown.take_answer(number, frame)
        elif not is_validator:
            self.dropped_count += 1
        elif isinstance(frame, Bodies) and self._is_following:
            self.dropped_count += 1  # who orders nothing needs no bodies
        elif isinstance(frame, Bodies):
            bad = await self._door.admit_remote(frame.items, number)
            if bad:
                log.warning("bodies refused", peer=number, count=bad)
                # A correct member checks before it spreads: its lane waits, nobody else's (F68).
                await trio.sleep(bad * BAD_BODY_SECONDS)
        elif isinstance(frame, GetBodies):
            began = trio.current_time()
            await self._send_bodies(number, frame.hashes)
            await _rest(began)
        elif isinstance(frame, Offer):
            self._take_offer(number, frame.hashes)

    def _take_offer(self, member: int, hashes: Sequence[bytes]) -> None:
        """Serve what is held from the places of the member that asks too; fetch the rest."""
        wanted = [item for item in hashes if not self._door.is_known(item, member)]
        if wanted:
            self._peers.send(member, GetBodies(tuple(wanted)))

    async def _send_bodies(self, member: int, hashes: Sequence[bytes]) -> None:
        """Send what is asked for: what waits here, and out of the chain what is executed."""
        wires: list[bytes] = []
        left = ANSWER_BYTES_MAX
        executed = []
        for signed_hash in dict.fromkeys(hashes):
            held = self._mempool.get(signed_hash)
            if held is None:
                executed.append(signed_hash)
            elif len(held.wire) <= left:
                wires.append(held.wire)
                left -= len(held.wire)
        places = self._executed.find(executed)
        if places:
            wires += await run_in_thread(self._executed.read, places, left)
        for chunk in chunked(wires):
            self._peers.send(member, Bodies(chunk, BodiesPurpose.ANSWER))

    def _charge(self, member: str, code: Code, reason: str) -> None:
        log.warning("peer breached the protocol", member=member, error=int(code), text=reason)
        number = self._peers.index(member)
        if number is not None:
            self._peers.charge(number, code, reason)


async def _rest(began: float) -> None:
    """Let a member's lane rest: one that asks without end gets a share of a worker thread (F69)."""
    await trio.sleep(min(SERVED_PAUSE * (trio.current_time() - began), SERVED_PAUSE_S_MAX))


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
