"""Four members, 500 transactions, and one machine that stops at a chosen operation.

Everything is synchronous and in order, one millisecond a message, so that the run is the same up to
the crash. All transactions are there from the start; what a member's clients gave it they give it
again after its restart. At the end all members must hold all transactions, each once, in equal
stores; and no block that a client was told of may have changed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from heapq import heappop, heappush
from random import Random
from typing import Any

from consensus.config import ReplicaConfig, minimal
from consensus.events import Clock, PeerConnected
from ledger.chain.header import Header
from ledger.storage.chain_store import CERTIFICATES, FATES
from tests.crash_points import load
from tests.crash_points.member import Member
from tests.simulator.checkers import Checkers, ViolationError
from tests.simulator.keys import FastKeyring
from tests.simulator.scheduler import NS_PER_MS, NS_PER_S
from tests.storage.simulated_files import Crash, SimulatedFiles
from tests.twins_protocol.clone import clone

SIZE = 4
MODES = {"before": "lost", "after": "kept", "torn": "torn"}
DELAY_NS = NS_PER_MS
# By turns: back before anybody misses it, and back in a later view.
DOWN_NS = (20 * NS_PER_MS, 1500 * NS_PER_MS)


class Dice(Random):
    """Decides for `SimulatedFiles.after_crash` what the disk holds of what was not synced."""

    def __init__(self, mode: str, seed: int) -> None:
        super().__init__(seed)
        self._mode = MODES[mode]

    def choice(self, seq: Any) -> Any:
        """Return the mode of this crash."""
        if self._mode not in seq:
            raise ValueError(f"{self._mode} is none of {seq}")
        return self._mode

    def randint(self, a: int, b: int) -> int:
        """Return how many changes of names have reached the disk."""
        if self._mode == "torn":
            return super().randint(a, b)
        return a if self._mode == "lost" else b


def make_config(keyring: FastKeyring, index: int) -> ReplicaConfig:
    """Return the minimal preset with batches of ten and places for all."""
    config = minimal(load.CHAIN_ID, 0, keyring.public_keys, index)
    limits = replace(
        config.limits,
        batch_count=load.BATCH,
        batch_bytes=64 * 1024,
        places=2 * load.TRANSACTIONS,
        places_rate=8 * load.TRANSACTIONS * SIZE,
        max_ttl_ms=2 * load.TTL_MS,
    )
    return replace(config, limits=limits)


class World:
    """One run."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.counts: Counter[str] = Counter()
        self._heap: list[tuple[int, int, int, int, int, Any]] = []
        self._sequence = 0
        self._lives = [0] * SIZE
        self._checkers = Checkers()
        self._blocks: dict[int, bytes] = {}
        self._told: dict[int, bytes] = {}
        self._crash: tuple[int, str] | None = None
        self._deadline_ns = 30 * NS_PER_S
        keyring = FastKeyring(SIZE)
        configs = [make_config(keyring, index) for index in range(SIZE)]
        self.members = [Member(self, config, keyring.signer(config.index)) for config in configs]
        for member in self.members:
            member.start()
        for number, item in enumerate(load.transactions().values()):
            for member in self.members:
                member.give(item, number % SIZE, is_local=number % SIZE == member.index)

    def copy(self) -> World:
        """Return a world that goes on from here on its own."""
        made: World = clone(self, {})
        return made

    # What members call

    def clock(self) -> Clock:
        """Return the one clock of all."""
        return Clock(self.now_ns, load.GENESIS_TIME_MS + self.now_ns // NS_PER_MS)

    def send(self, sender: int, to: int, payload: Any) -> None:
        """Put a payload on its way."""
        self._push(DELAY_NS, to, sender, -1, payload)

    def plan(self, member: int, after_ns: int, payload: Any) -> None:
        """Give a member something of its own later, if it lives so long."""
        self._push(after_ns, member, -1, self._lives[member], payload)

    def _push(self, after_ns: int, to: int, sender: int, life: int, payload: Any) -> None:
        self._sequence += 1
        heappush(self._heap, (self.now_ns + after_ns, self._sequence, to, sender, life, payload))

    def on_send(self, sender: int, message: Any) -> None:
        """No contradictory votes, across the crash (rules 8 and 44)."""
        self._checkers.on_honest_send(sender, message)

    def on_block(self, member: int, header: Header) -> None:
        """One block a height."""
        block_hash = load.block_hash(header)
        if self._blocks.setdefault(header.height, block_hash) != block_hash:
            raise ViolationError(f"member {member} forked at height {header.height}")

    def on_certified(self, member: int, height: int) -> None:
        """Remember what clients were told (N)."""
        block_hash = self._blocks[height]
        if self._told.setdefault(height, block_hash) != block_hash:
            raise ViolationError(f"member {member} tells another block {height}")

    # Running

    def crash_at(self, member: int, operation: int, mode: str) -> None:
        """Let the disk of a member stop at its operation `operation`, counted from the start."""
        self.members[member].files.crash_at = operation
        self._crash = (member, mode)

    @property
    def next_member(self) -> int:
        """Return whose turn is next."""
        return self._heap[0][2]

    def step(self) -> None:
        """Run the next event."""
        self.now_ns, _, to, sender, life, payload = heappop(self._heap)
        member = self.members[to]
        try:
            if payload == ("start",):
                self._restart(member)
            elif member.is_up and sender >= 0:
                member.receive(sender, payload)
            elif member.is_up and life == self._lives[to]:
                member.take(payload)
        except Crash:
            self._stop(member)

    def _stop(self, member: Member) -> None:
        if self._crash is None:
            raise ViolationError("a crash that nobody planned")
        victim, mode = self._crash
        files: SimulatedFiles = member.files
        operation = files.operations
        self._lives[victim] += 1
        self.counts["crashes"] += 1
        member.crash(files.after_crash(Dice(mode, operation)))
        down_ns = DOWN_NS[operation % len(DOWN_NS)]
        self._push(down_ns, victim, -1, self._lives[victim], ("start",))
        self._deadline_ns = self.now_ns + down_ns + self.compute_bound_ns()

    def _restart(self, member: Member) -> None:
        member.start()
        for number, item in enumerate(load.transactions().values()):
            if number % SIZE == member.index:
                member.give(item, member.index, is_local=True)
        for other in self.members:
            if other is not member:
                other.handle(PeerConnected(member.index))
                member.handle(PeerConnected(other.index))

    def compute_bound_ns(self) -> int:
        """Return B with a slack for what is still to be ordered."""
        timers = self.members[0].config.timers
        return 3 * timers.request_max_ns + 8 * timers.delay_ns + 2 * timers.status_ns + NS_PER_S

    @property
    def is_over(self) -> bool:
        """Tell whether all are up and hold everything; raise when B has passed."""
        if self.now_ns > self._deadline_ns:
            raise ViolationError(f"not done within the bound: {self.describe()}")
        first = self.members[0]
        return all(
            member.is_up
            and member.head.height == first.head.height == member.certified_height
            and member.replica.pending_count == 0
            for member in self.members
        )

    def run(self) -> None:
        """Run to the end, and check it; raise `ViolationError`."""
        while not self.is_over:
            self.step()
        self.check_end()

    def check_end(self) -> None:
        """All chains are equal, whole, and what clients were told of."""
        if any(self._blocks[height] != told for height, told in self._told.items()):
            raise ViolationError("a block that a client was told of is another now")
        contents = [self._content(member) for member in self.members]
        for member, content in zip(self.members[1:], contents[1:], strict=True):
            if content != contents[0]:
                raise ViolationError(f"store of member {member.index} differs from member 0's")
        fates = sum(key.startswith(FATES) for key in contents[0])
        if fates != load.TRANSACTIONS:
            raise ViolationError(f"{fates} transactions have a fate, want {load.TRANSACTIONS}")
        self.counts["blocks"] = self.members[0].head.height
        self.counts["highest view"] = max(member.replica.view for member in self.members)

    @staticmethod
    def _content(member: Member) -> dict[bytes, bytes]:
        """Return what a member's database holds, but for certificates: they may be of others."""
        entries = member.store.scan(b"", b"\xff" * 40)
        return {key: value for key, value in entries if not key.startswith(CERTIFICATES)}

    def describe(self) -> str:
        """Return who is where."""
        parts = []
        for item in self.members:
            state = "down"
            if item.is_up:
                state = "normal" if item.replica.is_normal else "view change"
            parts.append(
                f"{item.index}: {state}, view {item.replica.view}, executed "
                f"{item.replica.executed_height}, stable {item.replica.stable_height}, "
                f"pending {item.replica.pending_count}"
            )
        return "; ".join(parts)
