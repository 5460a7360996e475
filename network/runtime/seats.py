"""Which part this node plays, epoch after epoch: replica or observer (rules 2, 46).

In an epoch in which its member is a validator, and its home may vote under the key in force, the
node runs a `Replica`; else an `Observer`. The part changes without a restart: when an epoch ends
(`EnterEpoch`), when leave to vote is given or taken, when a chain that was behind reaches the epoch
in which its node votes.

To change seats, nobody is seated first: events are dropped, timers stop, what is being executed or
installed is brought to its end. Then everything that goes by numbers takes those of the epoch, the
next machine is made from the chain and the vote log as after a restart, and the bodies that are
held are delivered to it again, so that what clients have submitted goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import structlog
import trio

from consensus import effects as fx
from consensus.config import OBSERVER, ReplicaConfig, production
from consensus.events import ChainHead, Clock, ExecutedBlock
from consensus.messages import EpochChanges, StableCertificate
from consensus.observer import Observer
from consensus.replica import Replica
from consensus.wire import encode_message
from ledger.errors import Code, LocalError
from ledger.storage.chain_store import ChainStore
from network.peers import PeerNetwork
from network.runtime.blocks import BlockKeeper
from network.runtime.catch_up import CatchUp
from network.runtime.door import Door
from network.runtime.history import EpochHistory
from network.runtime.ingress import Ingress
from network.runtime.loop import ReplicaLoop
from network.runtime.membership import Membership, MembershipWatch
from network.runtime.mempool import Mempool
from network.runtime.performer import Performer
from network.runtime.roster import Roster
from network.runtime.threads import run_in_thread
from network.runtime.timers import TimerService
from network.runtime.trace import Trace, TracedMachine
from network.runtime.voter import Ballot, Voter
from network.wire import Votes

FAREWELL_SECONDS = 10.0
FLUSH_SECONDS = 0.5

Machine: TypeAlias = Replica | Observer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SeatParts:
    """What changes its numbers, its judge or its driver from seat to seat."""

    chain: ChainStore
    membership: MembershipWatch
    history: EpochHistory
    roster: Roster
    voter: Voter
    peers: PeerNetwork
    loop: ReplicaLoop
    timers: TimerService
    performer: Performer
    keeper: BlockKeeper
    catch_up: CatchUp
    door: Door
    mempool: Mempool
    ingress: Ingress
    clock: Callable[[], Clock]
    chain_id: bytes
    far_blocks: int = 0  # rule 41: `ReplicaConfig.far_blocks`
    trace: Trace | None = None


class Seats:
    """Seats one machine after the other; `machine` and `config` are those of now."""

    def __init__(self, parts: SeatParts) -> None:
        """Seat the first machine; the node's tasks need not run yet."""
        self._parts = parts
        self._lock = trio.Lock()
        self._wake = trio.Event()
        self._has_ended = trio.Event()
        self.removed: LocalError | None = None
        self.machine: Machine
        self.config: ReplicaConfig
        self.changes_count = 0
        parts.membership.listen(self._on_membership)
        self._seat(*self._find_epoch())
        self._look_for_removal(parts.membership.current)

    @property
    def replica(self) -> Replica | None:
        """The replica, if this node votes."""
        return self.machine if isinstance(self.machine, Replica) else None

    def _find_epoch(self) -> tuple[int, tuple[bytes, ...]]:
        """Return the epoch to begin in, and its members.

        That of the next height; but an epoch whose last block is not certified here is not over.
        """
        parts = self._parts
        epochs, header = parts.membership.current.epochs, parts.keeper.head
        is_last = epochs.epoch != header.epoch and header.height > 0
        if is_last and parts.chain.certificate(header.height) is None:
            keys = tuple(key for _, key in parts.history.validators(header.epoch))
            return header.epoch, keys
        return epochs.epoch, epochs.keys

    async def run(self) -> None:
        """Change the part when leave to vote or the membership has changed, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            if self.removed is not None:
                await self._finish_epoch()
                raise self.removed
            may_vote = self._find_ballot(self.config) is not None
            if may_vote != (self.replica is not None):
                await self._change(self.config.epoch, self.config.members)

    async def _finish_epoch(self) -> None:
        """Give the last votes before a removed validator's node ends.

        The block that removes it is still its epoch's to certify; without its vote the others may
        lack a quorum. They cut the links when they have gone on.
        """
        if self.replica is not None:
            with trio.move_on_after(FAREWELL_SECONDS):
                await self._has_ended.wait()
            await trio.sleep(FLUSH_SECONDS)

    def reconsider(self) -> None:
        """Look again whether this node plays the right part."""
        self._wake.set()

    def _on_membership(self, membership: Membership) -> None:
        parts = self._parts
        self._look_for_removal(membership)
        parts.roster.update(membership)
        parts.peers.set_peers(parts.roster.own_address(), parts.roster.addresses())
        self.reconsider()

    def _look_for_removal(self, membership: Membership) -> None:
        own = self._parts.roster.own
        if membership.is_removed(own):
            self.removed = LocalError(
                Code.NODE_REMOVED,
                f"member {own} was removed by block {membership.header.height} or before: this "
                "node ends here, its home can be audited",
            )
            self.reconsider()

    # From epoch to epoch

    async def enter(self, effect: fx.EnterEpoch) -> None:
        """Seat the machine of the next epoch; everything before this effect is performed.

        After a state was installed it may be the same epoch again; or an earlier one than this
        observer has been led to, which then goes on towards it (rule 41).
        """
        if self.removed is not None:
            self._has_ended.set()
        elif effect.epoch > self.config.epoch:
            await run_in_thread(self._parts.keeper.flush)
            await self._change(effect.epoch, effect.members)
        else:
            await self._change(self.config.epoch, self.config.members)

    def show(self, to: int, epoch: int) -> None:
        """Show a peer the way out of an epoch (rule 2)."""
        parts = self._parts
        certificate = parts.history.last_certificate(epoch)
        if certificate is not None:
            message = StableCertificate(epoch, certificate)
            parts.peers.send(to, Votes(encode_message(message)))
        changes = parts.history.changes(epoch)
        if changes:
            parts.peers.send(to, Votes(encode_message(EpochChanges(epoch, changes))))

    async def _change(self, epoch: int, members: tuple[bytes, ...]) -> None:
        parts = self._parts
        async with self._lock:
            parts.loop.seat(None)
            parts.timers.clear()
            await parts.catch_up.stop()
            await parts.keeper.settle()
            parts.performer.drop_queued()
            self._seat(epoch, members)

    def _seat(self, epoch: int, members: tuple[bytes, ...]) -> None:
        """Make the machine of an epoch and hand it to the loop."""
        parts = self._parts
        parts.roster.learn(parts.history.validators(epoch))
        numbers = parts.roster.enter(members, parts.membership.current)
        own = parts.roster.own_index
        parts.peers.set_peers(parts.roster.own_address(), parts.roster.addresses())
        parts.mempool.renumber(numbers, own)
        parts.voter.renumber(len(members))
        previous = parts.history.previous(epoch)
        index = own if own < len(members) else OBSERVER
        config = production(parts.chain_id, epoch, members, index, previous)
        # No height that is accepted may lie beyond what a change of members waits for (rule 2).
        window = min(config.limits.window, parts.membership.current.change_window)
        limits = replace(config.limits, window=window)
        config = replace(config, far_blocks=parts.far_blocks, limits=limits)
        ballot = self._find_ballot(config)
        if ballot is None:
            config = replace(config, index=OBSERVER)
        parts.ingress.enter(config)
        parts.catch_up.enter(config)
        self.config = config
        self.changes_count += 1
        effects = self._make(config, ballot)
        is_replica = self.replica is not None
        is_asking = own < config.size and parts.voter.refusal is None
        # A validator that may vote in a moment is busy till then; who only follows takes nothing.
        places = self._free_places if is_replica or is_asking else None
        parts.door.enter(own, config.size, config.limits.place_bytes, places)
        if parts.trace is not None and is_replica:
            parts.loop.seat(TracedMachine(self.machine, parts.trace))
        else:
            parts.loop.seat(self.machine)
        parts.performer.accept(effects)
        if ballot is not None:
            parts.door.restore(ballot.bodies)
            ballot.bodies.clear()
        parts.door.announce_all()
        part = "validator" if is_replica else "observer"
        log.info("seated", epoch=epoch, part=part, index=own, members=len(members))

    def _make(self, config: ReplicaConfig, ballot: Ballot | None) -> list[fx.Effect]:
        parts = self._parts
        head, now = self._chain_head(), parts.clock()
        if ballot is None:
            parts.performer.use_votes(None, [])
            self.machine, effects = Observer.start(config, head, now)
            return effects
        parts.performer.use_votes(ballot.votes, ballot.records)
        if parts.trace is not None:
            parts.trace.start(config, head, ballot.records)
        sign = ballot.key.sign
        self.machine, effects = Replica.restore(config, sign, ballot.records, head, now)
        return effects

    def _find_ballot(self, config: ReplicaConfig) -> Ballot | None:
        """Return the ballot if this node votes in the epoch, may vote, and has come that far."""
        parts = self._parts
        own = parts.roster.own_index
        key = config.members[own] if own < len(config.members) else None
        ballot = parts.voter.use(key, config.quorum)
        has_come = parts.membership.current.epochs.epoch >= config.epoch
        return ballot if has_come else None

    def _free_places(self) -> int:
        replica = self.replica
        return 0 if replica is None else replica.free_places(self.config.index)

    def _chain_head(self) -> ChainHead:
        chain = self._parts.chain
        head = self._parts.keeper.head
        certificate = chain.last_certificate()
        first = 1 if certificate is None else certificate.height + 1
        recent = []
        for height in range(first, head.height + 1):
            header = chain.header(height)
            if header is not None:
                recent.append(ExecutedBlock(height, header.hash(), header.batch_digest))
        epochs = self._parts.membership.current.view
        return ChainHead(head.height, head.hash(), head.time_ms, certificate, tuple(recent), epochs)
