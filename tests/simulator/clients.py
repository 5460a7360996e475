"""Clients: each belongs to a member, submits at its node, and after a while at others (rule 37).

A client is told a fate when the block is certified at the node that it asked. It repeats the same
bytes until then. Some transactions expire soon, most do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from tests.simulator.model_ledger import Body
from tests.simulator.scheduler import NS_PER_MS, Scheduler

RETRY_NS = 2500 * NS_PER_MS
BUSY_NS = 300 * NS_PER_MS


class Taker(Protocol):
    """A node that takes transactions."""

    @property
    def is_voter(self) -> bool:
        """Tell whether this node is a member."""

    def submit(self, digest: bytes) -> bool:
        """Take a transaction; False: BUSY, or down."""


@dataclass(slots=True)
class Pending:
    """A transaction that is not acknowledged yet."""

    body: Body
    home: int
    attempts: int = 0


def make_model_body(name: str, size: int, expires_at_ms: int) -> Body:
    """Return the transaction of a name for the model ledger."""
    return Body(blake2b(name.encode(), digest_size=32).digest(), size, expires_at_ms)


class Clients:
    """All clients of one run; `nodes[i].submit(hash)` takes their transactions."""

    def __init__(
        self, scheduler: Scheduler, nodes: Sequence[Taker], bodies: dict[bytes, Body]
    ) -> None:
        self._scheduler = scheduler
        self._nodes = nodes
        self._bodies = bodies
        self.pending: dict[bytes, Pending] = {}
        self._names: dict[bytes, str] = {}
        self._bodies_of_names: dict[str, Body] = {}
        self.make = make_model_body
        self.do_members_change = False
        self.submitted = 0
        self.acknowledged = 0

    def create(self, name: str, home: int, size: int, expires_at_ms: int) -> Body:
        """Make a new transaction; its hash is that of its name, or the ledger makes it."""
        self.submitted += 1
        body = self._bodies_of_names.get(name)
        if body is None:
            body = self.make(name, size, expires_at_ms)
        digest = body.hash
        self._bodies_of_names[name] = body
        self._names[digest] = name
        self._bodies[digest] = body
        self.pending[digest] = Pending(body, home)
        return body

    def name_of(self, digest: bytes) -> str:
        """Return the name of a transaction."""
        return self._names[digest]

    def try_once(self, digest: bytes) -> None:
        """Submit a transaction and do not look back: a flood waits for no fate."""
        self._nodes[self.pending.pop(digest).home].submit(digest)

    def begin(self, digest: bytes) -> None:
        """Submit a transaction, and again until its fate is told."""
        self._try(digest)

    def _try(self, digest: bytes) -> None:
        pending = self.pending.get(digest)
        if pending is None:
            return
        pending.attempts += 1
        asked = [pending.home]
        if pending.attempts > 1:
            asked = self._pick(digest, pending)
        taken = [self._nodes[node].submit(digest) for node in asked]
        self._scheduler.after(RETRY_NS if any(taken) else BUSY_NS, self._try, digest)

    def _pick(self, digest: bytes, pending: Pending) -> list[int]:
        """Return W nodes to ask next (rule 37); where members come and go, one that is one now."""
        count = len(self._nodes)
        first = digest[pending.attempts % len(digest)] % count
        if not self.do_members_change:
            return [(first + step) % count for step in range((count - 1) // 3 + 1)]
        around = ((first + step) % count for step in range(count))
        others = (node for node in around if node != pending.home and self._nodes[node].is_voter)
        return [next(others, first)]

    def on_fate(self, digest: bytes) -> bool:
        """Take a certified fate; False if the client has heard it before."""
        pending = self.pending.pop(digest, None)
        if pending is None:
            return False
        self.acknowledged += 1
        return True

    def get_waiting(self, wall_ms: int) -> int:
        """Return how many transactions that have not expired still wait for their fate."""
        return sum(item.body.expires_at_ms > wall_ms for item in self.pending.values())
