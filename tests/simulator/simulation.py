"""One run: members, network, clients, faults and checkers put together from a seed.

Faults last for `fault_ms`; then within the bound B every waiting transaction must have its fate,
and all honest members must end at one height. B follows PBFT part 2: the timeouts of f + 1 more
views at their cap, eight delays, a re-send, a fetch, and the client's own retry.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from random import Random
from typing import Any

from consensus.config import ReplicaConfig, minimal
from consensus.effects import Evidence
from consensus.verification import signature_items
from ledger.errors import Refused
from tests.simulator.acts import Acts
from tests.simulator.byzantine import Conspiracy, Liar
from tests.simulator.checkers import Checkers, ViolationError
from tests.simulator.clients import RETRY_NS, Clients
from tests.simulator.faults import FaultPlan
from tests.simulator.invariants import Invariants
from tests.simulator.keys import FastKeyring, Keyring, RealKeyring, are_valid, verifier_of
from tests.simulator.model_ledger import Body, ModelBlock, ModelLedger
from tests.simulator.network import Network
from tests.simulator.node import FETCH_TIMEOUT_NS, Disk, SimNode
from tests.simulator.scheduler import NS_PER_MS, Scheduler

CHAIN_ID = b"\x2a" * 32
GENESIS_TIME_MS = 1_600_000_000_000
LONG_TTL_MS = 500_000
SHORT_TTL_MS = 3_000
LATE_TTL_MS = 602_000  # above MAX_TTL: it waits two seconds before it may be ordered
WARM_UP_MS = 300
SLOW_HOPS = 24
TIGHT_MAX_NS = 2000 * NS_PER_MS
TIGHT_IDLE_NS = 30_000 * NS_PER_MS
# Longer than a fresh batch may be old (rule 15).
OUTAGE_MS = 40_000


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is made of; with the seed it is the whole input.

    `clump_ms`: transactions come at multiples of this, so that some wait while others are ordered.
    `is_tight`: T_max is reached at once and idle batches come late, so that neither hides a fault
    of the timers behind the bound B. `is_silent_at_end`: the run ends with the act of silence.
    """

    nodes: int = 4
    faults: frozenset[str] = frozenset()
    fault_ms: int = 6_000
    transactions: int = 24
    clump_ms: int = 1
    has_real_signatures: bool = False
    is_silent_at_end: bool = False
    is_tight: bool = False


@dataclass(slots=True)
class Result:
    """What came of a run."""

    trace: str
    counts: Counter[str] = field(default_factory=Counter)
    simulated_ns: int = 0
    recovery_ns: int = 0


