"""The shell around one replica: sync, bodies, blocks, timers, restarts, as a real node has them.

Effects wait in one queue. A round takes all that is queued, makes its `Persist` records durable
with one sync that takes time, and then performs the rest in order; so a crash at any moment finds
records written, half written or synced, and messages sent or not. What survives a crash is the
`Home`. Between nodes travel consensus messages and the shell's own tuples: bodies, requests for
bodies and blocks, blocks. A planned crash is at a point: before, after or within the next sync,
block, cut of the vote log or message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from consensus import effects as fx
from consensus.config import OBSERVER, ReplicaConfig
from consensus.effects import Effect
from consensus.events import (
    BatchExecuted,
    BlockInstalled,
    ChainHead,
    Clock,
    Event,
    ExecutedBlock,
    MessageReceived,
    PeerConnected,
    Request,
    RequestReceived,
    RequestRefused,
    StateInstalled,
    Timer,
    TimerExpired,
)
from consensus.log import AcceptedRecord, VoteRecord
from consensus.messages import StableCertificate
from consensus.observer import Observer
from consensus.replica import Replica
from ledger.chain.certificate import Certificate
from ledger.errors import CreditLedgerError, StorageError
from tests.simulator.checkers import Checkers, ViolationError
from tests.simulator.dice import dice
from tests.simulator.fetching import Fetching
from tests.simulator.home import Home
from tests.simulator.members import EpochInvariants, Roster, Seating
from tests.simulator.model_ledger import ModelBlock
from tests.simulator.scheduler import NS_PER_MS, Scheduler
from tests.simulator.states import States

SYNC_NS_MAX = 2 * NS_PER_MS
EXECUTE_NS_MAX = 4 * NS_PER_MS


class World(Protocol):
    """What a node needs of the run."""

    scheduler: Scheduler
    seed: int
    checkers: Checkers
    invariants: EpochInvariants
    seating: Seating
    end_of_faults_ns: int
    fetch_timeout_ns: int

    def transmit(self, sender: int, to: int, payload: Any) -> None:
        """Send a payload to another member."""

    def is_certified(self, certificate: Certificate) -> bool:
        """Tell whether just a quorum of its epoch has signed a certificate."""

    def count(self, what: str) -> None:
        """Count something for the summary."""

    def on_evidence(self, found: fx.Evidence) -> None:
        """A replica has found that a member contradicts itself."""

    def on_certified(self, member: int, block: ModelBlock) -> None:
        """A block of `member` is certified there: its clients are told."""

    def on_point(self, member: int, what: str) -> str:
        """Return how `member` crashes at this point ("before", "after", "torn"), or nothing.

        `what` is "sync", "block", "prune" or "send".
        """

    def on_fault_of(self, member: int, what: str) -> None:
        """Count `member` among the faulty from now on: its disk lost what it had promised."""


class SimNode:
    """One member: its replica while it is up, and its home always."""

    def __init__(
        self,
        world: World,
        number: int,
        config: ReplicaConfig,
        sign: Callable[[bytes], bytes],
        home: Home,
    ) -> None:
        self.world = world
        self.config = config
        self.index = number
        self.home = home
        self.ledger = home.ledger
        self.wall_offset_ms = 0
        self.wall_stopped_ms: int | None = None
        self.stalled_until_ns = 0
        self.failed_views = 0
        self.is_up = False
        self.is_honest = True
        self.is_lost = False
        self.replica: Replica | Observer
        self.bodies: set[bytes] = set()
        self.sign = sign
        self.roster: Roster = Roster((), 0)
        self._random = dice(world.seed, "member", number).random
        self._life = 0
        self._queue: list[Effect] = []
        self._unsynced: list[fx.Persist] = []
        self._is_syncing = False
        self._timers: dict[Timer, int] = {}
        self._timer_count = 0
        self.fetching = Fetching(self)
        self.states = States(self)
        self.base = 0  # blocks up to here came as a state and are given to nobody
        self._certified_height = 0
        self._performers: dict[type, Callable[[Any], None]] = {
            fx.Send: self._perform_send,
            fx.Broadcast: self._perform_broadcast,
            fx.Execute: self._perform_execute,
            fx.StoreCertificate: self._perform_store_certificate,
            fx.FetchRequests: self._perform_fetch_requests,
            fx.FetchBlocks: self.fetching.start,
            fx.FetchState: self.states.start,
            fx.RelayRequests: self._perform_relay_requests,
            fx.PruneVotes: self._perform_prune_votes,
            fx.EnterEpoch: self._perform_enter_epoch,
            fx.ShowEpochs: self._perform_show_epochs,
        }

    # Life and death

    def clock(self) -> Clock:
        """Return this node's clocks now."""
        now_ns = self.world.scheduler.now_ns
        wall_ms = self.ledger.genesis_time_ms + now_ns // NS_PER_MS + self.wall_offset_ms
        if self.wall_stopped_ms is not None:
            wall_ms = self.wall_stopped_ms
        return Clock(now_ns, max(0, wall_ms))

    def start(self) -> None:
        """Start, or start again, from what the home holds; a home without its votes stays down."""
        self._life += 1
        self._queue, self._unsynced, self._is_syncing = [], [], False
        self._timers = {}
        self.fetching.forget()
        self.states.forget()
        try:
            records, held = self.home.open()
        except StorageError:
            self.world.count("vote logs refused")
            self._give_up("its vote log is refused")
            return
        self.is_up = True
        self.bodies = {item for item in held if item not in self.ledger.seen}
        try:
            effects = self._restore(records)
        except CreditLedgerError:
            if self.is_honest:
                raise
            self._give_up("what it lost keeps it from starting")
            return
        self._take(effects)
        for digest in sorted(self.bodies):
            self._handle_body(digest, self.config.index, is_local=False)

    def _restore(self, records: list[VoteRecord]) -> list[Effect]:
        self.world.seating.seat(self)
        head, clock = self._make_head(), self.clock()
        if not self.is_voter:
            self.replica, effects = Observer.start(self.config, head, clock)
            return effects
        self.world.invariants.on_start(self, head)
        self.replica, effects = Replica.restore(self.config, self.sign, records, head, clock)
        self.world.invariants.after_start(self)
        return effects

    @property
    def is_voter(self) -> bool:
        """Tell whether this node is a member of its epoch."""
        return self.config.index != OBSERVER

    def _enter_epoch(self, life: int, effect: fx.EnterEpoch) -> None:
        """Make the replica or observer of the next epoch, without a stop of the node (rule 2)."""
        if life != self._life:
            return
        self.ledger.sync_certificates()
        if self.is_honest and effect.certificate.height != self.base:
            self.world.seating.on_enter(self, effect)
        self._life += 1
        self._timers = {}
        self.fetching.forget()
        self.states.forget()
        records, _ = self.home.open()
        self._take(self._restore(records))
        for digest in sorted(self.bodies):
            self._handle_body(digest, self.config.index, is_local=False)
        for node in self.roster.observers:
            self.connect(node)

    def _perform_enter_epoch(self, effect: fx.EnterEpoch) -> None:
        self.world.scheduler.after(0, self._enter_epoch, self._life, effect)

    def _perform_show_epochs(self, effect: fx.ShowEpochs) -> None:
        ends = self.ledger.members.ends
        if effect.epoch < len(ends):
            certificate = self.ledger.certificates.get(ends[effect.epoch].last_height)
            if certificate is not None:
                message = StableCertificate(effect.epoch, certificate)
                self.world.transmit(self.index, self.roster.node_of(effect.to), message)

    def _make_head(self) -> ChainHead:
        ledger = self.ledger
        certificate = ledger.get_best_certificate()
        stable = certificate.height if certificate else 0
        self._certified_height = stable
        recent = tuple(
            ExecutedBlock(block.height, block.block_hash, block.batch_digest)
            for block in ledger.blocks[stable:]
        )
        block_hash, time_ms = ledger.head()
        return ChainHead(
            ledger.height, block_hash, time_ms, certificate, recent, ledger.members.view
        )

    def _give_up(self, why: str) -> None:
        """Stay down: rule 46 leaves such a home to a member change."""
        self.is_up, self.is_lost = False, True
        self._count_among_faulty(why)

    def _count_among_faulty(self, why: str) -> None:
        if self.is_honest:
            self.is_honest = False
            self.world.on_fault_of(self.index, why)

    def crash(self, how: str = "torn") -> None:
        """Stop at once; a sync under way stops at one of its writes (torn, or one that fails)."""
        if not self.is_up:
            return
        self.is_up = False
        self._life += 1
        pending = self._unsynced if self._is_syncing else []
        if pending:
            self.home.crash_in_append(pending, how)
        survived = self.home.crash(pending)
        self.bodies = set()
        if not self.home.is_true:
            self._count_among_faulty("its disk lost what it had synced")
        if self.is_honest:
            for effect in survived:
                self.world.invariants.on_durable(self, self.clock().wall_ms, effect)

    # Events

    def handle(self, event: Event) -> None:
        """Deliver an event to the replica, if the node is up."""
        if self.is_up and not self.replica.is_over:
            clock = self.clock()
            effects = self.replica.handle(event, clock)
            if self.is_honest:
                self.world.invariants.on_event(self, clock.wall_ms, event, effects)
            self._take(effects)

    def connect(self, peer: int) -> None:
        """Tell the replica that a link to another node is up."""
        if self.is_up:
            self.handle(PeerConnected(self.roster.peer_of(peer)))

    def receive(self, sender: int, payload: Any) -> None:
        """Take a payload from the network."""
        if not self.is_up:
            return
        if type(payload) is not tuple:
            self.handle(MessageReceived(self.roster.peer_of(sender), payload))
        elif payload[0] == "bodies":
            origin = self.roster.peer_of(sender)
            for digest in payload[1] if origin < self.roster.size else ():
                self._handle_body(digest, origin, is_local=False)
        elif payload[0] == "want bodies":
            held = [item for item in payload[1] if self._has_body(item)]
            if held:
                self.world.transmit(self.index, sender, ("bodies", held))
        elif payload[0] == "refused bodies":
            for digest in payload[1]:
                self.handle(RequestRefused(digest))
        elif payload[0] == "want blocks":
            self.fetching.serve(sender, *payload[1:])
        elif payload[0] == "want state":
            self.states.serve(sender, *payload[1:])
        elif payload[0] == "state":
            self.states.receive(*payload[1:])
        else:
            self.fetching.receive(*payload[1:])

    def submit(self, digest: bytes) -> bool:
        """Take a client's transaction; False: BUSY, or down. A known fate is told again."""
        if not self.is_up:
            return False
        if digest in self.ledger.seen:
            self._tell_fate(digest)
            return True
        if not self.is_voter or self.replica.is_over:
            return False
        if digest not in self.bodies and not self._is_welcome(digest):
            return False
        self._handle_body(digest, self.config.index, is_local=True)
        for node in self.roster.others(self.index):
            self.world.transmit(self.index, node, ("bodies", [digest]))
        return True

    def _is_welcome(self, digest: bytes) -> bool:
        """Tell whether the door is open: there is a place, and the expiry is not too far off."""
        latest_ms = self.clock().wall_ms + self.config.limits.max_ttl_ms
        is_near = self.ledger.bodies[digest].expires_at_ms <= latest_ms
        return is_near and self.replica.free_places(self.config.index) > 0

    def _has_body(self, digest: bytes) -> bool:
        return digest in self.bodies or digest in self.ledger.seen

    def _handle_body(self, digest: bytes, origin: int, is_local: bool) -> None:
        if digest in self.ledger.seen or not self.is_voter:
            return
        self.bodies.add(digest)
        self._announce(digest, origin, is_local)

    def _announce_executed(self, life: int, digest: bytes) -> None:
        if life == self._life:
            self._announce(digest, self.config.index, is_local=False)

    def _announce(self, digest: bytes, origin: int, is_local: bool) -> None:
        body = self.ledger.bodies[digest]
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
            elif isinstance(effect, fx.ForgetRequests):
                self._forget_requests(effect)
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
            how = self.world.on_point(self.index, "sync")
            if how == "before":
                self.crash()
                return
            self._is_syncing = True
            delay_ns = self._wait_for_disk(SYNC_NS_MAX)
            self.world.scheduler.after(delay_ns, self._finish_sync, self._life, batch, how)

    def _wait_for_disk(self, most_ns: int) -> int:
        """Return how long the disk takes now; a stalled one takes until the stall ends."""
        stalled_ns = self.stalled_until_ns - self.world.scheduler.now_ns
        return max(int(self._random() * most_ns), stalled_ns)

    def _finish_sync(self, life: int, batch: list[Effect], how: str) -> None:
        if life != self._life:
            return
        if self.world.scheduler.now_ns >= self.world.end_of_faults_ns:
            how = ""  # it was planned before a stall that lasted until faults had ended
        if how in ("torn", "failing"):
            self.crash(how)
            return
        self._make_durable(self._unsynced)
        self._unsynced, self._is_syncing = [], False
        if how == "after":
            self.crash()
            return
        self._perform(batch)
        self._run_round()

    def _make_durable(self, effects: list[fx.Persist]) -> None:
        for digest in (item for effect in effects for item in effect.bodies):
            if not self._has_body(digest):
                raise ViolationError(f"member {self.index} votes without a body")
        self.home.append(effects)
        for effect in effects if self.is_honest else ():
            self.world.invariants.on_durable(self, self.clock().wall_ms, effect)
            self._check_bodies_kept(effect.record)
        self.ledger.sync_certificates()

    def _check_bodies_kept(self, record: VoteRecord) -> None:
        """Rule 43: before PREPARE the bodies are durable too."""
        if isinstance(record, AcceptedRecord):
            for digest in record.pre_prepare.batch.transactions:
                if not self.home.has_logged(digest) and digest not in self.ledger.seen:
                    raise ViolationError(f"member {self.index} does not keep a body (rule 43)")

    def _perform(self, batch: list[Effect]) -> None:
        for effect in batch:
            if not self.is_up:
                return
            if not isinstance(effect, fx.Persist):
                self._performers[type(effect)](effect)

    def _perform_send(self, effect: fx.Send) -> None:
        self._check_said(effect.message)
        self._say(self.roster.node_of(effect.to), effect.message)

    def _check_said(self, message: Any) -> None:
        if self.is_honest:
            self.world.checkers.on_honest_send(self.config.index, message)
            self.world.invariants.on_send(self, message)
            self.world.seating.check_send(self, message)

    def _say(self, to: int, message: Any) -> None:
        how = self.world.on_point(self.index, "send")
        if how != "before":
            self.world.transmit(self.index, to, message)
        if how:
            self.crash()

    def _perform_broadcast(self, effect: fx.Broadcast) -> None:
        self._check_said(effect.message)
        for node in self.roster.others(self.index):
            if self.is_up:
                self._say(node, effect.message)

    def _perform_relay_requests(self, effect: fx.RelayRequests) -> None:
        self.world.count("relays")
        held = [item for item in effect.hashes if item in self.bodies]
        self.world.transmit(self.index, self.roster.node_of(effect.to), ("bodies", held))

    def _perform_fetch_requests(self, effect: fx.FetchRequests) -> None:
        self.world.count("fetches of bodies")
        for digest in effect.hashes:
            if digest in self.ledger.seen:  # in an own block: after a start the replica forgot it
                self.world.scheduler.after(0, self._announce_executed, self._life, digest)
        for member in effect.sources:
            node = self.roster.node_of(member)
            self.world.transmit(self.index, node, ("want bodies", effect.hashes))

    def _forget_requests(self, effect: fx.ForgetRequests) -> None:
        if self.is_honest:
            self.world.invariants.on_forget(self, effect.hashes)
        self.bodies.difference_update(effect.hashes)

    def _perform_prune_votes(self, effect: fx.PruneVotes) -> None:
        if self.is_honest:
            self.world.invariants.on_prune(self, effect.stable_height)
        if not self.home.is_due():
            return
        self.ledger.sync_certificates()
        how = self.world.on_point(self.index, "prune")
        if how:
            self.home.crash_in_prune(effect.stable_height, how)
            self.crash()
            return
        self.home.prune(effect.stable_height)
        self.world.count("vote logs cut")

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
            self.failed_views += 1
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

    def _perform_execute(self, effect: fx.Execute) -> None:
        if effect.batch.height != self.ledger.height + 1:
            raise ViolationError(f"member {self.index} executes out of order")
        if self.is_honest:
            self.world.invariants.on_execute(self, effect)
        delay_ns = self._wait_for_disk(EXECUTE_NS_MAX)
        self.world.scheduler.after(delay_ns, self._finish_execution, self._life, effect)

    def _finish_execution(self, life: int, effect: fx.Execute) -> None:
        if life != self._life:
            return
        batch = effect.batch
        if not all(self._has_body(item) for item in batch.transactions):
            raise ViolationError(f"member {self.index} executes without a body")
        how = self.world.on_point(self.index, "block")
        if how == "before":
            self.crash()
            return
        block = self._append(batch.time_ms, effect.digest, batch.transactions)
        if how:
            self.crash()
            return
        self.handle(
            BatchExecuted(
                block.height,
                block.block_hash,
                block.time_ms,
                batch.transactions,
                self.ledger.members.view,
            )
        )

    def _append(
        self, time_ms: int | None, digest: bytes, transactions: tuple[bytes, ...]
    ) -> ModelBlock:
        block = self.ledger.execute(time_ms, digest, transactions)
        self.home.on_block()
        if transactions:
            self.failed_views = 0
        if self.is_honest:
            self.world.checkers.on_block(self.index, block)
        return block

    def install_state(self, blocks: list[ModelBlock], certificate: Certificate) -> None:
        """Take over a state that has proven itself, in one step (rule 41)."""
        if not self.is_up:
            return
        how = self.world.on_point(self.index, "block")
        if how == "before":
            self.crash()
            return
        for block in blocks[self.ledger.height :]:
            self.bodies.update(block.transactions)
            made = self._append(block.batch_time_ms, block.batch_digest, block.transactions)
            if made.block_hash != block.block_hash:
                raise ViolationError(f"member {self.index} takes block {block.height} otherwise")
        self.base = self.ledger.height
        self.ledger.certificates[certificate.height] = certificate
        if how:
            self.crash()
            return
        self.handle(StateInstalled(certificate, self.ledger.members.view))

    def install(self, block: ModelBlock, certificate: Any) -> None:
        """Execute and keep a fetched block that has proven itself."""
        if not self.is_up:
            return
        self.bodies.update(block.transactions)
        made = self._append(block.batch_time_ms, block.batch_digest, block.transactions)
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
                self.ledger.members.view,
            )
        )
