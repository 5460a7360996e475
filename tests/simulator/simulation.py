"""One run: members, network, clients, faults and checkers put together from a schedule.

Faults last until the schedule says that it is calm; then within the bound B every waiting
transaction must have its fate, and all honest members must end at one height. B is what PBFT part 2
says: Σ_{j≤f} min(2^{k+j}·T, T_max) + 8Δ + the re-send period + fetch, k the views that had failed;
what comes on top, and why, is said at `compute_bound_ns`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from consensus.config import ReplicaConfig, minimal
from consensus.effects import Evidence
from consensus.epochs import PreviousEpoch
from consensus.messages import StableCertificate
from consensus.verification import check_message, signature_items
from ledger.chain.certificate import Certificate
from ledger.errors import Refused
from tests.simulator.acts import Acts
from tests.simulator.byzantine import Conspiracy, Liar
from tests.simulator.checkers import Checkers, ViolationError
from tests.simulator.clients import RETRY_NS, Clients, make_model_body
from tests.simulator.dice import dice
from tests.simulator.draw import LONG_TTL_MS, Options, draw_schedule
from tests.simulator.faults import Director
from tests.simulator.fetching import FETCH_TIMEOUT_NS
from tests.simulator.home import Home
from tests.simulator.invariants import Invariants
from tests.simulator.keys import FastKeyring, Keyring, RealKeyring, are_valid, verifier_of
from tests.simulator.members import SPARE_KEYS, EpochInvariants, Seating
from tests.simulator.model_ledger import Body, ModelBlock, ModelLedger
from tests.simulator.model_members import Change, ModelMembers
from tests.simulator.network import Network
from tests.simulator.node import SimNode
from tests.simulator.real_ledger import RealLedger, Workload, body_of
from tests.simulator.schedule import Schedule
from tests.simulator.scheduler import NS_PER_MS, Scheduler
from tests.simulator.states import FAR_BLOCKS
from tests.simulator.twins import Twins, TwinWorld

__all__ = ["Options", "Result", "Simulation"]

CHAIN_ID = b"\x2a" * 32
GENESIS_TIME_MS = 1_600_000_000_000
SLOW_HOPS = 24
TIGHT_MAX_NS = 2000 * NS_PER_MS
TIGHT_IDLE_NS = 30_000 * NS_PER_MS
KNOWN_MAX = 20_000


@dataclass(slots=True)
class Result:
    """What came of a run. `recovery_ns` is from the end of faults, `bound_ns` its limit."""

    trace: str
    counts: Counter[str] = field(default_factory=Counter)
    simulated_ns: int = 0
    recovery_ns: int = 0
    bound_ns: int = 0
    nodes: list[SimNode] = field(default_factory=list)


class Simulation:
    """The world of one run: of a seed and options, or of a schedule."""

    def __init__(
        self, seed: int, options: Options | None = None, schedule: Schedule | None = None
    ) -> None:
        self.schedule = schedule or draw_schedule(seed, options or Options())
        self.seed = self.schedule.seed
        self.size = self.schedule.nodes
        self.total = self.size + self.schedule.spares
        self.scheduler = Scheduler()
        self.network = Network(self.scheduler, self.seed)
        self.network.deliver = self._deliver
        self.checkers = Checkers(is_strict=self.schedule.is_set("calm"))
        self.counts: Counter[str] = Counter()
        self.bodies: dict[bytes, Body] = {}
        is_real = self.schedule.is_set("real-signatures")
        keys = self.total + (SPARE_KEYS if self.schedule.has("change") else 0)
        self._keyring: Keyring = RealKeyring(keys) if is_real else FastKeyring(keys)
        self._workload = Workload() if self.schedule.is_set("real-ledger") else None
        self._trace = blake2b(digest_size=16)
        self._known: dict[int, tuple[Any, bool]] = {}
        self.liars: dict[int, Liar] = {}
        self.faulty: dict[int, str] = {}
        self.evidence: Counter[int] = Counter()
        self._twins: dict[int, tuple[Twins, SimNode]] = {}
        self.may_fail = self.schedule.lasting
        self.seating = Seating(self, self._keyring)
        self.invariants = EpochInvariants(self._make_invariants)
        self.nodes = [self._make_node(index) for index in range(self.total)]
        self.fault_bound = self.nodes[0].config.fault_bound
        self.conspiracy = Conspiracy(registry=self.bodies)
        self.clients = Clients(self.scheduler, self.nodes, self.bodies)
        self.clients.do_members_change = self.schedule.spares > 0
        self.clients.make = self._make_real_body
        self.end_of_faults_ns = self.schedule.calm_after_ms * NS_PER_MS
        self._recovery_ns = self._bound_ns = 0
        self._corrupt()
        self.director = Director(self, self.schedule)

    def _make_node(self, index: int, twins: Twins | None = None, side: int = 0) -> SimNode:
        home = Home(self._make_ledger(), bytes((index,)) * 32, dice(self.seed, "home", index, side))
        world: Any = self if twins is None else TwinWorld(self, twins, side)
        return SimNode(world, index, self.make_config(0), self._keyring.signer(index), home)

    def _make_invariants(self, config: ReplicaConfig) -> Invariants:
        return Invariants(
            config,
            self._keyring,
            self.bodies,
            self.seating.faulty_in(config.epoch),
            has_right_clocks=not self.schedule.has("clock"),
        )

    def _make_ledger(self) -> ModelLedger:
        genesis = self.make_config(0)
        members = ModelMembers(genesis.members, genesis.limits.window)
        if self._workload:
            return RealLedger(
                self.bodies, GENESIS_TIME_MS, members=members, workload=self._workload
            )
        return ModelLedger(self.bodies, GENESIS_TIME_MS, members=members)

    def _make_real_body(self, name: str, size: int, expires_at_ms: int) -> Body:
        """Sign a real transaction; what it is follows from its name, `size` does not count."""
        if self._workload is None:
            return make_model_body(name, size, expires_at_ms)
        return body_of(self._workload.make(name, expires_at_ms))

    def make_config(
        self,
        index: int,
        epoch: int = 0,
        members: tuple[bytes, ...] = (),
        previous: PreviousEpoch | None = None,
    ) -> ReplicaConfig:
        """Return the configuration of one place in an epoch; of genesis if no members are given."""
        keys = members or self._keyring.public_keys[: self.size]
        chain_id = self._workload.chain_id if self._workload else CHAIN_ID
        config = minimal(chain_id, epoch, keys, index, previous)
        if self.schedule.is_set("snapshots"):
            config = replace(config, far_blocks=FAR_BLOCKS)
        if not self.schedule.is_set("tight"):
            return config
        timers = replace(config.timers, request_max_ns=TIGHT_MAX_NS, idle_ns=TIGHT_IDLE_NS)
        return replace(config, timers=timers)

    def _corrupt(self) -> None:
        for line in self.schedule.liars:
            node = self.nodes[line.member]
            node.is_honest = False
            self.faulty[line.member] = "liar"
            sign, random = self._keyring.signer(line.member), dice(self.seed, "lie", line.member)
            liar = Liar(self.make_config(line.member), sign, line, random, self.conspiracy)
            self.liars[line.member] = liar
        for member in self.schedule.twins:
            twins = Twins(self.size, dice(self.seed, "twins", member))
            first, second = (self._make_node(member, twins, side) for side in (0, 1))
            first.is_honest = second.is_honest = False
            self.nodes[member] = first
            self._twins[member] = (twins, second)
            self.faulty[member] = "twins"

    def run(self) -> Result:
        """Run to the end; raise `ViolationError` at the first breach."""
        for node in self._all_nodes():
            node.start()
        self._run_faults()
        if self.schedule.is_set("acts"):
            self._play_acts()
        self._check_end()
        self._count_end()
        return Result(
            self._trace.hexdigest(),
            self.counts,
            self.scheduler.now_ns,
            self._recovery_ns,
            self._bound_ns,
            self.nodes,
        )

    def _all_nodes(self) -> Iterable[SimNode]:
        yield from self.nodes
        yield from (second for _, second in self._twins.values())

    def _run_faults(self) -> None:
        """Run until faults have ended and all is well again, within the bound B."""
        scheduler = self.scheduler
        scheduler.run_until(self.end_of_faults_ns, lambda: False)
        self._bound_ns = self.compute_bound_ns()
        self.counts["blocks when faults ended"] = len(self.checkers.blocks)
        scheduler.run_until(self.end_of_faults_ns + self._bound_ns, self._is_done)
        if not self._is_done():
            raise ViolationError(f"not done within the bound: {self.describe()}")
        self._recovery_ns = max(0, scheduler.now_ns - self.end_of_faults_ns)
        has_left = any(node.replica.view for node in self._honest() if node.is_voter)
        if self.schedule.is_set("calm") and has_left:
            raise ViolationError(f"a view change in calm (rule 49): {self.describe()}")

    def _play_acts(self) -> None:
        acts = Acts(self)
        acts.lose_primaries()
        acts.lose_messages()
        if self.schedule.service_ms:
            acts.serve(self.schedule.service_ms)
        if self.schedule.is_set("silent-at-end"):
            acts.be_silent()

    def compute_bound_ns(self) -> int:
        """Return B: Σ_{j≤f} min(2^{k+j}·T, T_max) + 8Δ + the re-send period + fetch, and a retry.

        k is how many views the members had failed in a row. A client repeats what a crash has lost
        after its own time. Where every message takes longer than Δ (`base`), each step does, and
        T must first grow beyond that: log2(Δ/T) + f + 2 views (F22).
        """
        timers, failed = self.nodes[0].config.timers, self._count_failed_views()
        steps = self.fault_bound + (3 if self.network.base_ns else 1)
        views_ns = sum(
            min(timers.request_ns << min(failed + step, 20), timers.request_max_ns)
            for step in range(steps)
        )
        protocol_ns = views_ns + 8 * timers.delay_ns + timers.status_ns + self.fetch_timeout_ns
        return protocol_ns + SLOW_HOPS * self.network.base_ns + RETRY_NS

    def _count_failed_views(self) -> int:
        """Return k: how many views in a row the honest members have failed, the worst of them."""
        return max(node.failed_views for node in self._honest())

    @property
    def fetch_timeout_ns(self) -> int:
        """Return how long a shell waits for blocks from one source."""
        return FETCH_TIMEOUT_NS + 2 * self.network.base_ns

    def _honest(self) -> list[SimNode]:
        return [node for node in self.nodes if node.is_honest]

    def _is_done(self) -> bool:
        if self.scheduler.now_ns <= self.end_of_faults_ns + NS_PER_MS:
            return False
        wall_ms = GENESIS_TIME_MS + self.scheduler.now_ns // NS_PER_MS
        if self.clients.get_waiting(wall_ms):
            return False
        honest = self._honest()
        first = honest[0].ledger.height
        return all(
            node.ledger.height == first
            and node.replica.stable_height == first
            and node.ledger.members.view.pending is None
            and node.ledger.members.view.epoch == node.config.epoch
            for node in honest
        )

    def _check_end(self) -> None:
        honest = self._honest()
        if len(honest) < self.total - self.fault_bound:
            raise ViolationError(f"only {len(honest)} members are honest: {self.faulty}")
        chains = {node.index: node.ledger.blocks for node in honest}
        self.checkers.check_end(chains, self.clients.submitted)
        for node in honest:
            self.invariants.check_end(node)
        stores = [node.ledger for node in honest if isinstance(node.ledger, RealLedger)]
        if len({ledger.fingerprint() for ledger in stores}) > 1:
            raise ViolationError("honest members with one state root hold different entries")

    def describe(self) -> str:
        """Return who is where, for the text of a violation."""
        parts = [f"{len(self.clients.pending)} waiting"]
        for node in self.nodes:
            state = self.faulty.get(node.index, "down")
            if node.is_up and node.is_honest:
                is_normal = not node.is_voter or node.replica.is_normal
                state = "normal" if is_normal else "view change"
            where = ""
            if hasattr(node, "replica"):
                replica = node.replica
                where = (
                    f", epoch {node.config.epoch}, place {node.config.index}, "
                    f"view {getattr(replica, 'view', '-')}, executed {replica.executed_height}, "
                    f"stable {replica.stable_height}"
                )
            parts.append(f"{node.index}: {state}{where}")
        return "; ".join(parts)

    def _count_end(self) -> None:
        counts, network = self.counts, self.network
        counts["messages sent"] = network.sent
        counts["messages lost"] = network.lost
        counts["messages duplicated"] = network.duplicated
        counts["messages slow"] = network.slowed
        counts["messages clogged"] = network.clogged
        counts["transactions"] = self.clients.submitted
        counts["acknowledged"] = self.clients.acknowledged
        counts["blocks"] = len(self.checkers.blocks)
        counts["highest views, summed"] = max(
            (node.replica.view for node in self._honest() if node.is_voter), default=0
        )
        for name, number in self.conspiracy.lies.items():
            counts[f"lies: {name}"] = number
        for why in self.faulty.values():
            counts[f"faulty members: {why}"] += 1
        if self._workload:
            kinds = self._workload.kinds.items()
            counts.update({name: count for name, count in kinds if name.startswith("kinds")})

    # What nodes, plan and clients call

    def transmit(self, sender: int, to: int, payload: Any) -> None:
        """Send a payload, or what a liar makes of it."""
        liar = self.liars.get(sender)
        if liar is None or not self.nodes[sender].is_voter:
            self.network.send(sender, to, payload)
            return
        for item in liar.transform(self.nodes[sender].roster.peer_of(to), payload):
            self.network.send(sender, to, item)

    def _deliver(self, to: int, sender: int, payload: Any) -> None:
        line = f"{self.scheduler.now_ns} {sender} {to} {type(payload).__name__}\n"
        self._trace.update(line.encode() + getattr(payload, "signature", b""))
        # What is of another epoch than the receiver's is not verified: it must not count (rule 2).
        is_vote = type(payload) is not tuple and payload.epoch == self.nodes[to].config.epoch
        if self.liars and is_vote and not self._is_valid(payload):
            self.counts["refused before delivery"] += 1
            return
        if to in self._twins:
            self._deliver_to_twins(to, sender, payload)
            return
        liar = self.liars.get(to)
        if liar is not None:
            payload = liar.hear(sender, payload)
            answers, liar.answers = liar.answers, []
            for asker, answer in answers:
                self.network.send(to, asker, answer)
        self.nodes[to].receive(sender, payload)

    def _deliver_to_twins(self, to: int, sender: int, payload: Any) -> None:
        twins, second = self._twins[to]
        for side, node in enumerate((self.nodes[to], second)):
            if twins.is_heard(side, sender, self.scheduler.now_ns):
                node.receive(sender, payload)

    def _is_valid(self, message: Any) -> bool:
        """Tell whether all signatures verify; a message that many get is verified once."""
        known = self._known.get(id(message))
        if known is None:
            if len(self._known) > KNOWN_MAX:
                self._known.clear()
            # The message is kept, so that its id stays its own.
            known = self._known[id(message)] = (message, self._verify(message))
        return known[1]

    def _verify(self, message: Any) -> bool:
        try:
            items = signature_items(message, self.seating.config_of(message.epoch))
        except Refused:
            return False
        return are_valid(self._keyring, items)

    def is_certified(self, certificate: Certificate) -> bool:
        """Tell whether just a quorum of its epoch has signed a certificate."""
        message = StableCertificate(certificate.epoch, certificate)
        try:
            check_message(message, self.seating.config_of(certificate.epoch))
        except Refused:
            return False
        return self._is_valid(message)

    def count(self, what: str) -> None:
        """Count something for the summary."""
        self.counts[what] += 1

    def on_evidence(self, found: Evidence) -> None:
        """Hold what a replica calls evidence against what the member really is (rule 50)."""
        self.count("evidence found")
        self.evidence[found.signer] += 1
        epoch = found.first.epoch
        self.checkers.on_evidence(
            found,
            self.seating.config_of(epoch),
            verifier_of(self._keyring),
            frozenset(self.seating.faulty_in(epoch)),
        )

    def on_certified(self, member: int, block: ModelBlock) -> None:
        """Tell the clients whose transactions are in a certified block."""
        index = self.nodes[member].ledger.index
        for digest in block.transactions:
            if self.clients.on_fate(digest) and digest in index:
                effect = self.nodes[member].ledger.blocks[index[digest] - 1]
                self.checkers.on_acknowledged(digest, effect)

    def on_point(self, member: int, what: str) -> str:
        """Return how a member crashes at this point of its life, or nothing."""
        return self.director.on_point(member, what)

    def on_fault_of(self, member: int, what: str) -> None:
        """Count a member among the faulty: what it promised is lost with its disk."""
        self.faulty[member] = what

    def submit(self, name: str, home: int, ttl_ms: int, size: int) -> None:
        """Let a client submit a new transaction at member `home`."""
        self.clients.begin(self._create(name, home, ttl_ms, size))

    def flood(self, name: str, home: int, ttl_ms: int, size: int) -> None:
        """Let a client that does not care submit a new transaction."""
        self.clients.try_once(self._create(name, home, ttl_ms, size))

    def _create(self, name: str, home: int, ttl_ms: int, size: int) -> bytes:
        wall_ms = GENESIS_TIME_MS + self.scheduler.now_ns // NS_PER_MS
        body = self.clients.create(name, home, size, wall_ms + ttl_ms)
        self.checkers.submitted.add(body.hash)
        return body.hash

    def submit_change(self, name: str, home: int, change: Change) -> None:
        """Let a client submit a change of members at member `home`."""
        wall_ms = GENESIS_TIME_MS + self.scheduler.now_ns // NS_PER_MS
        body = self.clients.create(name, home, 400, wall_ms + LONG_TTL_MS)
        self.bodies[body.hash] = replace(body, change=change)
        self.checkers.submitted.add(body.hash)
        self.clients.begin(body.hash)

    def submit_now(self, home: int, ttl_ms: int = LONG_TTL_MS) -> None:
        """Let a client submit a transaction that no schedule names."""
        self.submit(f"act-{self.clients.submitted}", home, ttl_ms, 400)

    def crash_member(self, member: int, how: str) -> None:
        """Crash a member, or both twins of one."""
        for node in self._all_nodes():
            if node.index == member:
                node.crash(how)

    def restart(self, member: int) -> None:
        """Start a member that is down; its links come up."""
        down = [
            node
            for node in self._all_nodes()
            if node.index == member and not node.is_up and not node.is_lost
        ]
        for node in down:
            self.count("restarts")
            node.start()
        for other in range(self.total) if down else ():
            if other != member:
                self.connect(other, member)
                self.connect(member, other)

    def connect(self, sender: int, to: int) -> None:
        """Tell a member that its link to another is up."""
        for node in self._all_nodes():
            if node.index == sender:
                node.connect(to)
