"""Executes what the replica orders, keeps certificates, and wakes those who wait for them.

Blocks are executed one at a time in a worker thread: the pure ledger computes results, state and
header, and everything is written as one synced batch before the replica hears `BatchExecuted`
(rule 43). `ledger.execution` is handed in as `engine`, so that this module knows no rule of credit.
Bodies that a proposal names and this node lacks are asked of the members that must have them, a
different one each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
import trio

from consensus import effects as fx
from consensus.epochs import EpochView
from consensus.events import BatchExecuted, Event, FetchFailed
from ledger.chain.batch import Batch
from ledger.chain.block import Result
from ledger.chain.certificate import Certificate
from ledger.chain.header import Header
from ledger.errors import Code, LocalError
from ledger.state.tables import ALERT_ORDER
from ledger.storage.chain_store import ChainStore, certificate_writes
from ledger.storage.store import Store, WriteBatch
from ledger.transactions.envelope import Transaction
from network.peers import PeerNetwork
from network.runtime.catch_up import CatchUp
from network.runtime.door import Door
from network.runtime.executed import ExecutedBodies
from network.runtime.membership import MembershipWatch
from network.runtime.mempool import Mempool
from network.runtime.own_votes import ANCHOR_KEY
from network.runtime.shelf import SnapshotShelf
from network.runtime.threads import run_in_thread
from network.runtime.transfer import StateTransfer
from network.wire import GetBodies

ASK_HASHES = 1024
log = structlog.get_logger()


class Executed(Protocol):
    """What the engine returns of a block."""

    @property
    def header(self) -> Header:
        """The header of the block."""

    @property
    def results(self) -> Sequence[Result]:
        """A result for each transaction."""

    @property
    def writes(self) -> WriteBatch:
        """Everything to be stored, in one batch."""


Digests = Sequence[tuple[bytes, ...] | None]
Engine = Callable[[Header, Batch, Sequence[Transaction], Digests], Executed]


class BlockKeeper:
    """Owns the chain of this node: the only one that writes to its store."""

    def __init__(
        self,
        store: Store,
        chain: ChainStore,
        engine: Engine,
        mempool: Mempool,
        door: Door,
        peers: PeerNetwork,
        catch_up: CatchUp,
        membership: MembershipWatch,
        post: Callable[[Event], None],
    ) -> None:
        head = chain.head()
        if head is None:
            raise LocalError(Code.HOME_INCOMPLETE, "the store holds no genesis block")
        self._store = store
        self._engine = engine
        self._mempool = mempool
        self._door = door
        self._peers = peers
        self._catch_up = catch_up
        self._membership = membership
        self._post = post
        self._is_executing = False
        self._executed = trio.Event()
        self._anchor: Callable[[int], Mapping[bytes, bytes | None]] = lambda _height: {}
        self._shelf: SnapshotShelf | None = None
        self._transfer: StateTransfer | None = None
        self._jobs, self._next = trio.open_memory_channel[fx.Execute](1)
        self._asked = 0
        self._certified = trio.Event()
        last = chain.last_certificate()
        self.head = head
        self.executed_bodies = ExecutedBodies(chain)
        mempool.bind(self.executed_bodies.get)
        self.certified_height = 0 if last is None else last.height
        self.alert_height = 0  # of the last block executed here that raised an alert
        self.transactions_count = 0
        self.blocks_count = 0
        catch_up.bind(self)

    def bind(self, anchor: Callable[[int], Mapping[bytes, bytes | None]]) -> None:
        """Say what is written beside the block of a height (rule 46)."""
        self._anchor = anchor

    def bind_states(self, shelf: SnapshotShelf, transfer: StateTransfer) -> None:
        """Say who keeps snapshots for others and who fetches theirs (rule 41)."""
        self._shelf = shelf
        self._transfer = transfer
        shelf.begin(self.head)
        transfer.bind(self)

    @property
    def snapshot_heights(self) -> tuple[int, ...]:
        """The heights of the snapshots that are kept for others."""
        return () if self._shelf is None else self._shelf.heights

    @property
    def transfer_progress(self) -> str:
        """What is left of the state that is being fetched, empty while none is."""
        return "" if self._transfer is None else self._transfer.progress

    async def settle(self) -> None:
        """Return when what was ordered is executed, and no state is being fetched."""
        if self._transfer is not None:
            await self._transfer.stop()
        while self._is_executing:
            await self._executed.wait()

    async def run(self) -> None:
        """Execute blocks until cancelled; an error of the disk ends the node."""
        async for effect in self._next:
            await self._execute_ordered(effect)
            self._is_executing = False
            self._executed.set()

    async def _execute_ordered(self, effect: fx.Execute) -> None:
        held = [self._mempool.find(item) for item in effect.batch.transactions]
        found = [item for item in held if item is not None]
        if len(found) != len(held):
            raise LocalError(Code.INTERNAL, f"a body of block {effect.batch.height} is not held")
        await self.execute(
            effect.batch,
            [item.transaction for item in found],
            [item.digests for item in found],
        )
        self._post(
            BatchExecuted(
                self.head.height,
                self.head.hash(),
                self.head.time_ms,
                effect.batch.transactions,
                self._catch_up.get_epochs(),
            )
        )

    async def execute(
        self,
        batch: Batch,
        transactions: Sequence[Transaction],
        digests: Digests,
        expected: Header | None = None,
    ) -> None:
        """Execute the next block in a worker thread and make it durable.

        With `expected` (a certified header) a result that differs is never stored: this node has
        diverged, and stops (rule 21).
        """
        executed, is_changed = await run_in_thread(
            self._execute, batch, transactions, digests, expected
        )
        self.head = executed.header
        self.executed_bodies.add(batch.height, batch.transactions)
        if is_changed:
            self._membership.tell()
        self.blocks_count += 1
        self.transactions_count += len(transactions)

    def _execute(
        self,
        batch: Batch,
        transactions: Sequence[Transaction],
        digests: Digests,
        expected: Header | None,
    ) -> tuple[Executed, bool]:
        executed = self._engine(self.head, batch, transactions, digests)
        if expected is not None and executed.header != expected:
            raise LocalError(
                Code.CONSENSUS_DIVERGED,
                f"block {batch.height} gives {_first_difference(executed.header, expected)}: "
                "stop this node and copy the home of another one",
            )
        self._store.write({**executed.writes, **self._anchor(batch.height)}, sync=True)
        if self._shelf is not None:
            self._shelf.keep(executed.header)
        if any(key.startswith(ALERT_ORDER.prefix) for key in executed.writes):
            self.alert_height = batch.height
        return executed, self._membership.read(executed.header, executed.writes)

    def start_execution(self, effect: fx.Execute) -> None:
        """Execute a batch in the background; the replica never asks for two at once."""
        self._is_executing = True
        self._executed = trio.Event()
        self._jobs.send_nowait(effect)

    def store_certificate(self, effect: fx.StoreCertificate) -> None:
        """Keep a certificate, and wake those who wait for its block's receipts."""
        self.keep_certificate(effect.certificate)

    def keep_certificate(self, certificate: Certificate) -> None:
        """Keep a verified certificate beside its block."""
        self._store.write(certificate_writes(certificate), sync=False)
        if certificate.height > self.certified_height:
            self.certified_height = certificate.height
            self._certified.set()
            self._certified = trio.Event()

    async def wait_certified(self, above_height: int) -> None:
        """Return when some block above `above_height` has a certificate."""
        while self.certified_height <= above_height:
            await self._certified.wait()

    def flush(self) -> None:
        """Make the certificates durable; blocking."""
        self._store.write({}, sync=True)

    def start_fetch(self, effect: fx.FetchBlocks) -> None:
        """Catch up in the background."""
        self._catch_up.start(effect)

    def start_state_fetch(self, effect: fx.FetchState) -> None:
        """Fetch a snapshot in the background; without a part for it, say that it failed."""
        if self._transfer is None:
            self._post(FetchFailed(effect.target.height))
        else:
            self._transfer.start(effect)

    def last_writes(self) -> Mapping[bytes, bytes | None]:
        """Return what an installed state has to hold of this store: what is said of the votes."""
        stored = dict(self._store.scan(ANCHOR_KEY, ANCHOR_KEY + b"\xff" * 8))
        return {**stored, **self._anchor(self.head.height)}

    def adopt(self, header: Header, certificate: Certificate) -> EpochView:
        """Take over the chain of an installed state; return who votes after its last block."""
        self.head = header
        if self._shelf is not None:
            self._shelf.clear()
            self._shelf.keep(header)
        self._membership.read_all()
        self._membership.tell()
        if certificate.height > self.certified_height:
            self.certified_height = certificate.height
            self._certified.set()
            self._certified = trio.Event()
        return self._membership.current.view

    def find_bodies(self, effect: fx.FetchRequests) -> None:
        """Announce the bodies that are held, ask other members for the rest."""
        missing = []
        for signed_hash in effect.hashes:
            held = self._mempool.find(signed_hash)
            if held is None:
                # What is being checked is announced soon; the replica asks again if it fails.
                if not self._door.is_in_check(signed_hash):
                    missing.append(signed_hash)
            else:
                self._door.announce(held, signed_hash, held.origin, is_local=False)
        sources = [source for source in effect.sources if source in self._peers.connected]
        if not missing or not sources:
            return
        self._door.expect(missing)
        source = sources[self._asked % len(sources)]
        self._asked += 1
        for start in range(0, len(missing), ASK_HASHES):
            self._peers.send(source, GetBodies(tuple(missing[start : start + ASK_HASHES])))


def _first_difference(ours: Header, certified: Header) -> str:
    for name in Header.__slots__:
        mine, theirs = getattr(ours, name), getattr(certified, name)
        if mine != theirs:
            shown = [item.hex() if isinstance(item, bytes) else item for item in (mine, theirs)]
            return f"{name} {shown[0]}, certified {shown[1]}"
    return "no difference"
