"""One replica: the single entry through which events go in and effects come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from consensus.config import ReplicaConfig
from consensus.effects import Effect
from consensus.events import ChainHead, Clock, Event
from consensus.log import VoteRecord

Signer: TypeAlias = Callable[[bytes], bytes]


class Replica:
    """A member's replica. Deterministic: same events and clocks, same effects, byte for byte.

    `sign` returns the 64-byte Ed25519 signature of its argument under the member's key; it is
    called only for bytes that begin with the vote domain (rule 5).
    """

    def __init__(self, config: ReplicaConfig, sign: Signer, head: ChainHead) -> None:
        self._config = config
        self._sign = sign
        self._head = head

    @classmethod
    def restore(
        cls,
        config: ReplicaConfig,
        sign: Signer,
        records: Iterable[VoteRecord],
        head: ChainHead,
        now: Clock,
    ) -> tuple[Replica, list[Effect]]:
        """Return the replica of a home and its first effects; no records: a new home.

        It can contradict nothing that follows from `records` (rule 44). The shell then delivers
        `RequestReceived` for every body that it holds and that is not in a block.
        """
        raise NotImplementedError

    def handle(self, event: Event, now: Clock) -> list[Effect]:
        """Process one event to completion and return what is to be done, in order."""
        raise NotImplementedError

    @property
    def view(self) -> int:
        """Return the current view, or the one that a view change is for."""
        raise NotImplementedError

    @property
    def is_normal(self) -> bool:
        """Tell whether the replica is in the normal case of its view."""
        raise NotImplementedError

    @property
    def executed_height(self) -> int:
        """Return the height of the last executed or installed block."""
        raise NotImplementedError

    @property
    def stable_height(self) -> int:
        """Return the height of the last stable checkpoint."""
        raise NotImplementedError

    @property
    def pending_count(self) -> int:
        """Return how many requests are held and not executed."""
        raise NotImplementedError

    def free_places(self, member: int) -> int:
        """Return how many places `member` has left; the gateway answers BUSY at none (rule 22)."""
        raise NotImplementedError
