"""One member: real replica, real vote log and chain keys on a simulated disk, the shell between.

It keeps the contract of the effects as the real shell does: a round takes all that waits, appends
its records and the bodies behind them as one synced group, and then performs the rest in order.
Every operation on the disk may be the last one: `Crash` then goes up to the world.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
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
    Request,
    RequestReceived,
    Timer,
    TimerExpired,
)
from consensus.log import AcceptedRecord, VoteRecord, decode_record, encode_record, retained
from consensus.replica import Replica
from consensus.state import Signer
from ledger.chain.batch import Batch
from ledger.chain.header import Header
from ledger.storage.chain_store import ChainStore, certificate_writes
from ledger.storage.vote_log import create_vote_log, log_identity, open_vote_log
from ledger.transactions.envelope import Transaction, decode_transaction
from network.runtime.performer import BODY_ENTRY, VOTE_ENTRY, split_entries
from tests.crash_points import load
from tests.crash_points.file_store import FileStore
from tests.simulator.checkers import ViolationError
from tests.simulator.scheduler import NS_PER_MS
from tests.storage.simulated_files import SimulatedFiles

VOTES = Path("/home/votes")
CHAIN = Path("/home/data/chain")
SYNC_NS = NS_PER_MS
EXECUTE_NS = NS_PER_MS
FETCH_NS = 50 * NS_PER_MS
# Small, so that a run prunes its vote log some times.
PRUNE_BYTES = 24 * 1024


class Surroundings(Protocol):
    """What a member needs of its world."""

    def clock(self) -> Clock:
        """Return the one clock of all."""

    def send(self, sender: int, to: int, payload: Any) -> None:
        """Send to another member."""

    def plan(self, member: int, after_ns: int, payload: Any) -> None:
        """Give a member something of its own later, if it lives so long."""

    def on_send(self, sender: int, message: Any) -> None:
        """Check a message."""

    def on_block(self, member: int, header: Header) -> None:
        """Check a block that is durable."""

    def on_certified(self, member: int, height: int) -> None:
        """The clients of this member are told what became of their transactions."""


class Member:
    """A member; its disk is `files`, all else is gone in a crash."""

    def __init__(self, world: Surroundings, config: ReplicaConfig, sign: Signer) -> None:
        self.world = world
        self.config = config
        self.index = config.index
        self.files = SimulatedFiles()
        self.is_up = False
        self._sign = sign
        self._identity = log_identity(load.CHAIN_ID, config.members[config.index])
        self._epochs = EpochView(config.epoch, config.members, None)
        create_vote_log(VOTES, self.files, self._identity).close()
        FileStore(CHAIN, self.files).write(load.genesis_writes(), sync=True)

    # Life and death

    def start(self) -> None:
        """Start from what the disk holds (rule 44)."""
        self.store = FileStore(CHAIN, self.files)
        self.chain = ChainStore(self.store)
        self._votes = open_vote_log(VOTES, self.files, self._identity)
        votes, bodies = split_entries(self._votes.read())
        self._live: list[VoteRecord] = [decode_record(item) for item in votes]
        self._log_bytes = sum(map(len, votes)) + sum(map(len, bodies))
        self._pool: dict[bytes, Transaction] = {}
        self._logged: set[bytes] = set()
        self._queue: list[Effect] = []
        self._is_syncing = False
        self._timers: dict[Timer, int] = {}
        self._timer_count = self._fetch_count = 0
        head = self._chain_head()
        self.head: Header = self._header(head.height)
        self.certified_height = head.certificate.height if head.certificate else 0
        self.is_up = True
        self.replica, effects = Replica.restore(
            self.config, self._sign, self._live, head, self.world.clock()
        )
        self._take(effects)
        for item in map(decode_transaction, bodies):
            self.give(item, self.index, is_local=False)

    def _chain_head(self) -> ChainHead:
        height = self.chain.height() or 0
        certificate = self.chain.last_certificate()
        first = 1 if certificate is None else certificate.height + 1
        recent = tuple(
            ExecutedBlock(header.height, load.block_hash(header), header.batch_digest)
            for header in map(self._header, range(first, height + 1))
        )
        head = self._header(height)
        return ChainHead(
            height, load.block_hash(head), head.time_ms, certificate, recent, self._epochs
        )

    def _header(self, height: int) -> Header:
        header = self.chain.header(height)
        if header is None:
            raise ViolationError(f"member {self.index} has lost block {height}")
        return header

    def crash(self, files: SimulatedFiles) -> None:
        """Stop; `files` is what the disk holds now."""
        self.is_up = False
        self.files = files

    # What comes in

    def handle(self, event: Event) -> None:
        """Deliver an event to the replica."""
        self._take(self.replica.handle(event, self.world.clock()))

    def give(self, item: Transaction, origin: int, *, is_local: bool) -> None:
        """Take in a transaction that no block here holds."""
        if self.chain.fate(item.id) is None:
            self._pool[item.signed_hash] = item
            size = len(item.unsigned)
            request = Request(item.signed_hash, size, item.expires_at_ms, origin)
            self.handle(RequestReceived(request, is_local))

    def receive(self, sender: int, payload: Any) -> None:
        """Take what another member sent."""
        if type(payload) is not tuple:
            self.handle(MessageReceived(sender, payload))
        elif payload[0] == "bodies":
            for item in payload[1]:
                self.give(item, sender, is_local=False)
        elif payload[0] == "want bodies":
            held = tuple(self._pool[item] for item in payload[1] if item in self._pool)
            if held:
                self.world.send(self.index, sender, ("bodies", held))
        elif payload[0] == "want blocks":
            self._give_blocks(sender, *payload[1:])
        else:
            self._install(*payload[1:])

    def take(self, payload: tuple[Any, ...]) -> None:
        """Take something of its own: the end of a sync, of an execution, a timer."""
        kind, content = payload[0], payload[1:]
        if kind == "sync":
            self._finish_sync(*content)
        elif kind == "execute":
            self._finish_execution(*content)
        elif kind == "timer":
            timer, count = content
            if self._timers.get(timer) == count:
                del self._timers[timer]
                self.handle(TimerExpired(timer))
        else:
            self._try_source(*content)

    # Effects

    def _take(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.SetTimer):
                self._timer_count += 1
                self._timers[effect.timer] = self._timer_count
                expiry = ("timer", effect.timer, self._timer_count)
                self.world.plan(self.index, effect.after_ns, expiry)
            elif isinstance(effect, fx.CancelTimer):
                self._timers.pop(effect.timer, None)
            elif isinstance(effect, fx.Halt):
                raise ViolationError(f"member {self.index} halted: {effect.reason}")
            elif isinstance(effect, fx.ReportEvidence):
                raise ViolationError(f"evidence against honest member {effect.evidence.signer}")
            elif type(effect) in _PERFORMERS or isinstance(effect, fx.Persist):
                self._queue.append(effect)
        self._run_rounds()

    def _run_rounds(self) -> None:
        while self._queue and not self._is_syncing:
            batch, self._queue = tuple(self._queue), []
            entries = self._entries(batch)
            if entries:
                self._is_syncing = True
                self.world.plan(self.index, SYNC_NS, ("sync", batch, tuple(entries)))
            else:
                self._perform(batch)

    def _entries(self, batch: Sequence[Effect]) -> list[bytes]:
        entries: list[bytes] = []
        for effect in batch:
            if isinstance(effect, fx.Persist):
                entries += self._body_entries(effect.bodies)
                entries.append(VOTE_ENTRY + encode_record(effect.record))
                self._live.append(effect.record)
        self._log_bytes += sum(map(len, entries))
        return entries

    def _body_entries(self, hashes: Sequence[bytes]) -> list[bytes]:
        fresh = [item for item in hashes if item in self._pool and item not in self._logged]
        self._logged.update(fresh)
        return [BODY_ENTRY + self._pool[item].encoded() for item in fresh]

    def _finish_sync(self, batch: Sequence[Effect], entries: Sequence[bytes]) -> None:
        self._votes.append(entries)
        self._is_syncing = False
        self._perform(batch)
        self._run_rounds()

    def _perform(self, batch: Sequence[Effect]) -> None:
        for effect in batch:
            if not isinstance(effect, fx.Persist):
                _PERFORMERS[type(effect)](self, effect)

    def _send(self, effect: fx.Send) -> None:
        self.world.on_send(self.index, effect.message)
        self.world.send(self.index, effect.to, effect.message)

    def _broadcast(self, effect: fx.Broadcast) -> None:
        self.world.on_send(self.index, effect.message)
        for member in range(self.config.size):
            if member != self.index:
                self.world.send(self.index, member, effect.message)

    def _relay(self, effect: fx.RelayRequests) -> None:
        held = tuple(self._pool[item] for item in effect.hashes if item in self._pool)
        self.world.send(self.index, effect.to, ("bodies", held))

    def _fetch_requests(self, effect: fx.FetchRequests) -> None:
        for member in effect.sources:
            self.world.send(self.index, member, ("want bodies", effect.hashes))

    def _forget(self, effect: fx.ForgetRequests) -> None:
        for item in effect.hashes:
            self._pool.pop(item, None)
        self._logged.difference_update(effect.hashes)

    def _store_certificate(self, effect: fx.StoreCertificate) -> None:
        self.store.write(certificate_writes(effect.certificate), sync=False)
        self.certified_height = max(self.certified_height, effect.certificate.height)
        self.world.on_certified(self.index, effect.certificate.height)

    def _prune(self, effect: fx.PruneVotes) -> None:
        """Cut the vote log to what must stay; certificates are durable first (rule 20)."""
        if self._log_bytes < PRUNE_BYTES:
            return
        self.store.write({}, sync=True)
        self._live = retained(self._live, effect.stable_height)
        self._logged = set()
        entries: list[bytes] = []
        for record in self._live:
            if isinstance(record, AcceptedRecord):
                entries += self._body_entries(record.pre_prepare.batch.transactions)
            entries.append(VOTE_ENTRY + encode_record(record))
        self._votes.prune(entries)
        self._log_bytes = sum(map(len, entries))

    # Blocks

    def _execute(self, effect: fx.Execute) -> None:
        self.world.plan(self.index, EXECUTE_NS, ("execute", effect))

    def _finish_execution(self, effect: fx.Execute) -> None:
        items = tuple(self._find(item) for item in effect.batch.transactions)
        self._append(effect.batch, items)
        header = self.head
        place = (header.height, load.block_hash(header), header.time_ms)
        self.handle(BatchExecuted(*place, effect.batch.transactions, self._epochs))

    def _find(self, signed_hash: bytes) -> Transaction:
        item = self._pool.get(signed_hash)
        if item is None:
            raise ViolationError(f"member {self.index} executes without a body")
        return item

    def _append(self, batch: Batch, items: Sequence[Transaction]) -> None:
        executed = load.execute(self.store, self.head, batch, items)
        self.store.write(executed.writes, sync=True)
        self.head = executed.header
        self.world.on_block(self.index, executed.header)

    def _fetch_blocks(self, effect: fx.FetchBlocks) -> None:
        self._fetch_count += 1
        self._try_source(effect, 0, self._fetch_count)

    def _try_source(self, effect: fx.FetchBlocks, number: int, fetch: int) -> None:
        if fetch != self._fetch_count:
            return
        if number == len(effect.sources):
            self.handle(FetchFailed(effect.certificate.height))
            return
        wanted = ("want blocks", effect, fetch)
        self.world.send(self.index, effect.sources[number], wanted)
        self.world.plan(self.index, FETCH_NS, ("fetch", effect, number + 1, fetch))

    def _give_blocks(self, sender: int, effect: fx.FetchBlocks, fetch: int) -> None:
        if self.head.height < effect.certificate.height:
            return
        blocks = []
        for height in range(effect.from_height, effect.certificate.height + 1):
            block = self.chain.block(height)
            if block is None:
                raise ViolationError(f"member {self.index} has lost block {height}")
            blocks.append((block.header, block.batch(), self.chain.transactions(block)))
        self.world.send(self.index, sender, ("blocks", effect, fetch, tuple(blocks)))

    def _install(self, effect: fx.FetchBlocks, fetch: int, blocks: Sequence[Any]) -> None:
        if fetch != self._fetch_count:
            return
        self._fetch_count += 1
        certificate = effect.certificate
        for header, batch, items in blocks:
            if header.height != self.head.height + 1:
                continue
            self._append(batch, items)
            if self.head != header:
                raise ViolationError(f"member {self.index} installs block {header.height} anew")
            own = certificate if header.height == certificate.height else None
            place = (header.height, load.block_hash(header), header.batch_digest, header.time_ms)
            self.handle(BlockInstalled(*place, batch.transactions, own, self._epochs))


_PERFORMERS: dict[type, Any] = {
    fx.Send: Member._send,
    fx.Broadcast: Member._broadcast,
    fx.RelayRequests: Member._relay,
    fx.FetchRequests: Member._fetch_requests,
    fx.FetchBlocks: Member._fetch_blocks,
    fx.ForgetRequests: Member._forget,
    fx.StoreCertificate: Member._store_certificate,
    fx.PruneVotes: Member._prune,
    fx.Execute: Member._execute,
}
