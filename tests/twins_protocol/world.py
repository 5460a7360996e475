"""Five instances of four members, the splits of views 0 to 3, and what must hold (S and B of F38).

A message is of the view that it names, or else of the view that its sender is in; it arrives after
one delay if both ends are on one side of that view's split, and never otherwise. Views from 4 on
have no split, and after `HEAL_NS` there is none at all. `run` goes on until the split of a view is
needed that is not chosen yet, so that the choice can be put off until it matters. When all honest
members have executed everything, the twin falls silent for good: the three that are left must
serve one more client, whatever the four views have made of them.

So that each of the four views ends, clients bring three transactions whenever an instance enters
one of them, the two copies of the twin in opposite orders, and only the first two proposals of a
primary in a view get through: the rest times out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any

from consensus import effects as fx
from consensus.config import ReplicaConfig, minimal
from consensus.events import Clock, MessageReceived, PeerConnected
from consensus.messages import PrePrepare
from tests.simulator.checkers import Checkers, ViolationError
from tests.simulator.keys import FastKeyring
from tests.simulator.model_ledger import Body, ModelBlock, ModelLedger
from tests.simulator.scheduler import NS_PER_MS, NS_PER_S
from tests.twins_protocol.clone import clone
from tests.twins_protocol.instance import DELAY_NS, Instance

SIZE = 4
VIEWS = 4
INSTANCES = 5
SPLITS = 15
CHAIN_ID = b"\x26" * 32
GENESIS_TIME_MS = 1_600_000_000_000
TTL_MS = 500_000
HEAL_NS = 9 * NS_PER_S
STATUS_NS = 4 * NS_PER_S
PROPOSALS_PASSED = 2
BROUGHT = PROPOSALS_PASSED + 1
PAUSE_NS = 20 * NS_PER_MS


def side(split: int, number: int) -> bool:
    """Return the side of an instance in a split 0 to 14; instance 4 is on the same in all."""
    return bool((split + 1) >> number & 1)


def _transaction(view: int, place: int) -> bytes:
    return blake2b(bytes((view, place)), digest_size=32).digest()


LAST = _transaction(VIEWS, 0)
BODIES = {
    digest: Body(digest, 400, GENESIS_TIME_MS + TTL_MS)
    for digest in (
        LAST,
        *(_transaction(view, place) for view in range(VIEWS) for place in range(BROUGHT)),
    )
}


def make_config(keyring: FastKeyring, index: int) -> ReplicaConfig:
    """Return the minimal preset with timers that reach their cap within four views.

    STATUS is rare: nothing is lost on one side of a split, and links that come up bring one anyway.
    """
    config = minimal(CHAIN_ID, 0, keyring.public_keys, index)
    timers = replace(
        config.timers,
        request_max_ns=2 * NS_PER_S,
        status_ns=STATUS_NS,
        floor_ns=max(config.timers.floor_ns, STATUS_NS),
    )
    return replace(config, timers=timers, limits=replace(config.limits, batch_count=8))


class World:
    """One run; `splits` maps views to their splits as far as they are chosen."""

    def __init__(self, twin: int) -> None:
        self.twin = twin
        self.splits: dict[int, int] = {}
        self.now_ns = 0
        self.is_whole = False
        self.is_twin_silent = False
        self.deadline_ns = 0
        self.counts: Counter[str] = Counter()
        self.highest_view = 0
        self.recovery_ns = 0
        self._heap: list[tuple[int, int, int, int, int, Any]] = []
        self._sequence = 0
        self._checkers = Checkers()
        self._checkers.submitted = set(BODIES)
        self._proposed: dict[tuple[int, int], set[int]] = {}
        self._given: set[bytes] = set()
        self._numbers = tuple(
            (index, INSTANCES - 1) if index == twin else (index,) for index in range(SIZE)
        )
        keyring = FastKeyring(SIZE)
        self.instances: list[Instance] = []
        self.config = make_config(keyring, 0)
        for number in range(INSTANCES):
            member = twin if number == INSTANCES - 1 else number
            ledger = ModelLedger(BODIES, GENESIS_TIME_MS)
            config = make_config(keyring, member)
            self.instances.append(Instance(self, number, config, keyring.signer(member), ledger))
        for number in range(INSTANCES):
            self._bring(number, 0)

    def copy(self) -> World:
        """Return a world that goes on from here on its own."""
        memo: dict[int, Any] = {id(BODIES): BODIES}
        made: World = clone(self, memo)
        return made

    # What instances call

    def clock(self) -> Clock:
        """Return the one clock of all."""
        return Clock(self.now_ns, GENESIS_TIME_MS + self.now_ns // NS_PER_MS)

    def send(self, sender: Instance, to: int, payload: Any) -> None:
        """Put a message on its way to the instances of member `to`."""
        view = getattr(payload, "view", None)
        if view is None:
            view = sender.replica.view
        if type(payload) is PrePrepare and not self._passes(sender, payload):
            return
        for number in self._numbers[to]:
            self._push(DELAY_NS, number, sender.number, view, payload)

    def _passes(self, sender: Instance, message: PrePrepare) -> bool:
        if self.is_whole or message.view >= VIEWS:
            return True
        heights = self._proposed.setdefault((sender.number, message.view), set())
        if len(heights) < PROPOSALS_PASSED:
            heights.add(message.height)
        return message.height in heights

    def deliver_later(self, number: int, event: Any, after_ns: int) -> None:
        """Give an instance an event of its own, which no split stops."""
        self._push(after_ns, number, -1, -1, event)

    def _push(self, after_ns: int, number: int, sender: int, view: int, payload: Any) -> None:
        self._sequence += 1
        heappush(
            self._heap, (self.now_ns + after_ns, self._sequence, number, sender, view, payload)
        )

    def is_reachable(self, sender: Instance, number: int) -> bool:
        """Tell whether an instance is on the sender's side, as far as splits are chosen."""
        split = None if self.is_whole else self.splits.get(sender.replica.view)
        return split is None or side(split, sender.number) == side(split, number)

    def blocks_of(self, member: int) -> list[tuple[int, list[ModelBlock]]]:
        """Return the chains of the instances of a member, by number of the instance."""
        return [(number, self.instances[number].ledger.blocks) for number in self._numbers[member]]

    def on_send(self, sender: Instance, message: Any) -> None:
        """No honest member contradicts itself or goes back."""
        if sender.member != self.twin:
            self._checkers.on_honest_send(sender.member, message)

    def on_block(self, sender: Instance, block: ModelBlock) -> None:
        """All chains are equal, the twin's too: what a replica executes is committed."""
        self._checkers.on_block(sender.number, block)

    def on_report(self, sender: Instance, effect: fx.Effect) -> None:
        """Note views entered and evidence; nobody may halt."""
        if isinstance(effect, fx.ReportNewView):
            self.highest_view = max(self.highest_view, effect.view)
            if effect.view < VIEWS and not self.is_whole:
                self._bring(sender.number, effect.view)
        elif isinstance(effect, fx.ReportEvidence):
            self.counts["evidence"] += 1
            if effect.evidence.signer != self.twin:
                raise ViolationError(f"evidence against honest member {effect.evidence.signer}")
        elif isinstance(effect, fx.Halt):
            raise ViolationError(f"instance {sender.number} halted: {effect.reason}")

    def _bring(self, number: int, view: int) -> None:
        """Let clients bring an instance the transactions of a view, in its order."""
        member = self.instances[number].member
        hashes = [_transaction(view, place) for place in range(BROUGHT)]
        if number % 2 if number < SIZE else member % 2 == 0:
            hashes.reverse()
        for place, digest in enumerate(hashes):
            self._given.add(digest)
            body = ("relay", (member, (digest,)))
            self.deliver_later(number, body, DELAY_NS + place * PAUSE_NS)

    # Running

    def run(self) -> int | None:
        """Run until a split has to be chosen and return its view, or None at the end.

        Raises `ViolationError`.
        """
        heap = self._heap
        while True:
            if not self.is_whole and heap[0][0] >= HEAL_NS:
                self._heal()
            time_ns, _, number, sender, view, payload = heap[0]
            if 0 <= view < VIEWS and not self.is_whole:
                split = self.splits.get(view)
                if split is None:
                    return view
                if side(split, sender) != side(split, number):
                    heappop(heap)
                    continue
            heappop(heap)
            self.now_ns = time_ns
            self._deliver(number, sender, payload)
            if self.is_whole and self._is_over():
                return None

    def _deliver(self, number: int, sender: int, payload: Any) -> None:
        instances = self.instances
        if self.is_twin_silent and self.twin in (
            instances[number].member,
            instances[sender].member if sender >= 0 else None,
        ):
            return
        if type(payload) is tuple:
            instances[number].take(payload)
        elif sender >= 0:
            instances[number].handle(MessageReceived(instances[sender].member, payload))
        else:
            instances[number].handle(payload)

    def _heal(self) -> None:
        """End the splits: every link comes up."""
        self.is_whole, self.now_ns = True, HEAL_NS
        self.deadline_ns = self.now_ns + self.compute_bound_ns()
        for instance in self.instances:
            for member in range(SIZE):
                if member != instance.member:
                    instance.handle(PeerConnected(member))

    def _is_over(self) -> bool:
        """Go on to the silence of the twin, and from there to the end; raise when B has passed."""
        if self.now_ns > self.deadline_ns:
            raise ViolationError(f"not done within the bound: {self.describe()}")
        honest = [item for item in self.instances if item.member != self.twin]
        first = honest[0].ledger
        if len(first.index) < len(self._given) or any(
            not item.ledger.height == first.height == item.replica.stable_height for item in honest
        ):
            return False
        self.recovery_ns = max(
            self.recovery_ns, self.now_ns + self.compute_bound_ns() - self.deadline_ns
        )
        if self.is_twin_silent:
            self.counts["blocks"] = first.height
            return True
        self.is_twin_silent = True
        self.deadline_ns = self.now_ns + self.compute_bound_ns()
        self._given.add(LAST)
        for item in honest:
            item.give(LAST, item.member)
        return False

    def compute_bound_ns(self) -> int:
        """Return B with f = 1 for timers that may be at their cap, a re-send and a fetch."""
        timers = self.config.timers
        return 3 * timers.request_max_ns + 8 * timers.delay_ns + 2 * timers.status_ns + NS_PER_S

    def describe(self) -> str:
        """Return who is where."""
        parts = []
        for item in self.instances:
            replica = item.replica
            state = "normal" if replica.is_normal else "view change"
            parts.append(
                f"{item.number} (member {item.member}): {state}, view {replica.view}, "
                f"executed {replica.executed_height}, stable {replica.stable_height}"
            )
        return "; ".join(parts)
