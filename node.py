"""creditledger: wires the parts of a node, runs them, and is the command line's entry.

A node is a replica (deterministic, `consensus`), a ledger (deterministic, `ledger`), and the shell
that gives them clocks, disks, sockets and threads (`network`). This module makes each part, hands
it what it needs, and runs all of them in one nursery: when one fails the node stops, before it
signs anything that rests on the failure.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import trio

from consensus import effects as fx
from consensus.config import ReplicaConfig, production
from consensus.epochs import EpochView
from consensus.events import ChainHead, Clock, ExecutedBlock, PeerConnected, Timer, TimerExpired
from consensus.log import VoteRecord, decode_record
from consensus.replica import Replica
from ledger.chain.batch import Batch
from ledger.chain.certificate import Certificate
from ledger.chain.header import Header
from ledger.encoding import Value
from ledger.errors import Code, CreditLedgerError, LocalError
from ledger.execution import ExecutionCaches, execute_block
from ledger.keys import SigningKey
from ledger.membership.genesis import Genesis, parse_genesis
from ledger.storage.chain_store import ChainStore
from ledger.storage.files import DiskFiles
from ledger.storage.home import OpenHome, open_home
from ledger.transactions.envelope import Transaction
from network.certificates import load_key
from network.gateway import Gateway
from network.listener import Listener
from network.peers import PeerAddress, PeerNetwork
from network.runtime.blocks import BlockKeeper, Digests
from network.runtime.catch_up import CatchUp
from network.runtime.door import Door
from network.runtime.evidence import EvidenceStore, evidence_queries
from network.runtime.ingress import Ingress
from network.runtime.logs import configure_logs
from network.runtime.loop import ReplicaLoop
from network.runtime.mempool import Mempool
from network.runtime.metrics import start_metrics_server
from network.runtime.performer import Performer, split_entries
from network.runtime.queries import QueryRunner
from network.runtime.service import Service, ServiceParts
from network.runtime.settings import (
    NODE_KEY_FILE,
    TLS_CERTIFICATE_FILE,
    TLS_KEY_FILE,
    NodeSettings,
    load_settings,
    parse_address,
)
from network.runtime.timers import TimerService
from network.runtime.verifier import VoteVerifier
from network.tls import TlsEndpoint
from network.wire import ITEMS_MAX, Hello, Offer, Votes

# A worker thread must not wait the interpreter's usual 5 ms for the lock after each signature
# check; still shorter turns cost more in switching than they gain (measured: 1,153 transactions/s
# at 1 ms, 1,047 at 0.2 ms, 997 at 5 ms).
SWITCH_SECONDS = 0.001
PASSWORD_VARIABLE = "CREDITLEDGER_KEY_PASSWORD"  # noqa: S105 (the name of a variable)
STALLED_SECONDS = 60

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

    def __init__(self, peers: PeerNetwork) -> None:
        self._peers = peers

    def send_message(self, member: int, data: bytes) -> None:
        """Queue an encoded consensus message for one member."""
        self._peers.send(member, Votes(data))

    def broadcast_message(self, data: bytes) -> None:
        """Queue an encoded consensus message for all other members."""
        self._peers.broadcast(Votes(data))

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
        key = SigningKey(load_key(home.layout.folder / NODE_KEY_FILE, password))
        self._config = _replica_config(genesis, settings.member, key)
        self._clock = NodeClock(genesis.clock_offset_ms)
        self._chain = ChainStore(home.store)
        self._votes = home.open_votes(key.public_key)
        self._loop = ReplicaLoop(self._clock.read, self._accept)
        self._timers = TimerService(self._on_timer)
        self._verifier = VoteVerifier()
        self._mempool = Mempool()
        self._door = Door(
            genesis.chain_id,
            self._config.index,
            self._chain,
            self._mempool,
            self._clock.wall_ms,
            self._loop.post,
            lambda: self._replica.free_places(self._config.index),
            self._config.limits.place_bytes,
        )
        tls = _tls_endpoint(home, genesis, password)
        self._peers = self._make_peers(tls)
        self._catch_up = CatchUp(self._config, self._chain, self._peers, self._loop.post)
        self._keeper = BlockKeeper(
            home.store,
            self._chain,
            _make_engine(home),
            self._mempool,
            self._door,
            self._peers,
            self._catch_up,
            self._loop.post,
        )
        self._ingress = Ingress(
            self._config,
            self._peers,
            self._door,
            self._mempool,
            self._verifier,
            self._catch_up,
            self._loop.post,
        )
        self._evidence = EvidenceStore(
            home.layout.evidence, DiskFiles(), genesis.chain_id, genesis.validator_keys()
        )
        self._service = self._make_service(genesis)
        gateway = Gateway(
            chain_id=genesis.chain_id,
            member=settings.member,
            members=len(genesis.members),
            handler=self._service.handle,
        )
        self._gateway = gateway
        self._listener = Listener(tls, self._peers.serve, gateway.serve)
        self._view_changes = 0
        self._moved_at = time.monotonic()
        self._restore(key)

    def _restore(self, key: SigningKey) -> None:
        """Bring the replica back to where its vote log says it was (rule 44)."""
        votes, bodies = split_entries(self._votes.read())
        records = [decode_record(vote) for vote in votes]
        self._replica, effects = Replica.restore(
            self._config,
            key.sign,
            records,
            _chain_head(self._chain, self._catch_up.get_epochs()),
            self._clock.read(),
        )
        self._performer = self._make_performer(records)
        self._performer.accept(effects)
        self._door.restore(bodies)

    def _make_peers(self, tls: TlsEndpoint) -> PeerNetwork:
        addresses = _peer_addresses(self._genesis, self._settings)
        return PeerNetwork(
            chain_id=self._genesis.chain_id,
            own=addresses[self._config.index],
            peers=addresses,
            tls=tls,
            head=lambda: self._keeper.head.height,
            jitter=lambda: random.uniform(0.5, 1.5),  # noqa: S311 (spreads dials, no secret)
            nonce=partial(os.urandom, 16),
            on_connect=self._on_connect,
            on_disconnect=lambda index, reason: log.info("peer gone", peer=index, text=reason),
        )

    def _make_performer(self, records: Sequence[VoteRecord]) -> Performer:
        return Performer(
            self._votes,
            records,
            self._mempool,
            PeerLinks(self._peers),
            self._keeper,
            self._timers,
            self._report,
        )

    def _make_service(self, genesis: Genesis) -> Service:
        return Service(
            ServiceParts(
                self._chain,
                self._keeper,
                self._door,
                self._mempool,
                self._peers,
                genesis.validator_keys(),
                self._clock.wall_ms,
                QueryRunner(self._home.store, evidence_queries(self._evidence)),
                self.status,
            )
        )

    def _accept(self, effects: list[fx.Effect]) -> None:
        self._performer.accept(effects)

    async def _on_timer(self, timer: Timer) -> None:
        self._loop.post(TimerExpired(timer))

    def _on_connect(self, index: int, hello: Hello) -> None:
        log.info("peer connected", peer=index, member=hello.member, head=hello.head)
        self._loop.post(PeerConnected(index))

    def _report(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Halt(code=code, reason=reason):
                raise LocalError(code, reason)
            case fx.ReportDrop(sender=sender, kind=kind, reason=reason):
                log.debug("message dropped", peer=sender, kind=kind, text=reason)
            case fx.ReportViewChange(view=view, cause=cause):
                self._view_changes += 1
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
                self._ingress.run,
                self._service.run,
                self._evidence.run,
            ):
                nursery.start_soon(part)
            nursery.start_soon(self._loop.run, self._replica)
            host, port = self._settings.listen
            await nursery.start(self._listener.run, host, port)
            await nursery.start(self._peers.run)
            log.info("node is up", member=self._settings.member, listen=f"{host}:{port}")

    def close(self) -> None:
        """Close what the node opened itself; the home is the caller's."""
        self._votes.close()

    def status(self) -> Mapping[str, Value]:
        """Return what an operator wants to see on one screen (DESIGN 7)."""
        replica, head = self._replica, self._keeper.head
        view, waiting = replica.view, replica.waiting
        return {
            "member": self._settings.member,
            "index": self._config.index,
            "chain_id": self._genesis.chain_id,
            "view": view,
            "primary": self._genesis.validators[self._config.primary(view)],
            "is_normal": replica.is_normal,
            "height": head.height,
            "block_hash": head.hash(),
            "certified_height": self._keeper.certified_height,
            "stable_height": replica.stable_height,
            "time_ms": head.time_ms,
            "clock_ms": self._clock.wall_ms(),
            "clock_offset_ms": self._genesis.clock_offset_ms,
            "pending": replica.pending_count,
            "waiting_events": self._loop.waiting_count,
            "mempool": len(self._mempool),
            "mempool_bytes": self._mempool.waiting_bytes,
            "clients": self._gateway.connected,
            "transactions": self._keeper.transactions_count,
            "view_changes": self._view_changes,
            "evidence": len(self._evidence.pieces),
            "disk_free_bytes": shutil.disk_usage(self._home.layout.folder).free,
            "waiting_for": waiting.step,
            "waiting_height": waiting.height,
            "waiting_members": tuple(self._genesis.validators[i] for i in waiting.members),
            "peers": tuple(self._peer_status()),
        }

    def _peer_status(self) -> list[dict[str, Value]]:
        rows: list[dict[str, Value]] = []
        for index, counters in self._peers.counters.items():
            trip = counters.round_trip_ms
            rows.append(
                {
                    "member": self._genesis.validators[index],
                    "is_connected": index in self._peers.connected,
                    "round_trip_us": None if trip is None else round(trip * 1000),
                    "sessions": counters.sessions,
                    "failures": counters.failures,
                    "dropped": counters.dropped,
                    "last_error": counters.last_error,
                }
            )
        return rows

    def numbers(self) -> Mapping[str, float]:
        """Return the numbers for Prometheus."""
        return {
            "height": self._keeper.head.height,
            "certified_height": self._keeper.certified_height,
            "view": self._replica.view,
            "is_normal": int(self._replica.is_normal),
            "peers_connected": len(self._peers.connected),
            "mempool_transactions": len(self._mempool),
            "mempool_bytes": self._mempool.waiting_bytes,
            "clients_connected": self._gateway.connected,
            "transactions_total": self._keeper.transactions_count,
            "blocks_total": self._keeper.blocks_count,
            "signatures_checked_total": self._verifier.checked_count + self._door.checked_count,
            "requests_refused_total": self._door.refused_count,
            "requests_busy_total": self._door.busy_count + self._gateway.counters.busy,
            "view_changes_total": self._view_changes,
            "vote_syncs_total": self._performer.sync_count,
            "evidence_total": len(self._evidence.pieces),
            "disk_free_bytes": shutil.disk_usage(self._home.layout.folder).free,
        }

    def health(self) -> str | None:
        """Return None when the node is well, else the reason in words."""
        connected = len(self._peers.connected) + 1
        if connected < self._config.quorum:
            return f"{connected} of {self._config.size} members reachable, no quorum"
        age_ms = self._clock.wall_ms() - self._keeper.head.time_ms
        if age_ms > STALLED_SECONDS * 1000:
            return f"no block for {age_ms // 1000} s"
        return None