class Simulation:
    """The world of one run."""

    def __init__(self, seed: int, options: Options) -> None:
        self.options = options
        self.rng = Random(seed)
        self.scheduler = Scheduler()
        self.network = Network(self.scheduler, Random(seed + 1))
        self.network.deliver = self._deliver
        self.checkers = Checkers(is_strict=not options.faults)
        self.counts: Counter[str] = Counter()
        self.size = options.nodes
        self.bodies: dict[bytes, Body] = {}
        self._keyring: Keyring = (
            RealKeyring(self.size) if options.has_real_signatures else FastKeyring(self.size)
        )
        self._trace = blake2b(digest_size=16)
        self._recovery_ns = 0
        self._persist_plan: dict[int, tuple[int, str]] = {}
        self.liars: dict[int, Liar] = {}
        self.invariants = Invariants(
            self._make_config(0),
            self._keyring,
            self.bodies,
            self.liars,
            has_right_clocks="clock" not in options.faults,
        )
        self.nodes = [self._make_node(index) for index in range(self.size)]
        self.fault_bound = self.nodes[0].config.fault_bound
        self.conspiracy = Conspiracy(registry=self.bodies)
        self.clients = Clients(self.scheduler, Random(seed + 2), self.nodes, self.bodies)
        self._fault_rng = Random(seed + 3)
        outage_ms = OUTAGE_MS if "outage" in options.faults else 0
        self.end_of_faults_ns = (WARM_UP_MS + options.fault_ms + outage_ms) * NS_PER_MS

    def _make_node(self, index: int) -> SimNode:
        config = self._make_config(index)
        disk = Disk(ModelLedger(self.bodies, GENESIS_TIME_MS))
        return SimNode(self, config, self._keyring.signer(index), disk)

    def _make_config(self, index: int) -> ReplicaConfig:
        config = minimal(CHAIN_ID, 0, self._keyring.public_keys, index)
        if not self.options.is_tight:
            return config
        timers = replace(config.timers, request_max_ns=TIGHT_MAX_NS, idle_ns=TIGHT_IDLE_NS)
        return replace(config, timers=timers)

    def run(self) -> Result:
        """Run to the end; raise `ViolationError` at the first breach."""
        if "byzantine" in self.options.faults:
            self._corrupt()
        for node in self.nodes:
            node.start()
        busy_ns = (WARM_UP_MS + self.options.fault_ms) * NS_PER_MS
        FaultPlan(self, self._fault_rng, self.options.faults, busy_ns, self.end_of_faults_ns)
        self._plan_clients()
        self._run_faults()
        if not self.liars and "slow" not in self.options.faults:
            self._play_acts()
        recovery_ns, honest = self._recovery_ns, self._honest()
        chains = {node.index: node.ledger.blocks for node in honest}
        self.checkers.check_end(chains, self.clients.submitted)
        for node in honest:
            self.invariants.check_end(node)
        self._count_end()
        return Result(self._trace.hexdigest(), self.counts, self.scheduler.now_ns, recovery_ns)

    def _run_faults(self) -> None:
        """Run until faults have ended and all is well again, within the bound B."""
        last_ns = self.end_of_faults_ns + self.compute_bound_ns()
        self.scheduler.run_until(last_ns, self._is_done)
        if not self._is_done():
            raise ViolationError(f"not done within the bound: {self.describe()}")
        self._recovery_ns = max(0, self.scheduler.now_ns - self.end_of_faults_ns)
        has_left = any(node.replica.view for node in self._honest())
        has_crashed = any(name.startswith("crashes") for name in self.counts)
        if not self.options.faults and has_left and not has_crashed:
            raise ViolationError(f"a view change in calm (rule 49): {self.describe()}")

    def _play_acts(self) -> None:
        acts = Acts(self)
        acts.lose_primaries()
        acts.lose_messages()
        if self.options.is_silent_at_end:
            acts.be_silent()

    def compute_bound_ns(self) -> int:
        """Return B, for a network that may have failed any number of views before."""
        timers = self.nodes[0].config.timers
        views = (self.fault_bound + 2) * timers.request_max_ns
        slow_ns = SLOW_HOPS * self.network.base_ns
        return (
            views
            + slow_ns
            + 8 * timers.delay_ns
            + 2 * timers.status_ns
            + 2 * self.fetch_timeout_ns
            + RETRY_NS
        )

    @property
    def fetch_timeout_ns(self) -> int:
        """Return how long a shell waits for blocks from one source."""
        return FETCH_TIMEOUT_NS + 2 * self.network.base_ns

    def _corrupt(self) -> None:
        count = self._fault_rng.randint(1, self.fault_bound)
        chosen = set(self._fault_rng.sample(range(self.size), count))
        if self._fault_rng.random() < 0.4:
            chosen = {0, *sorted(chosen)[: count - 1]}  # the first primary is the worst to have
        for member in sorted(chosen):
            node = self.nodes[member]
            node.is_honest = False
            rng = Random(self._fault_rng.random())
            self.liars[member] = Liar(
                node.config, self._keyring.signer(member), rng, self.conspiracy
            )

    def _honest(self) -> list[SimNode]:
        return [node for node in self.nodes if node.is_honest]

    def _plan_clients(self) -> None:
        rng, last_ms = self.rng, WARM_UP_MS + self.options.fault_ms
        for number in range(self.options.transactions):
            at_ms = rng.randint(WARM_UP_MS, last_ms) if number else last_ms + 1
            at_ms -= at_ms % self.options.clump_ms if number else 0
            chance = rng.random() if number else 0.5
            ttl_ms = LONG_TTL_MS
            if chance < 0.1:
                ttl_ms = SHORT_TTL_MS
            elif chance > 0.85:
                ttl_ms = LATE_TTL_MS
            home = rng.randrange(self.size)
            self.scheduler.at(at_ms * NS_PER_MS, self.submit_now, home, ttl_ms)

    def submit_now(self, home: int, ttl_ms: int) -> None:
        """Let a client submit a new transaction at member `home`."""
        wall_ms = GENESIS_TIME_MS + self.scheduler.now_ns // NS_PER_MS
        body = self.clients.create(home, wall_ms, ttl_ms)
        self.checkers.submitted.add(body.hash)
        self.clients.begin(body.hash)

    def _is_done(self) -> bool:
        if self.scheduler.now_ns <= self.end_of_faults_ns + NS_PER_MS:
            return False
        wall_ms = GENESIS_TIME_MS + self.scheduler.now_ns // NS_PER_MS
        if self.clients.get_waiting(wall_ms):
            return False
        honest = self._honest()
        first = honest[0].ledger.height
        return all(
            node.ledger.height == first and node.replica.stable_height == first for node in honest
        )

    def describe(self) -> str:
        """Return who is where, for the text of a violation."""
        parts = [f"{len(self.clients.pending)} waiting"]
        for node in self.nodes:
            replica, state = node.replica, "down" if not node.is_up else "liar"
            if node.is_up and node.is_honest:
                state = "normal" if replica.is_normal else "view change"
            parts.append(
                f"{node.index}: {state}, view {replica.view}, executed "
                f"{replica.executed_height}, stable {replica.stable_height}"
            )
        return "; ".join(parts)

    def _count_end(self) -> None:
        counts, network = self.counts, self.network
        counts["messages sent"] = network.sent
        counts["messages lost"] = network.lost
        counts["messages duplicated"] = network.duplicated
        counts["messages slow"] = network.slowed
        counts["transactions"] = self.clients.submitted
        counts["acknowledged"] = self.clients.acknowledged
        counts["blocks"] = len(self.checkers.blocks)
        counts["highest views, summed"] = max(node.replica.view for node in self._honest())
        for name, number in self.conspiracy.lies.items():
            counts[f"lies: {name}"] = number

    # What nodes, plan and clients call

    def transmit(self, sender: int, to: int, payload: Any) -> None:
        """Send a payload, or what a liar makes of it."""
        liar = self.liars.get(sender)
        if liar is None:
            self.network.send(sender, to, payload)
            return
        for item in liar.transform(to, payload):
            self.network.send(sender, to, item)

    def _deliver(self, to: int, sender: int, payload: Any) -> None:
        line = f"{self.scheduler.now_ns} {sender} {to} {type(payload).__name__}\n"
        self._trace.update(line.encode() + getattr(payload, "signature", b""))
        if self.liars and type(payload) is not tuple and not self._is_valid(payload):
            self.counts["refused before delivery"] += 1
            return
        if to in self.liars:
            payload = self.liars[to].hear(payload)
        self.nodes[to].receive(sender, payload)

    def _is_valid(self, message: Any) -> bool:
        try:
            items = signature_items(message, self.nodes[0].config)
        except Refused:
            return False
        return are_valid(self._keyring, items)

    def count(self, what: str) -> None:
        """Count something for the summary."""
        self.counts[what] += 1

    def on_evidence(self, found: Evidence) -> None:
        """Hold what a replica calls evidence against what the member really is (rule 50)."""
        self.count("evidence found")
        self.checkers.on_evidence(
            found, self.nodes[0].config, verifier_of(self._keyring), frozenset(self.liars)
        )

    def on_certified(self, member: int, block: ModelBlock) -> None:
        """Tell the clients whose transactions are in a certified block."""
        index = self.nodes[member].ledger.index
        for digest in block.transactions:
            if self.clients.on_fate(digest) and digest in index:
                effect = self.nodes[member].ledger.blocks[index[digest] - 1]
                self.checkers.on_acknowledged(digest, effect)

    def on_persist(self, member: int, moment: str) -> bool:
        """Tell whether a member's planned crash is at this sync."""
        plan = self._persist_plan.get(member)
        if plan is None or plan[1] != moment:
            return False
        if plan[0] > 0:
            self._persist_plan[member] = (plan[0] - 1, moment)
            return False
        del self._persist_plan[member]
        self.count(f"crashes {moment} a sync")
        down_ns = int(self._fault_rng.random() * 2000) * NS_PER_MS
        up_ns = min(self.scheduler.now_ns + down_ns, self.end_of_faults_ns)
        self.scheduler.at(up_ns, self.restart, member)
        return True

    def clear_planned_crashes(self) -> None:
        """Let no member crash at a sync any more."""
        self._persist_plan = {}

    def crash_at_persist(self, member: int, after: int, moment: str) -> None:
        """Let a member crash at a sync that is `after` syncs away."""
        self._persist_plan[member] = (after, moment)

    def restart(self, member: int) -> None:
        """Start a member that is down; its links come up."""
        node = self.nodes[member]
        if node.is_up:
            return
        self.count("restarts")
        node.start()
        for other in self.nodes:
            if other.index != member:
                other.connect(member)
                node.connect(other.index)
