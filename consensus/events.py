"""What happened: the only things that a replica is told (DESIGN 2). Past tense, frozen.

The shell delivers events one at a time, each with a `Clock`. Signatures have been verified before
`MessageReceived` is made (`consensus.messages.signature_items` lists them), bodies before
`RequestReceived`. An event that was lost is never needed for safety: timers bring the replica back
to asking.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from consensus.epochs import EpochView
from consensus.messages import Message
from ledger.chain.certificate import Certificate


class Clock(NamedTuple):
    """The two clocks at the moment of an event: monotonic ns, and wall time in ms (rule 15)."""

    monotonic_ns: int
    wall_ms: int


class Timer(StrEnum):
    """The timers of a replica; each runs at most once at a time, setting it again replaces it."""

    BATCH = "batch"
    REQUEST = "request"
    NEW_VIEW = "new_view"
    STATUS = "status"
    IDLE = "idle"
    HELD = "held"
    CATCH_UP = "catch_up"


@dataclass(frozen=True, slots=True)
class Request:
    """A transaction whose verified body this node holds.

    `hash` is that of the signed bytes (rule 17). `size` in bytes covers all that its execution
    reads. `origin` is the member over whose link the body came: the own index for a client's. It
    is the link that counts, not what a message claims, because places are kept by it (rule 22).
    """

    hash: bytes
    size: int
    expires_at_ms: int
    origin: int


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A body is here, verified at the door and not executed before, and kept by the shell.

    `is_local`: a client gave it to this node, and the shell is spreading it to all members now.
    The shell delivers it again, with the link's member as origin, when another member relays a
    body that is already held.
    """

    request: Request
    is_local: bool


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The body behind `hash` breaks rule 17 (form, size, chain, signature): never ordered."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """`message` came over the link of member `sender`, its signatures verified.

    The signer inside may be another member: VIEW-CHANGE and NEW-VIEW are passed on.
    """

    sender: int
    message: Message


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A link to member `peer` is up (again): rule 28 sends it a STATUS at once."""

    peer: int


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """A timer that was set and not cancelled or replaced since has run out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class BatchExecuted:
    """The batch of the last `Execute` is executed and its block is durable.

    `time_ms` is the header's time; `executed` are the hashes of the block's transactions; `epochs`
    is what its `members_root` commits to: who votes at the next height, and what is pending.
    """

    height: int
    block_hash: bytes
    time_ms: int
    executed: tuple[bytes, ...]
    epochs: EpochView


@dataclass(frozen=True, slots=True)
class BlockInstalled:
    """A fetched block was verified up to a certificate, executed, and is durable.

    Heights come one by one, without a gap. `certificate` is the block's own, where it came along.
    `epochs` is as in `BatchExecuted`.
    """

    height: int
    block_hash: bytes
    batch_digest: bytes
    time_ms: int
    executed: tuple[bytes, ...]
    certificate: Certificate | None
    epochs: EpochView


@dataclass(frozen=True, slots=True)
class StateInstalled:
    """A snapshot was proved and installed whole: the own chain begins there now (rule 41).

    `certificate` is that of its block and durable; `epochs` is as in `BatchExecuted`. What was
    executed here before is gone. The vote log is as it was.
    """

    certificate: Certificate
    epochs: EpochView


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """The fetch up to `to_height`, of blocks or a state, has ended in vain: no source helped."""

    to_height: int


Event: TypeAlias = (
    RequestReceived
    | RequestRefused
    | MessageReceived
    | PeerConnected
    | TimerExpired
    | BatchExecuted
    | BlockInstalled
    | StateInstalled
    | FetchFailed
)


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block in the chain of this node, as `ChainHead.recent` lists it."""

    height: int
    block_hash: bytes
    batch_digest: bytes


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where the chain of this node ends when a replica is made.

    `certificate` is the highest stored one (None: only genesis is stable). `recent` are the
    executed blocks above it, in order: their CHECKPOINTs are signed again, byte for byte. `epochs`
    is what the last block, or genesis, commits to.
    """

    height: int
    block_hash: bytes
    time_ms: int
    certificate: Certificate | None
    recent: tuple[ExecutedBlock, ...]
    epochs: EpochView