def _replica_config(genesis: Genesis, member: str, key: SigningKey) -> ReplicaConfig:
    keys = tuple(public_key for _, public_key in genesis.validator_keys())
    if member not in genesis.validators:
        raise LocalError(Code.CONFIG_INVALID, f"member {member} runs no node by this genesis")
    index = genesis.validators.index(member)
    if keys[index] != key.public_key:
        raise LocalError(
            Code.CONFIG_INVALID, f"{NODE_KEY_FILE} is not the key of {member} in genesis"
        )
    return production(genesis.chain_id, 0, keys, index)


def _tls_endpoint(home: OpenHome, genesis: Genesis, password: bytes | None) -> TlsEndpoint:
    anchors = {member.id: (member.certificate,) for member in genesis.members}
    folder = home.layout.folder
    return TlsEndpoint(anchors, folder / TLS_CERTIFICATE_FILE, folder / TLS_KEY_FILE, password)


def _peer_addresses(genesis: Genesis, settings: NodeSettings) -> list[PeerAddress]:
    addresses = []
    for index, member_id in enumerate(genesis.validators):
        member = genesis.member(member_id)
        if member is None or member.node is None:
            raise LocalError(Code.GENESIS_INVALID, f"validator {member_id} has no node")
        host, port = settings.peers.get(member_id) or parse_address(member.node.address)
        addresses.append(PeerAddress(index, member_id, host, port))
    return addresses


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


def _chain_head(chain: ChainStore, epochs: EpochView) -> ChainHead:
    head = chain.head()
    if head is None:
        raise LocalError(Code.HOME_INCOMPLETE, "the store holds no genesis block")
    certificate: Certificate | None = chain.last_certificate()
    first = 1 if certificate is None else certificate.height + 1
    recent = []
    for height in range(first, head.height + 1):
        header = chain.header(height)
        if header is not None:
            recent.append(ExecutedBlock(height, header.hash(), header.batch_digest))
    return ChainHead(head.height, head.hash(), head.time_ms, certificate, tuple(recent), epochs)


async def _run_until_signal(home: OpenHome, settings: NodeSettings, password: bytes | None) -> None:
    node = Node(home, settings, password)
    server = None
    if settings.metrics is not None:
        server = start_metrics_server(settings.metrics, node.numbers, node.health)
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
