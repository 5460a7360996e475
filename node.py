"""creditledger: wires the parts of a node, runs them, and is the command line's entry.

A node is a replica (deterministic, `consensus`), a ledger (deterministic, `ledger`), and the shell
that gives them clocks, disks, sockets and threads (`network`). This module makes each part, hands
it what it needs, and runs all of them in one nursery: when one fails the node stops, before it
signs anything that rests on the failure.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import trio

from consensus import effects as fx
from consensus.events import Clock, PeerConnected, Timer, TimerExpired
from ledger.chain.batch import Batch
from ledger.chain.header import Header
from ledger.errors import CreditLedgerError, LocalError
from ledger.execution import ExecutionCaches, execute_block
from ledger.membership.genesis import parse_genesis
from ledger.membership.settings import get_snapshot_blocks
from ledger.snapshots.limits import FAR_SNAPSHOTS
from ledger.state.overlay import Overlay
from ledger.storage.chain_store import ChainStore
from ledger.storage.files import DiskFiles
from ledger.storage.home import OpenHome, open_home
from ledger.transactions.envelope import Transaction
from network.gateway import Gateway
from network.listener import Listener
from network.peers import PeerAddress, PeerNetwork
from network.runtime.blocks import BlockKeeper, Digests
from network.runtime.catch_up import CatchUp
from network.runtime.door import Door
from network.runtime.evidence import EvidenceStore, evidence_queries
from network.runtime.history import EpochHistory
from network.runtime.ingress import Ingress
from network.runtime.logs import configure_logs
from network.runtime.loop import ReplicaLoop
from network.runtime.membership import MembershipWatch
from network.runtime.mempool import Mempool
from network.runtime.metrics import start_metrics_server
from network.runtime.performer import Performer
from network.runtime.queries import QueryRunner
from network.runtime.renewal import Renewal
from network.runtime.report import Report, ReportParts
from network.runtime.roster import Roster
from network.runtime.seats import SeatParts, Seats
from network.runtime.service import Service, ServiceParts
from network.runtime.settings import NodeSettings, load_settings
from network.runtime.shelf import SnapshotShelf
from network.runtime.timers import TimerService
from network.runtime.trace import Trace
from network.runtime.transfer import StateTransfer
from network.runtime.verifier import VoteVerifier
from network.runtime.voter import Voter
from network.runtime.witness import Witness
from network.wire import ITEMS_MAX, Hello, Offer, Votes

# A worker thread must not wait the interpreter's usual 5 ms for the lock after each signature
# check; still shorter turns cost more in switching than they gain (measured: 1,153 transactions/s
# at 1 ms, 1,047 at 0.2 ms, 997 at 5 ms).
SWITCH_SECONDS = 0.001
PASSWORD_VARIABLE = "CREDITLEDGER_KEY_PASSWORD"  # noqa: S105 (the name of a variable)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NodeClock:
    """Both clocks of this machine; wall time is shifted by the chain's offset (DESIGN 11)."""

    offset_ms: int

    def read(self) -> Clock:
        """Return monotonic nanoseconds and chain wall time in milliseconds."""
        return Clock(time.monotonic_ns(), self.wall_ms())

    def wall_ms(self) -> int:
        """Return wall time in milliseconds since 1970 UTC, with the chain's offset."""
        return time.time_ns() // 1_000_000 + self.offset_ms


class PeerLinks:
    """Consensus messages and bodies as frames of the peer network."""

    def __init__(self, peers: PeerNetwork, roster: Roster) -> None:
        self._peers = peers
        self._roster = roster

    def send_message(self, member: int, data: bytes) -> None:
        """Queue an encoded consensus message for one member."""
        self._peers.send(member, Votes(data))

    def broadcast_message(self, data: bytes) -> None:
        """Queue an encoded consensus message for all other validators."""
        self._peers.broadcast(Votes(data), below=len(self._roster.keys))

    def offer_bodies(self, member: int, hashes: Sequence[bytes]) -> None:
        """Ask the primary to propose what this node holds (rule 22)."""
        for start in range(0, len(hashes), ITEMS_MAX):
            self._peers.send(member, Offer(tuple(hashes[start : start + ITEMS_MAX])))


