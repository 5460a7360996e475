"""What a node says of itself: the status for an operator, numbers for Prometheus, health.

Nothing here is acted on. Numbers and health are read from a thread of the metrics server.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from consensus.observer import Observer
from ledger.encoding import Value
from network.gateway import Gateway
from network.peers import PeerNetwork
from network.runtime.blocks import BlockKeeper
from network.runtime.door import Door
from network.runtime.evidence import EvidenceStore
from network.runtime.ingress import Ingress
from network.runtime.loop import ReplicaLoop
from network.runtime.membership import MembershipWatch
from network.runtime.mempool import Mempool
from network.runtime.performer import Performer
from network.runtime.renewal import Renewal
from network.runtime.roster import Roster
from network.runtime.seats import Seats
from network.runtime.timers import TimerService
from network.runtime.verifier import VoteVerifier
from network.runtime.voter import Voter

STALLED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ReportParts:
    """What is reported on."""

    chain_id: bytes
    clock_offset_ms: int
    folder: Path
    seats: Seats
    roster: Roster
    membership: MembershipWatch
    voter: Voter
    renewal: Renewal
    peers: PeerNetwork
    keeper: BlockKeeper
    loop: ReplicaLoop
    timers: TimerService
    performer: Performer
    mempool: Mempool
    door: Door
    verifier: VoteVerifier
    ingress: Ingress
    gateway: Gateway
    evidence: EvidenceStore


class Report:
    """Reads the parts of one node; `view_changes` is counted by the node."""

    def __init__(self, parts: ReportParts, clock_ms: Callable[[], int]) -> None:
        self._parts = parts
        self._clock_ms = clock_ms
        self.view_changes = 0
        self.last_cause = ""

    def status(self) -> Mapping[str, Value]:
        """Return what an operator wants to see on one screen (DESIGN 7)."""
        parts = self._parts
        head = parts.keeper.head
        return {
            "member": parts.roster.own,
            "index": parts.roster.own_index,
            "chain_id": parts.chain_id,
            **self._part(),
            **self._consensus(),
            **self._epoch(),
            "height": head.height,
            "block_hash": head.hash(),
            "certified_height": parts.keeper.certified_height,
            "stable_height": parts.seats.machine.stable_height,
            "time_ms": head.time_ms,
            "clock_ms": self._clock_ms(),
            "clock_offset_ms": parts.clock_offset_ms,
            "waiting_events": parts.loop.waiting_count,
            "mempool": len(parts.mempool),
            "mempool_bytes": parts.mempool.waiting_bytes,
            "clients": parts.gateway.connected,
            "transactions": parts.keeper.transactions_count,
            "view_changes": self.view_changes,
            "view_change_cause": self.last_cause,
            "evidence": len(parts.evidence.pieces),
            "snapshots": parts.keeper.snapshot_heights,
            "state_transfer": parts.keeper.transfer_progress,
            "disk_free_bytes": shutil.disk_usage(parts.folder).free,
            "certificate_expires_ms": parts.renewal.expires_ms,
            "timers_ms": dict(parts.timers.left_ms()),
            "peers": tuple(self._peer_status()),
        }

    def _part(self) -> dict[str, Value]:
        """Return whether this node votes, and if not why."""
        voter, seats = self._parts.voter, self._parts.seats
        refusal = voter.refusal
        return {
            "part": "validator" if seats.replica is not None else "observer",
            "may_vote": seats.replica is not None,
            "refusal": "" if refusal is None else str(refusal),
            "answers_missing": voter.answers_missing,
        }

    def _consensus(self) -> dict[str, Value]:
        parts = self._parts
        machine, config = parts.seats.machine, parts.seats.config
        if isinstance(machine, Observer):
            return {
                "view": 0,
                "primary": "",
                "is_normal": True,
                "is_halted": machine.is_halted,
                "pending": 0,
                "waiting_for": "blocks" if self._is_behind() else "requests",
                "waiting_height": parts.keeper.head.height + 1,
                "waiting_members": (),
            }
        waiting = machine.waiting
        return {
            "view": machine.view,
            "primary": parts.roster.validators[config.primary(machine.view)],
            "is_normal": machine.is_normal,
            "is_halted": machine.is_halted,
            "pending": machine.pending_count,
            "waiting_for": waiting.step,
            "waiting_height": waiting.height,
            "waiting_members": tuple(parts.roster.validators[i] for i in waiting.members),
        }

    def _is_behind(self) -> bool:
        return self._parts.seats.machine.stable_height > self._parts.keeper.head.height

    def _epoch(self) -> dict[str, Value]:
        parts = self._parts
        pending = parts.membership.current.epochs.pending
        validators = set(parts.roster.validators)
        nodes = [item.id for item in parts.membership.current.members.values() if item.node]
        return {
            "epoch": parts.seats.config.epoch,
            "quorum": parts.seats.config.quorum,
            "validators": parts.roster.validators,
            "observers": tuple(name for name in nodes if name not in validators),
            "pending_height": 0 if pending is None else pending[0],
            "pending_validators": () if pending is None else tuple(name for name, _ in pending[1]),
        }

    def _peer_status(self) -> list[dict[str, Value]]:
        parts = self._parts
        rows: list[dict[str, Value]] = []
        for index, counters in sorted(parts.peers.counters.items()):
            trip = counters.round_trip_ms
            rows.append(
                {
                    "member": parts.roster.name(index),
                    "is_validator": parts.roster.is_validator(index),
                    "is_connected": index in parts.peers.connected,
                    "height": parts.ingress.heights.get(parts.roster.name(index), 0),
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
        parts = self._parts
        machine = parts.seats.machine
        replica = parts.seats.replica
        return {
            "height": parts.keeper.head.height,
            "certified_height": parts.keeper.certified_height,
            "epoch": parts.seats.config.epoch,
            "is_validator": int(replica is not None),
            "view": 0 if replica is None else replica.view,
            "is_normal": int(not machine.is_halted and (replica is None or replica.is_normal)),
            "peers_connected": len(parts.peers.connected),
            "mempool_transactions": len(parts.mempool),
            "mempool_bytes": parts.mempool.waiting_bytes,
            "clients_connected": parts.gateway.connected,
            "transactions_total": parts.keeper.transactions_count,
            "blocks_total": parts.keeper.blocks_count,
            "signatures_checked_total": parts.verifier.checked_count + parts.door.checked_count,
            "requests_refused_total": parts.door.refused_count,
            "requests_busy_total": parts.door.busy_count + parts.gateway.counters.busy,
            "view_changes_total": self.view_changes,
            "vote_syncs_total": parts.performer.sync_count,
            "evidence_total": len(parts.evidence.pieces),
            "disk_free_bytes": shutil.disk_usage(parts.folder).free,
            "certificate_seconds_left": (parts.renewal.expires_ms - self._clock_ms()) // 1000,
        }

    def health(self) -> str | None:
        """Return None when the node is well, else the reason in words."""
        parts = self._parts
        config, refusal = parts.seats.config, parts.voter.refusal
        if refusal is not None:
            return str(refusal)
        is_own = int(parts.roster.own_index < config.size)
        connected = sum(1 for index in parts.peers.connected if index < config.size) + is_own
        if connected < config.quorum:
            return f"{connected} of {config.size} members reachable, no quorum"
        age_ms = self._clock_ms() - parts.keeper.head.time_ms
        if age_ms > STALLED_SECONDS * 1000:
            return f"no block for {age_ms // 1000} s"
        return None
