"""What the sub-protocols of one replica share: where it is, its clocks, the effects so far.

Each sub-protocol owns its tables; this holds only what more than one of them reads. A sub-protocol
that finds the primary at fault sets `suspicion`, and `Replica` starts the view change after the
event (no sub-protocol calls back into another that holds it).

    phase        leaves by                                                   to
    NORMAL       suspicion; W VIEW-CHANGEs above the own view (rules 22, 26) VIEW_CHANGE
    NORMAL       a valid NEW-VIEW of a later view                            NORMAL, later view
    VIEW_CHANGE  the valid NEW-VIEW of its view or a later one (rule 33)     NORMAL
    VIEW_CHANGE  the new-view timer; W above (rules 26, 27); a wrong O (32)  VIEW_CHANGE, later view
    any          the last block of the epoch is executed and stable (rule 2) OVER, for good
    any          divergence, more than f faults proven (rules 21, 31, 34)    HALTED, for good
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from consensus.config import ReplicaConfig
from consensus.effects import Broadcast, Effect, Evidence, Halt, ReportDrop, ReportEvidence, Send
from consensus.events import ChainHead, Clock
from consensus.messages import Message, SignedMessage
from ledger.chain.certificate import Certificate
from ledger.errors import Code

Signer: TypeAlias = Callable[[bytes], bytes]
DOUBLINGS_MAX = 40


class Phase(StrEnum):
    """The status of a replica, in the paper's words."""

    NORMAL = "normal"
    VIEW_CHANGE = "view change"
    OVER = "over"
    HALTED = "halted"


@dataclass(slots=True)
class State:
    """The shared part of a replica.

    `stable_height` is the low water mark h: the height of the highest certificate known, executed
    here or not (rule 19). `is_executing`: an `Execute` is not answered yet. `fetch_target`: the
    height of the last `FetchBlocks` that has not ended, else 0. `failed_views` counts the view
    changes since a new transaction was executed (rule 27). `progress_ns` is when a block was last
    executed or a view entered. `last_height` is that of the last block of this epoch, once known.
    """

    config: ReplicaConfig
    sign: Signer
    now: Clock
    executed_height: int
    certificate: Certificate | None
    stable_height: int
    view: int = 0
    phase: Phase = Phase.NORMAL
    is_executing: bool = False
    fetch_target: int = 0
    failed_views: int = 0
    progress_ns: int = 0
    suspicion: str | None = None
    last_height: int | None = None
    effects: list[Effect] = field(default_factory=list)

    @classmethod
    def at_head(cls, config: ReplicaConfig, sign: Signer, head: ChainHead, now: Clock) -> State:
        """Return the state of a replica whose chain ends at `head`."""
        stable = head.certificate.height if head.certificate else 0
        return cls(
            config, sign, now, head.height, head.certificate, stable, progress_ns=now.monotonic_ns
        )

    @property
    def index(self) -> int:
        """Return the own member index."""
        return self.config.index

    @property
    def primary(self) -> int:
        """Return the primary of the current view."""
        return self.view % self.config.size

    @property
    def is_normal(self) -> bool:
        """Tell whether the replica is in the normal case."""
        return self.phase is Phase.NORMAL

    @property
    def is_primary(self) -> bool:
        """Tell whether the replica leads the current view, in the normal case."""
        return self.phase is Phase.NORMAL and self.primary == self.config.index

    @property
    def is_stopped(self) -> bool:
        """Tell whether this replica does nothing any more."""
        return self.phase in (Phase.HALTED, Phase.OVER)

    @property
    def is_behind(self) -> bool:
        """Tell whether a height is proven stable that is not executed here."""
        return self.executed_height < self.stable_height

    @property
    def high_water(self) -> int:
        """Return H = h + L, at most the last height of the epoch (rule 2)."""
        high = self.stable_height + self.config.limits.window
        return high if self.last_height is None else min(high, self.last_height)

    @property
    def timeout_ns(self) -> int:
        """Return the current timeout: T, doubled for each failed view but the first, to T_max."""
        timers = self.config.timers
        doublings = min(max(self.failed_views - 1, 0), DOUBLINGS_MAX)
        return min(timers.request_ns << doublings, timers.request_max_ns)

    @property
    def others(self) -> tuple[int, ...]:
        """Return the other members: first the primary, then upwards from the own index."""
        size, index = self.config.size, self.config.index
        ring = [(index + step) % size for step in range(1, size + 1)]
        ring = [member for member in ring if member != index]
        primary = self.primary
        return tuple(sorted(ring, key=lambda member: member != primary))

    def emit(self, effect: Effect) -> None:
        """Add an effect behind those of this event so far."""
        self.effects.append(effect)

    def send(self, to: int, message: Message) -> None:
        """Send to one other member; a message to oneself has been counted already."""
        if to != self.config.index:
            self.effects.append(Send(to, message))

    def broadcast(self, message: Message) -> None:
        """Send to all other members."""
        self.effects.append(Broadcast(message))

    def drop(self, sender: int, message: Message, reason: str) -> None:
        """Report that a message is ignored, and why."""
        self.effects.append(ReportDrop(sender, type(message).__name__, reason))

    def report_conflict(self, signer: int, first: SignedMessage, second: SignedMessage) -> None:
        """Keep two contradicting signed messages of one member as evidence (rule 50)."""
        self.effects.append(ReportEvidence(Evidence(signer, first, second)))

    def suspect(self, cause: str) -> None:
        """Ask for a view change after this event; the first cause is the one reported."""
        if self.suspicion is None and self.phase is Phase.NORMAL:
            self.suspicion = cause

    def halt(self, code: Code, reason: str) -> None:
        """Stop for good: nothing is voted, executed or answered any more."""
        if not self.is_stopped:
            self.phase = Phase.HALTED
            self.effects.append(Halt(code, reason))