class Node:
    """One running node; everything it needs is handed in, nothing of it is global."""

    def __init__(self, home: OpenHome, settings: NodeSettings, password: bytes | None) -> None:
        genesis = parse_genesis(home.genesis)
        self._genesis = genesis
        self._settings = settings
        self._home = home
        self._clock = NodeClock(genesis.clock_offset_ms)
        self._chain = ChainStore(home.store)
        self._membership = MembershipWatch(home.store)
        self._history = EpochHistory(home.store, genesis.validator_keys())
        self._roster = Roster(settings.member, settings.peers)
        self._loop = ReplicaLoop(self._clock.read, self._accept)
        self._timers = TimerService(self._on_timer)
        self._verifier = VoteVerifier()
        self._mempool = Mempool()
        self._door = Door(
            genesis.chain_id, self._chain, self._mempool, self._clock.wall_ms, self._loop.post
        )
        self._renewal = Renewal(
            home.layout.keys,
            settings.member,
            password,
            self._membership,
            # Certificates keep real time, whatever the chain's is (DESIGN 11).
            lambda: time.time_ns() // 1_000_000,
        )
        self._peers = self._make_peers()
        self._catch_up = CatchUp(self._chain, self._membership, self._peers, self._loop.post)
        self._keeper = self._make_keeper()
        self._voter = Voter(home, password, self._history, self._peers)
        self._keeper.bind(self._voter.anchor)
        self._interval = get_snapshot_blocks(Overlay(home.store))
        self._shelf, self._transfer = self._make_states()
        self._keeper.bind_states(self._shelf, self._transfer)
        self._ingress = Ingress(
            self._peers,
            self._door,
            self._mempool,
            self._keeper.executed_bodies,
            self._verifier,
            self._catch_up,
            self._voter,
            self._history,
            self._loop.post,
        )
        self._ingress.bind_states(self._shelf, self._transfer)
        self._evidence = EvidenceStore(
            home.layout.evidence, DiskFiles(), genesis.chain_id, self._history.validators
        )
        self._trace = None if settings.trace is None else Trace(settings.trace)
        self._performer = Performer(
            self._mempool,
            PeerLinks(self._peers, self._roster),
            self._keeper,
            self._timers,
            self._report_effect,
            self._trace,
        )
        self._seats = Seats(self._seat_parts())
        self._performer.bind(self._seats)
        self._voter.bind(self._seats.reconsider, lambda: self._keeper.head.height)
        self._service = self._make_service()
        self._gateway = Gateway(
            chain_id=genesis.chain_id,
            member=settings.member,
            members=len(self._membership.current.members),
            handler=self._service.handle,
        )
        self._membership.listen(lambda now: self._gateway.serve_members(len(now.members)))
        self._listener = Listener(self._renewal.endpoint, self._peers.serve, self._gateway.serve)
        self.report = Report(self._report_parts(), self._clock.wall_ms)

    def _make_peers(self) -> PeerNetwork:
        own = PeerAddress(0, self._settings.member, "", 0)
        return PeerNetwork(
            chain_id=self._genesis.chain_id,
            own=own,
            peers=(),
            tls=self._renewal.endpoint,
            head=lambda: self._keeper.head.height,
            jitter=lambda: random.uniform(0.5, 1.5),  # noqa: S311 (spreads dials, no secret)
            nonce=partial(os.urandom, 16),
            on_connect=self._on_connect,
            on_disconnect=lambda index, reason: log.info("peer gone", peer=index, text=reason),
        )

    def _make_keeper(self) -> BlockKeeper:
        return BlockKeeper(
            self._home.store,
            self._chain,
            _make_engine(self._home),
            self._mempool,
            self._door,
            self._peers,
            self._catch_up,
            self._membership,
            self._loop.post,
        )

    def _make_states(self) -> tuple[SnapshotShelf, StateTransfer]:
        """Return who keeps snapshots for others and who fetches theirs (rule 41)."""
        store, changes = self._home.store, self._history.changes_until
        validators = self._genesis.validator_keys()
        shelf = SnapshotShelf(store, self._interval, self._peers, changes)
        return shelf, StateTransfer(store, validators, self._peers, self._loop.post)

    def _seat_parts(self) -> SeatParts:
        return SeatParts(
            self._chain,
            self._membership,
            self._history,
            self._roster,
            self._voter,
            self._peers,
            self._loop,
            self._timers,
            self._performer,
            self._keeper,
            self._catch_up,
            self._door,
            self._mempool,
            self._ingress,
            self._clock.read,
            self._genesis.chain_id,
            FAR_SNAPSHOTS * self._interval,
            self._trace,
        )

    def _make_service(self) -> Service:
        return Service(
            ServiceParts(
                self._chain,
                self._keeper,
                self._door,
                self._mempool,
                self._peers,
                self._history,
                Witness(self._chain, self._history, self._voter),
                self._clock.wall_ms,
                QueryRunner(
                    self._home.store, evidence_queries(self._evidence), self._clock.wall_ms
                ),
                lambda: self.report.status(),
                lambda: len(self._roster.keys),
            )
        )

    def _report_parts(self) -> ReportParts:
        return ReportParts(
            self._genesis.chain_id,
            self._genesis.clock_offset_ms,
            self._home.layout.folder,
            self._seats,
            self._roster,
            self._membership,
            self._voter,
            self._renewal,
            self._peers,
            self._keeper,
            self._loop,
            self._timers,
            self._performer,
            self._mempool,
            self._door,
            self._verifier,
            self._ingress,
            self._gateway,
            self._evidence,
        )

    def _accept(self, effects: list[fx.Effect]) -> None:
        self._performer.accept(effects)

    async def _on_timer(self, timer: Timer) -> None:
        self._loop.post(TimerExpired(timer))

    def _on_connect(self, index: int, hello: Hello) -> None:
        log.info("peer connected", peer=index, member=hello.member, head=hello.head)
        self._voter.ask()
        self._loop.post(PeerConnected(index))

    def _report_effect(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Halt(code=code, reason=reason):
                raise LocalError(code, reason)
            case fx.ReportDrop(sender=sender, kind=kind, reason=reason):
                log.debug("message dropped", peer=sender, kind=kind, text=reason)
            case fx.ReportViewChange(view=view, cause=cause):
                self.report.view_changes += 1
                self.report.last_cause = cause
                log.warning("view change", view=view, cause=cause)
            case fx.ReportNewView(view=view, primary=primary):
                log.info("new view", view=view, primary=primary)
            case fx.ReportEvidence(evidence=evidence):
                self._evidence.accept(evidence)

    async def run(self) -> None:
        """Run every part until one fails or the node is told to stop."""
        async with trio.open_nursery() as nursery:
            for part in (
                self._timers.run,
                self._verifier.run,
                self._door.run,
                self._performer.run,
                self._keeper.run,
                self._catch_up.run,
                self._transfer.run,
                self._ingress.run,
                self._service.run,
                self._evidence.run,
                self._loop.run,
                self._voter.run,
                self._renewal.run,
                self._seats.run,
            ):
                nursery.start_soon(part)
            host, port = self._settings.listen
            await nursery.start(self._listener.run, host, port)
            await nursery.start(self._peers.run)
            log.info("node is up", member=self._settings.member, listen=f"{host}:{port}")

    def close(self) -> None:
        """Close what the node opened itself; the home is the caller's."""
        self._voter.close()


def _make_engine(home: OpenHome) -> Callable[[Header, Batch, Sequence[Transaction], Digests], Any]:
    caches = ExecutionCaches()

    def engine(
        parent: Header, batch: Batch, transactions: Sequence[Transaction], digests: Digests
    ) -> Any:
        known = {
            signed_hash: item
            for signed_hash, item in zip(batch.transactions, digests, strict=True)
            if item is not None
        }
        executed = execute_block(
            home.store, parent, batch, transactions, digests=known, caches=caches
        )
        for failure in executed.notes.failures:
            log.error(
                "a transaction failed inside",
                height=batch.height,
                position=failure.position,
                tx=failure.tx_id,
                text=failure.text,
            )
        return executed

    return engine


async def _run_until_signal(home: OpenHome, settings: NodeSettings, password: bytes | None) -> None:
    node = Node(home, settings, password)
    server = None
    if settings.metrics is not None:
        server = start_metrics_server(settings.metrics, node.report.numbers, node.report.health)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.run)
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for number in signals:
                    log.info("stopping", signal=signal.Signals(number).name)
                    nursery.cancel_scope.cancel()
                    return
    finally:
        node.close()
        if server is not None:
            server.shutdown()


def run(folder: Path) -> None:
    """Run the node of a home in the foreground; raise `CreditLedgerError` when it cannot go on."""
    settings = load_settings(folder)
    configure_logs(settings.log_format, settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    password = os.environ.get(PASSWORD_VARIABLE)
    key_password = None if password is None else password.encode()
    with open_home(folder) as home:
        home.store.start_thread()
        try:
            trio.run(_run_until_signal, home, settings, key_password)
        except BaseExceptionGroup as group:
            known, _ = group.split(CreditLedgerError)
            if known is None:
                raise
            error = _first_error(known)
            log.critical("node stops", error=int(error.code), text=error.message)
            raise error from None


def _first_error(group: BaseExceptionGroup[CreditLedgerError]) -> CreditLedgerError:
    """Return the one error that stopped the node, out of the groups that nurseries made of it."""
    first = group.exceptions[0]
    return _first_error(first) if isinstance(first, BaseExceptionGroup) else first


def main() -> None:
    """Run the command line."""
    from commands.cli import cli

    cli()


if __name__ == "__main__":
    main()
