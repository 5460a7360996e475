"""Performs the effects of the replica in order, votes durable before they are sent (rules 43–45).

Timers are set and reports made at once. Everything else waits in one queue: a round takes all that
is queued, makes its `Persist` records and the bodies behind them durable with one synced append (in
a worker thread, while the replica goes on), and then performs the rest in order. So several events
share a sync, and nothing is sent before what it rests on is on the disk.

The log on the disk is cut when it has grown to `PRUNE_LOG_BYTES`; the records in memory, from which
it is cut and the next replica made, are thinned out much sooner: they weigh more there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
import trio

from consensus import effects as fx
from consensus.log import AcceptedRecord, VoteRecord, encode_record, retained
from consensus.messages import Message
from consensus.wire import encode_message
from ledger.errors import Code, CreditLedgerError, LocalError
from ledger.storage.vote_log import VoteLog
from network.runtime.mempool import Mempool
from network.runtime.threads import run_in_thread
from network.runtime.timers import TimerService
from network.runtime.trace import Trace

VOTE_ENTRY = b"V"
BODY_ENTRY = b"B"
PRUNE_LOG_BYTES = 32 * 1024 * 1024
LIVE_RECORDS = 1024

log = structlog.get_logger()


class Links(Protocol):
    """What the performer needs of the links to the other members."""

    def send_message(self, member: int, data: bytes) -> None:
        """Queue an encoded consensus message for one member."""

    def broadcast_message(self, data: bytes) -> None:
        """Queue an encoded consensus message for all other members."""

    def offer_bodies(self, member: int, hashes: Sequence[bytes]) -> None:
        """Ask a member to propose what this node holds."""


class Blocks(Protocol):
    """What the performer needs of the part that executes and installs blocks."""

    def start_execution(self, effect: fx.Execute) -> None:
        """Execute a batch in the background."""

    def store_certificate(self, effect: fx.StoreCertificate) -> None:
        """Keep a certificate beside its block."""

    def start_fetch(self, effect: fx.FetchBlocks) -> None:
        """Catch up in the background."""

    def start_state_fetch(self, effect: fx.FetchState) -> None:
        """Fetch a snapshot in the background."""

    def find_bodies(self, effect: fx.FetchRequests) -> None:
        """Look for missing bodies here and at other members."""

    def flush(self) -> None:
        """Make every stored certificate durable; blocking, called in a worker thread."""


class Epochs(Protocol):
    """What the performer needs of the part that goes from epoch to epoch."""

    async def enter(self, effect: fx.EnterEpoch) -> None:
        """Seat the next replica or observer; nothing of the old one is performed after it."""

    def show(self, to: int, epoch: int) -> None:
        """Show a peer the way out of an epoch."""


class Performer:
    """Owns the vote log; one instance a node."""

    def __init__(
        self,
        mempool: Mempool,
        links: Links,
        blocks: Blocks,
        timers: TimerService,
        report: Callable[[fx.Effect], None],
        trace: Trace | None = None,
    ) -> None:
        self._trace = trace
        self._vote_log: VoteLog | None = None
        self._live: list[VoteRecord] = []
        self._logged_bodies: set[bytes] = set()
        self._log_bytes = 0
        self._mempool = mempool
        self._links = links
        self._blocks = blocks
        self._timers = timers
        self._epochs: Epochs | None = None
        self._report = report
        self._queue: list[fx.Effect] = []
        self._wake = trio.Event()
        self.sync_count = 0

    def bind(self, epochs: Epochs) -> None:
        """Say who goes from epoch to epoch; once, while the node is put together."""
        self._epochs = epochs

    def use_votes(self, vote_log: VoteLog | None, records: list[VoteRecord]) -> None:
        """Keep votes in this log from now on; None: nobody votes.

        `records` are what the log holds; the list is kept in step with it, but for what is about
        stable heights: no replica needs that again.
        """
        if vote_log is not self._vote_log:
            self._logged_bodies.clear()
            self._log_bytes = 0
        self._vote_log = vote_log
        self._live = records

    def drop_queued(self) -> None:
        """Forget what waits to be performed of a machine that is seated no more."""
        self._queue.clear()

    def accept(self, effects: Sequence[fx.Effect]) -> None:
        """Take the effects of one event."""
        for effect in effects:
            if isinstance(effect, fx.SetTimer):
                self._timers.set(effect.timer, effect.after_ns)
            elif isinstance(effect, fx.CancelTimer):
                self._timers.cancel(effect.timer)
            elif isinstance(effect, fx.ForgetRequests):
                self._mempool.remove(effect.hashes)
                self._logged_bodies.difference_update(effect.hashes)
            elif isinstance(effect, _REPORTS):
                self._report(effect)
            else:
                self._queue.append(effect)
        if self._queue:
            self._wake.set()

    async def run(self) -> None:
        """Perform effects until cancelled; an error of the disk ends the node (F54, F55)."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            effects, self._queue = self._queue, []
            entries = self._entries(effects)
            if entries:
                await run_in_thread(self._get_vote_log().append, entries)
                self.sync_count += 1
                if self._trace is not None:
                    records = [item.record for item in effects if isinstance(item, fx.Persist)]
                    self._trace.persisted(records)
            for effect in effects:
                await self._perform(effect)

    def _get_epochs(self) -> Epochs:
        if self._epochs is None:
            raise LocalError(Code.INTERNAL, "the performer is used before it is bound")
        return self._epochs

    def _get_vote_log(self) -> VoteLog:
        if self._vote_log is None:
            raise LocalError(Code.INTERNAL, "a vote is to be kept where nobody may vote")
        return self._vote_log

    def _entries(self, effects: Sequence[fx.Effect]) -> list[bytes]:
        """Return the log entries of all records among `effects`, bodies before their record."""
        entries: list[bytes] = []
        for effect in effects:
            if not isinstance(effect, fx.Persist):
                continue
            entries.extend(self._body_entries(effect.bodies))
            entries.append(VOTE_ENTRY + encode_record(effect.record))
            self._live.append(effect.record)
        self._log_bytes += sum(map(len, entries))
        return entries

    def _body_entries(self, hashes: Sequence[bytes]) -> list[bytes]:
        entries = []
        for signed_hash in hashes:
            held = self._mempool.get(signed_hash)
            if held is not None and signed_hash not in self._logged_bodies:
                self._logged_bodies.add(signed_hash)
                entries.append(BODY_ENTRY + held.wire)
        return entries

    async def _perform(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Send(to=to, message=message):
                self._send(to, message)
            case fx.Broadcast(message=message):
                data = encode_message(message)
                if self._trace is not None:
                    self._trace.sent(data)
                self._links.broadcast_message(data)
            case fx.Execute():
                self._blocks.start_execution(effect)
            case fx.StoreCertificate():
                self._blocks.store_certificate(effect)
            case fx.FetchBlocks():
                self._blocks.start_fetch(effect)
            case fx.FetchState():
                self._blocks.start_state_fetch(effect)
            case fx.FetchRequests():
                self._blocks.find_bodies(effect)
            case fx.RelayRequests(hashes=hashes, to=to):
                self._links.offer_bodies(to, [item for item in hashes if item in self._mempool])
            case fx.EnterEpoch():
                await self._get_epochs().enter(effect)
            case fx.ShowEpochs(to=to, epoch=epoch):
                self._get_epochs().show(to, epoch)
            case fx.PruneVotes(stable_height=height):
                if len(self._live) > LIVE_RECORDS:
                    self._live[:] = retained(self._live, height)
                if self._log_bytes > PRUNE_LOG_BYTES and self._vote_log is not None:
                    await run_in_thread(self._prune, height)

    def _send(self, to: int, message: Message) -> None:
        data = encode_message(message)
        if self._trace is not None:
            self._trace.sent(data)
        self._links.send_message(to, data)

    def _prune(self, stable_height: int) -> None:
        """Cut the vote log to what must stay; certificates are made durable first (rule 20)."""
        self._blocks.flush()
        kept = retained(self._live, stable_height)
        self._logged_bodies.clear()
        entries: list[bytes] = []
        for record in kept:
            if isinstance(record, AcceptedRecord):
                entries.extend(self._body_entries(record.pre_prepare.batch.transactions))
            entries.append(VOTE_ENTRY + encode_record(record))
        self._get_vote_log().prune(entries)
        self._live[:] = kept
        self._log_bytes = sum(map(len, entries))


_REPORTS = (
    fx.ReportEvidence,
    fx.ReportDrop,
    fx.ReportViewChange,
    fx.ReportNewView,
    fx.Halt,
)


def split_entries(entries: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return (encoded vote records, transaction wires) of a vote log's entries."""
    votes = [entry[1:] for entry in entries if entry[:1] == VOTE_ENTRY]
    bodies = [entry[1:] for entry in entries if entry[:1] == BODY_ENTRY]
    return votes, bodies


def describe(error: CreditLedgerError) -> dict[str, object]:
    """Return the fields of an error for a structured log."""
    return {"error": int(error.code), "text": error.message}
