"""A small deterministic ledger: a hash chain of batches with fates, and its certificates.

It stands for execution and the block store. Bodies are known by hash from one registry of the run
(`Body`), which says what a transaction's size and expiry are; who holds it is the nodes' affair.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.chain.certificate import Certificate
from ledger.chain.hashes import ZERO_HASH, tagged_hash
from tests.simulator.model_members import Change, ModelMembers

OK, DUPLICATE, EXPIRED, REFUSED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Body:
    """A transaction as the simulator sees it."""

    hash: bytes
    size: int
    expires_at_ms: int
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class ModelBlock:
    """A block with the result of each transaction."""

    height: int
    parent_hash: bytes
    time_ms: int
    batch_digest: bytes
    transactions: tuple[bytes, ...]
    results: bytes
    block_hash: bytes
    batch_time_ms: int | None = None


@dataclass(slots=True)
class ModelLedger:
    """One node's chain. `blocks[i]` has height i+1; `index` is hash to height of its effect."""

    bodies: dict[bytes, Body]
    genesis_time_ms: int
    blocks: list[ModelBlock] = field(default_factory=list)
    index: dict[bytes, int] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    certificates: dict[int, Certificate] = field(default_factory=dict)
    unsynced: dict[int, Certificate] = field(default_factory=dict)
    members: ModelMembers = field(default_factory=lambda: ModelMembers((), 0))

    @property
    def height(self) -> int:
        """Return the height of the last block."""
        return len(self.blocks)

    def head(self) -> tuple[bytes, int]:
        """Return hash and time of the last block."""
        if not self.blocks:
            return ZERO_HASH, self.genesis_time_ms
        return self.blocks[-1].block_hash, self.blocks[-1].time_ms

    def execute(
        self, time_ms: int | None, digest: bytes, transactions: tuple[bytes, ...]
    ) -> ModelBlock:
        """Return the next block, and append it with all certificates given so far: one sync."""
        parent_hash, parent_time = self.head()
        time = parent_time if time_ms is None else max(parent_time, time_ms)
        height, results = self.height + 1, bytearray()
        for item in transactions:
            if item in self.index:
                results.append(DUPLICATE)
            elif time >= self.bodies[item].expires_at_ms:
                results.append(EXPIRED)
            else:
                results.append(self._effect_of(self.bodies[item], height))
                self.index[item] = height
        self.seen.update(transactions)
        self.members.finish(height)
        parts = (parent_hash, time.to_bytes(8, "big"), digest, bytes(results), self.members.root())
        block = ModelBlock(
            height,
            parent_hash,
            time,
            digest,
            transactions,
            bytes(results),
            tagged_hash(b"simulator/block", *parts),
            time_ms,
        )
        self.blocks.append(block)
        self.sync_certificates()
        return block

    def _effect_of(self, body: Body, height: int) -> int:
        if body.change is None or self.members.decide(body.change, height):
            return OK
        return REFUSED

    def sync_certificates(self) -> None:
        """Make the certificates given so far durable."""
        self.certificates.update(self.unsynced)
        self.unsynced = {}

    def crash(self) -> None:
        """Lose what was not synced."""
        self.unsynced = {}

    def roll_back(self, height: int) -> None:
        """Lose the blocks above `height`: the disk had said that they were synced."""
        self.unsynced = {}
        kept, self.blocks = self.blocks[:height], []
        self.certificates = {at: item for at, item in self.certificates.items() if at <= height}
        self.index, self.seen = {}, set()
        self.members = self.members.at_genesis()
        for block in kept:
            self.execute(block.batch_time_ms, block.batch_digest, block.transactions)

    def get_best_certificate(self) -> Certificate | None:
        """Return the highest durable certificate."""
        return self.certificates[max(self.certificates)] if self.certificates else None
