"""The shell around one replica: sync, bodies, blocks, timers, restarts, as a real node has them.

Effects wait in one queue. A round takes all that is queued, makes its `Persist` records durable
with one sync that takes time, and then performs the rest in order; so a crash at any moment finds
records written, half written or synced, and messages sent or not. What is volatile and what is
durable is told apart in `Disk`. Between nodes travel consensus messages and the shell's own
tuples: bodies, requests for bodies and blocks, blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from consensus import effects as fx
from consensus.config import ReplicaConfig
from consensus.effects import Effect
from consensus.epochs import EpochView
from consensus.events import (
    BatchExecuted,
    BlockInstalled,
    ChainHead,
    Clock,
    Event,
    ExecutedBlock,
    FetchFailed,
    MessageReceived,
    PeerConnected,
    Request,
    RequestReceived,
    Timer,
    TimerExpired,
)
from consensus.log import AcceptedRecord, VoteRecord, decode_record, encode_record, retained
from consensus.replica import Replica
from tests.simulator.checkers import Checkers, ViolationError
from tests.simulator.invariants import Invariants
from tests.simulator.model_ledger import ModelBlock, ModelLedger
from tests.simulator.scheduler import NS_PER_MS, Scheduler

SYNC_NS_MAX = 2 * NS_PER_MS
EXECUTE_NS_MAX = 4 * NS_PER_MS
FETCH_TIMEOUT_NS = 400 * NS_PER_MS


class World(Protocol):
    """What a node needs of the run."""

    scheduler: Scheduler
    rng: Random
    checkers: Checkers
    invariants: Invariants
    size: int
    fetch_timeout_ns: int

    def transmit(self, sender: int, to: int, payload: Any) -> None:
        """Send a payload to another member."""

    def count(self, what: str) -> None:
        """Count something for the summary."""

    def on_evidence(self, found: fx.Evidence) -> None:
        """A replica has found that a member contradicts itself."""

    def on_certified(self, member: int, block: ModelBlock) -> None:
        """A block of `member` is certified there: its clients are told."""

    def on_persist(self, member: int, moment: str) -> bool:
        """Tell whether `member` crashes at this moment ("before" or "after") of a sync."""


@dataclass(slots=True)
class Disk:
    """What survives a crash."""

    ledger: ModelLedger
    records: list[VoteRecord] = field(default_factory=list)
    bodies: set[bytes] = field(default_factory=set)


class SimNode:
    """One member: its replica while it is up, and its disk always."""

    def __init__(
        self,
        world: World,
        config: ReplicaConfig,
        sign: Callable[[bytes], bytes],
        disk: Disk,
    ) -> None:
        self.world = world
        self.config = config
        self.index = config.index
        self.disk = disk
        self.ledger = disk.ledger
        self.wall_offset_ms = 0
        self.is_up = False
        self.is_honest = True
        self.replica: Replica
        self.bodies: set[bytes] = set()
        self._sign = sign
        self._life = 0
        self._queue: list[Effect] = []
        self._unsynced: list[fx.Persist] = []
        self._is_syncing = False
        self._timers: dict[Timer, int] = {}
        self._timer_count = 0
        self._fetch_count = 0
        self._fetch: fx.FetchBlocks | None = None
        self._certified_height = 0
        self._performers: dict[type, Callable[[Any], None]] = {
            fx.Send: self._perform_send,
            fx.Broadcast: self._perform_broadcast,
            fx.Execute: self._perform_execute,
            fx.StoreCertificate: self._perform_store_certificate,
            fx.FetchRequests: self._perform_fetch_requests,
            fx.FetchBlocks: self._perform_fetch_blocks,
            fx.RelayRequests: self._perform_relay_requests,
            fx.PruneVotes: self._perform_prune_votes,
            fx.ForgetRequests: self._perform_forget_requests,
        }

    # Life and death

    def clock(self) -> Clock:
        """Return this node's clocks now."""
        now_ns = self.world.scheduler.now_ns
        base_ms = self.ledger.genesis_time_ms
        return Clock(now_ns, max(0, base_ms + now_ns // NS_PER_MS + self.wall_offset_ms))

    def start(self) -> None:
        """Start, or start again, from what the disk holds."""
        disk, ledger = self.disk, self.ledger
        self._life += 1
        self._queue, self._unsynced, self._is_syncing = [], [], False
        self._timers = {}
        self._fetch_count += 1  # blocks that an earlier life has asked for are not waited for
        self._fetch = None
        records = [decode_record(encode_record(record)) for record in disk.records]
        certificate = ledger.get_best_certificate()
        stable = certificate.height if certificate else 0
        self._certified_height = stable
        recent = tuple(
            ExecutedBlock(block.height, block.block_hash, block.batch_digest)
            for block in ledger.blocks[stable:]
        )
        block_hash, time_ms = ledger.head()
        head = ChainHead(ledger.height, block_hash, time_ms, certificate, recent, self._epochs())
        self.is_up = True
        self.bodies = {item for item in disk.bodies if item not in ledger.seen}
        self.world.invariants.on_start(self, head)
        self.replica, effects = Replica.restore(
            self.config, self._sign, records, head, self.clock()
        )
        self.world.invariants.after_start(self)
        self._take(effects)
        for digest in sorted(self.bodies):
            self._handle_body(digest, self.index, is_local=False)

    def crash(self) -> None:
        """Stop at once. Of a sync under way a prefix may have reached the disk (torn)."""
        if not self.is_up:
            return
        self.is_up = False
        self._life += 1
        survived = self.world.rng.randint(0, len(self._unsynced)) if self._is_syncing else 0
        self._make_durable(self._unsynced[:survived])
        self.ledger.crash()
        self.bodies = set()

    # Events

    def handle(self, event: Event) -> None:
        """Deliver an event to the replica, if the node is up."""
        if self.is_up:
            clock = self.clock()
            effects = self.replica.handle(event, clock)
            if self.is_honest:
                self.world.invariants.on_event(self, clock.wall_ms, event, effects)
            self._take(effects)

    def connect(self, peer: int) -> None:
        """Tell the replica that a link is up."""
        self.handle(PeerConnected(peer))

    def receive(self, sender: int, payload: Any) -> None:
        """Take a payload from the network."""
        if not self.is_up:
            return
        if type(payload) is not tuple:
            self.handle(MessageReceived(sender, payload))
        elif payload[0] == "bodies":
            for digest in payload[1]:
                self._handle_body(digest, sender, is_local=False)
        elif payload[0] == "want bodies":
            held = [item for item in payload[1] if self._has_body(item)]
            if held:
                self.world.transmit(self.index, sender, ("bodies", held))
        elif payload[0] == "want blocks":
            blocks = self.ledger.blocks[payload[1] - 1 : payload[2]]
            self.world.transmit(self.index, sender, ("blocks", blocks, payload[3]))
        else:
            self._receive_blocks(payload[1], payload[2])

    def submit(self, digest: bytes) -> bool:
        """Take a client's transaction; False: BUSY, or down. A known fate is told again."""
        if not self.is_up:
            return False
        if digest in self.ledger.seen:
            self._tell_fate(digest)
            return True
        if digest not in self.bodies and not self._is_welcome(digest):
            return False
        self._handle_body(digest, self.index, is_local=True)
        for member in range(self.world.size):
            if member != self.index:
                self.world.transmit(self.index, member, ("bodies", [digest]))
        return True

    def _is_welcome(self, digest: bytes) -> bool:
        """Tell whether the door is open: there is a place, and the expiry is not too far off."""
        latest_ms = self.clock().wall_ms + self.config.limits.max_ttl_ms
        is_near = self.ledger.bodies[digest].expires_at_ms <= latest_ms
        return is_near and self.replica.free_places(self.index) > 0

    def _has_body(self, digest: bytes) -> bool:
        return digest in self.bodies or digest in self.ledger.seen

    def _handle_body(self, digest: bytes, origin: int, is_local: bool) -> None:
        if digest in self.ledger.seen:
            return
        body = self.ledger.bodies[digest]
        self.bodies.add(digest)
        request = Request(digest, body.size, body.expires_at_ms, origin)
        self.handle(RequestReceived(request, is_local))

    def _tell_fate(self, digest: bytes) -> None:
        height = self.ledger.index.get(digest)
        if height is not None and height <= self._certified_height:
            self.world.on_certified(self.index, self.ledger.blocks[height - 1])

    # Effects, and when they are performed

    def _take(self, effects: list[Effect]) -> None:
        waiting = False
        for effect in effects:
            if isinstance(effect, fx.SetTimer):
                self._set_timer(effect)
            elif isinstance(effect, fx.CancelTimer):
                self._timers.pop(effect.timer, None)
            elif isinstance(effect, fx.Persist) or type(effect) in self._performers:
                self._queue.append(effect)
                waiting = True
            else:
                self._report(effect)
        if waiting and not self._is_syncing:
            self._run_round()

    def _run_round(self) -> None:
        """Perform what comes before the first record; then one sync of all records; then the rest.

        A message that a replica puts before its record is thus on its way when the sync fails.
        """
        while self._queue and self.is_up and not self._is_syncing:
            batch, self._queue = self._queue, []
            first = next(
                (place for place, item in enumerate(batch) if isinstance(item, fx.Persist)),
                len(batch),
            )
            self._perform(batch[:first])
            batch = batch[first:]
            self._unsynced = [item for item in batch if isinstance(item, fx.Persist)]
            if not self._unsynced or not self.is_up:
                continue
            self._is_syncing = True
            if self.world.on_persist(self.index, "before"):
                self.crash()
                return
            delay_ns = int(self.world.rng.random() * SYNC_NS_MAX)
            self.world.scheduler.after(delay_ns, self._finish_sync, self._life, batch)

    def _finish_sync(self, life: int, batch: list[Effect]) -> None:
        if life != self._life:
            return
        self._make_durable(self._unsynced)
        self._unsynced, self._is_syncing = [], False
        if self.world.on_persist(self.index, "after"):
            self.crash()
            return
        self._perform(batch)
        self._run_round()

    def _make_durable(self, effects: list[fx.Persist]) -> None:
        for effect in effects:
            self.disk.records.append(effect.record)
            for digest in effect.bodies:
                if not self._has_body(digest):
                    raise ViolationError(f"member {self.index} votes without a body")
                self.disk.bodies.add(digest)
            if self.is_honest:
                self.world.invariants.on_durable(self, self.clock().wall_ms, effect)
                self._check_bodies_kept(effect.record)
        if effects:
            self.ledger.sync_certificates()

    def _check_bodies_kept(self, record: VoteRecord) -> None:
        """Rule 43: before PREPARE the bodies are durable too."""
        if isinstance(record, AcceptedRecord):
            for digest in record.pre_prepare.batch.transactions:
                if digest not in self.disk.bodies and digest not in self.ledger.seen:
                    raise ViolationError(f"member {self.index} does not keep a body (rule 43)")

    def _perform(self, batch: list[Effect]) -> None:
        for effect in batch:
            if not self.is_up:
                return
            if not isinstance(effect, fx.Persist):
                self._performers[type(effect)](effect)

    def _perform_send(self, effect: fx.Send) -> None:
        if self.is_honest:
            self.world.checkers.on_honest_send(self.index, effect.message)
            self.world.invariants.on_send(self, effect.message)
        self.world.transmit(self.index, effect.to, effect.message)

    def _perform_broadcast(self, effect: fx.Broadcast) -> None:
        if self.is_honest:
            self.world.checkers.on_honest_send(self.index, effect.message)
            self.world.invariants.on_send(self, effect.message)
        for member in range(self.world.size):
            if member != self.index:
                self.world.transmit(self.index, member, effect.message)

    def _perform_relay_requests(self, effect: fx.RelayRequests) -> None:
        self.world.count("relays")
        held = [item for item in effect.hashes if item in self.bodies]
        self.world.transmit(self.index, effect.to, ("bodies", held))

    def _perform_fetch_requests(self, effect: fx.FetchRequests) -> None:
        self.world.count("fetches of bodies")
        for member in effect.sources:
            self.world.transmit(self.index, member, ("want bodies", effect.hashes))

    def _perform_forget_requests(self, effect: fx.ForgetRequests) -> None:
        if self.is_honest:
            self.world.invariants.on_forget(self, effect.hashes)
        self.bodies.difference_update(effect.hashes)

    def _perform_prune_votes(self, effect: fx.PruneVotes) -> None:
        if self.is_honest:
            self.world.invariants.on_prune(self, effect.stable_height)
        self.ledger.sync_certificates()
        self.disk.records = retained(self.disk.records, effect.stable_height)
        self.disk.bodies = {
            digest
            for record in self.disk.records
            if isinstance(record, AcceptedRecord)
            for digest in record.pre_prepare.batch.transactions
        }

    def _perform_store_certificate(self, effect: fx.StoreCertificate) -> None:
        certificate = effect.certificate
        if certificate.height > self.ledger.height:
            raise ViolationError(f"member {self.index} certifies a block it has not")
        if self.is_honest:
            self.world.invariants.on_certificate(self, certificate)
        self.ledger.unsynced[certificate.height] = certificate
        first, self._certified_height = (
            self._certified_height,
            max(self._certified_height, certificate.height),
        )
        if self.is_honest:
            for height in range(first + 1, self._certified_height + 1):
                self.world.on_certified(self.index, self.ledger.blocks[height - 1])

    def _report(self, effect: Effect) -> None:
        if isinstance(effect, fx.ReportViewChange):
            self.world.count(f"view changes: {effect.cause}")
        elif isinstance(effect, fx.ReportNewView):
            self.world.count("views entered")
        elif isinstance(effect, fx.ReportEvidence):
            self.world.on_evidence(effect.evidence)
        elif isinstance(effect, fx.ReportDrop):
            self.world.count(f"dropped: {effect.reason}")
        elif isinstance(effect, fx.Halt) and self.is_honest:
            raise ViolationError(f"honest member {self.index} halted: {effect.reason}")

    def _set_timer(self, effect: fx.SetTimer) -> None:
        self._timer_count += 1
        self._timers[effect.timer] = self._timer_count
        self.world.scheduler.after(
            effect.after_ns, self._expire, self._life, effect.timer, self._timer_count
        )

    def _expire(self, life: int, timer: Timer, count: int) -> None:
        if life == self._life and self._timers.get(timer) == count:
            del self._timers[timer]
            self.handle(TimerExpired(timer))

    # Blocks

    def _epochs(self) -> EpochView:
        return EpochView(self.config.epoch, self.config.members)

    def _perform_execute(self, effect: fx.Execute) -> None:
        if effect.batch.height != self.ledger.height + 1:
            raise ViolationError(f"member {self.index} executes out of order")
        if self.is_honest:
            self.world.invariants.on_execute(self, effect)
        delay_ns = int(self.world.rng.random() * EXECUTE_NS_MAX)
        self.world.scheduler.after(delay_ns, self._finish_execution, self._life, effect)

    def _finish_execution(self, life: int, effect: fx.Execute) -> None:
        if life != self._life:
            return
        batch = effect.batch
        if not all(self._has_body(item) for item in batch.transactions):
            raise ViolationError(f"member {self.index} executes without a body")
        block = self._append(batch.time_ms, effect.digest, batch.transactions)
        self.handle(
            BatchExecuted(
                block.height,
                block.block_hash,
                block.time_ms,
                batch.transactions,
                self._epochs(),
            )
        )

    def _append(
        self, time_ms: int | None, digest: bytes, transactions: tuple[bytes, ...]
    ) -> ModelBlock:
        block = self.ledger.execute(time_ms, digest, transactions)
        if self.is_honest:
            self.world.checkers.on_block(self.index, block)
        return block

    def _perform_fetch_blocks(self, effect: fx.FetchBlocks) -> None:
        self.world.count("catch-ups")
        self._fetch_count += 1
        self._try_source(self._life, self._fetch_count, effect, 0)

    def _try_source(self, life: int, fetch: int, effect: fx.FetchBlocks, number: int) -> None:
        if life != self._life or fetch != self._fetch_count:
            return
        if number >= len(effect.sources):
            self.handle(FetchFailed(effect.certificate.height))
            return
        self._fetch = effect
        wanted = ("want blocks", effect.from_height, effect.certificate.height, fetch)
        self.world.transmit(self.index, effect.sources[number], wanted)
        self.world.scheduler.after(
            self.world.fetch_timeout_ns, self._try_source, life, fetch, effect, number + 1
        )

    def _receive_blocks(self, blocks: list[ModelBlock], fetch: int) -> None:
        """Install what proves itself: a chain on the own head that ends in the certificate."""
        if fetch != self._fetch_count or self._fetch is None:
            return
        certificate = self._fetch.certificate
        parent_hash, _ = self.ledger.head()
        blocks = [block for block in blocks if block.height > self.ledger.height]
        for block in blocks:
            if block.parent_hash != parent_hash:
                return
            parent_hash = block.block_hash
        if not blocks or blocks[-1].block_hash != certificate.block_hash:
            return
        self._fetch_count += 1
        for block in blocks:
            self._install(block, certificate if block is blocks[-1] else None)

    def _install(self, block: ModelBlock, certificate: Any) -> None:
        if not self.is_up:
            return
        self.bodies.update(block.transactions)
        batch_time = block.time_ms
        made = self._append(batch_time, block.batch_digest, block.transactions)
        if made.block_hash != block.block_hash:
            raise ViolationError(f"member {self.index} installs block {block.height} otherwise")
        self.handle(
            BlockInstalled(
                block.height,
                block.block_hash,
                block.batch_digest,
                block.time_ms,
                block.transactions,
                certificate,
                self._epochs(),
            )
        )
