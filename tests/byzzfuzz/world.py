"""The members of one run, the faults between them, and what must hold (S and B of F39).

Messages take one delay. Faults end at `QUIET_NS`; when everything is executed after that, the
faulty member falls silent, and the others must serve one more client.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from typing import Any

from consensus import effects as fx
from consensus.config import ReplicaConfig, minimal
from consensus.events import Clock, MessageReceived, PeerConnected
from consensus.verification import signature_items
from ledger.errors import Refused
from tests.byzzfuzz.mutations import SIGNED, Mutator
from tests.byzzfuzz.plan import Plan, round_of
from tests.simulator.checkers import Checkers, ViolationError
from tests.simulator.keys import FastKeyring, are_valid
from tests.simulator.model_ledger import Body, ModelBlock, ModelLedger
from tests.simulator.scheduler import NS_PER_MS, NS_PER_S
from tests.twins_protocol.instance import DELAY_NS, Instance

CHAIN_ID = b"\x27" * 32
GENESIS_TIME_MS = 1_600_000_000_000
TTL_MS = 500_000
TRANSACTIONS = 10
EVERY_NS = 250 * NS_PER_MS
QUIET_NS = 9 * NS_PER_S


def _transaction(number: int) -> bytes:
    return blake2b(bytes((number,)), digest_size=32).digest()


LAST = _transaction(TRANSACTIONS)
BODIES = {
    digest: Body(digest, 400, GENESIS_TIME_MS + TTL_MS)
    for digest in map(_transaction, range(TRANSACTIONS + 1))
}


def make_config(keyring: FastKeyring, index: int) -> ReplicaConfig:
    """Return the minimal preset with small batches and timers that reach their cap soon."""
    config = minimal(CHAIN_ID, 0, keyring.public_keys, index)
    timers = replace(config.timers, request_max_ns=2 * NS_PER_S)
    return replace(config, timers=timers, limits=replace(config.limits, batch_count=4))


class World:
    """One run."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.now_ns = 0
        self.counts: Counter[str] = Counter()
        self.is_quiet = self.is_faulty_silent = False
        self.recovery_ns = 0
        self._plan = plan
        self._random = Random(seed + 1)
        self._checkers = Checkers()
        self._checkers.submitted = set(BODIES)
        self._deadline_ns = 0
        self._heap: list[tuple[int, int, int, int, Any]] = []
        self._sequence = 0
        self._keyring = FastKeyring(plan.size)
        self.config = make_config(self._keyring, 0)
        self._mutator = Mutator(
            make_config(self._keyring, plan.faulty), self._keyring.signer(plan.faulty)
        )
        self._given: set[bytes] = set()
        self.instances: list[Instance] = []
        for index in range(plan.size):
            ledger = ModelLedger(BODIES, GENESIS_TIME_MS)
            config, sign = make_config(self._keyring, index), self._keyring.signer(index)
            self.instances.append(Instance(self, index, config, sign, ledger))
        for number in range(TRANSACTIONS):
            self._bring(_transaction(number), DELAY_NS + number * EVERY_NS)

    @property
    def honest(self) -> list[Instance]:
        """Return the members that keep to the protocol."""
        return [item for item in self.instances if item.member != self._plan.faulty]

    def _bring(self, digest: bytes, after_ns: int) -> None:
        """Let clients bring a transaction to every member."""
        self._given.add(digest)
        for index in range(self._plan.size):
            self.deliver_later(index, ("relay", (index, (digest,))), after_ns)

    # What instances call

    def clock(self) -> Clock:
        """Return the one clock of all."""
        return Clock(self.now_ns, GENESIS_TIME_MS + self.now_ns // NS_PER_MS)

    def send(self, sender: Instance, to: int, payload: Any) -> None:
        """Put a message on its way, or what the faults make of it."""
        number = round_of(payload, sender.replica.view)
        if self.is_quiet or number is None:
            self._push(DELAY_NS, to, sender.number, payload)
            return
        side = self._plan.cuts.get(number)
        if side is not None and (sender.number in side) != (to in side):
            self.counts["lost"] += 1
            return
        if sender.number == self._plan.faulty:
            payload = self._change(number, to, payload)
        if payload is not None:
            self._push(DELAY_NS, to, sender.number, payload)

    def _change(self, number: int, to: int, payload: Any) -> Any:
        name, receivers = self._plan.changes.get(number, ("", frozenset()))
        changed = payload
        if to in receivers:
            self.counts[f"mutations: {name}"] += 1
            changed = self._mutator.mutate(name, payload, self._random)
        self._mutator.memory.sent.setdefault(type(payload), []).append(payload)
        return changed

    def deliver_later(self, number: int, event: Any, after_ns: int) -> None:
        """Give an instance an event of its own."""
        self._push(after_ns, number, -1, event)

    def _push(self, after_ns: int, to: int, sender: int, payload: Any) -> None:
        self._sequence += 1
        heappush(self._heap, (self.now_ns + after_ns, self._sequence, to, sender, payload))

    def is_reachable(self, sender: Instance, number: int) -> bool:
        """Tell whether blocks may be fetched there: from anybody who still talks."""
        return not (self.is_faulty_silent and number == self._plan.faulty)

    def blocks_of(self, member: int) -> list[tuple[int, list[ModelBlock]]]:
        """Return the chain of a member."""
        return [(member, self.instances[member].ledger.blocks)]

    def on_send(self, sender: Instance, message: Any) -> None:
        """No honest member contradicts itself or goes back."""
        if sender.member != self._plan.faulty:
            self._checkers.on_honest_send(sender.member, message)

    def on_block(self, sender: Instance, block: ModelBlock) -> None:
        """All chains are equal."""
        self._checkers.on_block(sender.number, block)

    def on_report(self, sender: Instance, effect: fx.Effect) -> None:
        """Nobody honest halts, or is accused."""
        if isinstance(effect, fx.ReportNewView):
            self.counts["views entered"] += 1
        elif isinstance(effect, fx.ReportEvidence):
            self.counts["evidence"] += 1
            if effect.evidence.signer != self._plan.faulty:
                raise ViolationError(f"evidence against honest member {effect.evidence.signer}")
        elif isinstance(effect, fx.Halt) and sender.member != self._plan.faulty:
            raise ViolationError(f"member {sender.number} halted: {effect.reason}")

    # Running

    def run(self) -> None:
        """Run to the end; raise `ViolationError`."""
        while not self._is_over():
            if not self.is_quiet and self._heap[0][0] >= QUIET_NS:
                self._end_faults()
            self.now_ns, _, to, sender, payload = heappop(self._heap)
            self._deliver(to, sender, payload)

    def _deliver(self, to: int, sender: int, payload: Any) -> None:
        if self.is_faulty_silent and self._plan.faulty in (to, sender):
            return
        instance = self.instances[to]
        if type(payload) is tuple:
            instance.take(payload)
        elif sender < 0:
            instance.handle(payload)
        elif sender != self._plan.faulty or self._is_valid(payload):
            self._mutator.memory.note(payload)
            instance.handle(MessageReceived(sender, payload))

    def _is_valid(self, message: Any) -> bool:
        """Tell whether the shell of an honest member would let a message through."""
        if not isinstance(message, SIGNED):
            return True
        try:
            is_valid = are_valid(self._keyring, signature_items(message, self.config))
        except Refused:
            is_valid = False
        self.counts["refused"] += not is_valid
        return is_valid

    def _end_faults(self) -> None:
        self.is_quiet, self.now_ns = True, QUIET_NS
        self._deadline_ns = QUIET_NS + self.compute_bound_ns()
        for instance in self.instances:
            for member in range(self._plan.size):
                if member != instance.member:
                    instance.handle(PeerConnected(member))

    def _is_over(self) -> bool:
        """Go on to the silence of the faulty member, and to the end; raise when B has passed."""
        if not self.is_quiet:
            return False
        if self.now_ns > self._deadline_ns:
            raise ViolationError(f"not done within the bound: {self.describe()}")
        first = self.honest[0].ledger
        if len(first.index) < len(self._given) or any(
            not item.ledger.height == first.height == item.replica.stable_height
            for item in self.honest
        ):
            return False
        left_ns = self._deadline_ns - self.now_ns
        self.recovery_ns = max(self.recovery_ns, self.compute_bound_ns() - left_ns)
        if self.is_faulty_silent:
            self.counts["blocks"] = first.height
            return True
        self.is_faulty_silent = True
        self._deadline_ns = self.now_ns + self.compute_bound_ns()
        self._given.add(LAST)
        for item in self.honest:
            item.give(LAST, item.member)
        return False

    def compute_bound_ns(self) -> int:
        """Return B for timers that may be at their cap, a re-send and a fetch."""
        timers = self.config.timers
        views = (self.config.fault_bound + 2) * timers.request_max_ns
        return views + 8 * timers.delay_ns + 2 * timers.status_ns + NS_PER_S

    def describe(self) -> str:
        """Return who is where."""
        parts = []
        for item in self.instances:
            replica = item.replica
            state = "normal" if replica.is_normal else "view change"
            parts.append(
                f"{item.number}: {state}, view {replica.view}, "
                f"executed {replica.executed_height}, stable {replica.stable_height}"
            )
        return "; ".join(parts)
