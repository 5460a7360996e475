"""What a replica wants done (DESIGN 2). Imperative, frozen; performed in order.

The contract of durability: a `Persist` is durable before any later `Send`, `Broadcast`, `Execute`
or `StoreCertificate` is performed, in the same list or in a later one (rules 43 and 45). The shell
may gather the effects of several events and sync once. All else that must come before an effect
is said at the effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from consensus.events import Timer
from consensus.log import VoteRecord
from consensus.messages import Message, SignedMessage
from ledger.chain.batch import Batch
from ledger.chain.certificate import Certificate
from ledger.errors import Code


@dataclass(frozen=True, slots=True)
class Persist:
    """Append `record` to the vote log. Nothing has to come before.

    `bodies` are the hashes whose transaction bodies must be durable in the same sync, unless they
    are in a durable block already (rule 43).
    """

    record: VoteRecord
    bodies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Send `message` to member `to`. Every earlier `Persist` must be durable."""

    to: int
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send `message` to every other member. Every earlier `Persist` must be durable."""

    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Run `timer` for `after_ns` from now, in place of its earlier setting; at once."""

    timer: Timer
    after_ns: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Stop `timer` if it runs; at once."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute `batch`, sync its block, then deliver `BatchExecuted`; never two at once.

    The block below is durable. `digest` is the batch's, for the header. The bodies are held.
    """

    batch: Batch
    digest: bytes


@dataclass(frozen=True, slots=True)
class StoreCertificate:
    """Keep `certificate` with its block, which is durable; receipts may then be given out.

    It must be durable no later than the next `PruneVotes` is performed.
    """

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class FetchRequests:
    """Find the bodies behind `hashes`: in the own pool and blocks, else at `sources`, in order.

    Each is answered by `RequestReceived` or `RequestRefused`; the same hashes are asked for again
    while they are missing. Nothing has to come before.
    """

    hashes: tuple[bytes, ...]
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FetchBlocks:
    """Fetch blocks `from_height` to `certificate.height` from `sources`, verify, execute, install.

    The chain of parent hashes must end in the block of `certificate`, whose signatures have been
    verified. Each installed block is answered by `BlockInstalled`, giving up by `FetchFailed`. A
    later `FetchBlocks` replaces this one. No `Execute` is given until it has ended.
    """

    from_height: int
    certificate: Certificate
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FetchState:
    """Fetch the newest snapshot above `above_height` that `sources` offer, and install it (41).

    It is proved by its own certificate, by members that are followed from an anchor, so `target`,
    which is known to be stable, only says how far the others are. Always answered: by
    `StateInstalled`, or by `FetchFailed` up to the height of `target`. A later `FetchBlocks` or
    `FetchState` replaces this one; until it has ended no `Execute` is given.
    """

    above_height: int
    target: Certificate
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RelayRequests:
    """Send the bodies behind `hashes` to member `to` (rule 22).

    It is this view's primary; to every other member they go from one that has left its view.
    """

    hashes: tuple[bytes, ...]
    to: int


@dataclass(frozen=True, slots=True)
class PruneVotes:
    """The vote log may drop what `log.retained(records, stable_height)` does not return.

    Every earlier `StoreCertificate` must be durable (rule 20). It may be done late, or never.
    """

    stable_height: int


@dataclass(frozen=True, slots=True)
class ForgetRequests:
    """Bodies behind `hashes` are not needed any more: in a stable block, expired, surplus.

    At once: a body that is forgotten late, behind a slow disk, may have come again meanwhile, and
    stand behind a vote (rule 20).
    """

    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two signed messages of member `signer` of which an honest one sends at most one."""

    signer: int
    first: SignedMessage
    second: SignedMessage


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """Keep `evidence` for export (rule 50). Nothing has to come before; nothing waits for it."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ReportDrop:
    """Log that a message of kind `kind` from member `sender` was dropped, with the one reason."""

    sender: int
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReportViewChange:
    """Log that this replica left for `view`, and why."""

    view: int
    cause: str


@dataclass(frozen=True, slots=True)
class ReportNewView:
    """Log that this replica entered `view`, whose primary is member `primary`."""

    view: int
    primary: int


@dataclass(frozen=True, slots=True)
class EnterEpoch:
    """This replica or observer is done: make the next one; always its last effect (rules 2, 41).

    Everything before it is performed first, and `certificate`, of the last block before `epoch`, is
    durable before the next one says anything. If the last block of the own chain names `epoch`
    (`EpochView.epoch`) and the own key is one of `members`, the next one is a replica made by
    `Replica.restore`; else an observer. Its config has index, members and `previous`; its pool is
    empty, so that bodies are delivered to it again, as after a restart, and peers are announced by
    `PeerConnected`. Events for the old one are dropped.
    """

    epoch: int
    members: tuple[bytes, ...]
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class ShowEpochs:
    """Show peer `to`, which is in the earlier `epoch`, the way out of it (rule 2).

    The shell sends `StableCertificate(epoch, c)` with the certificate c of the last block of
    `epoch`, and to an observer `EpochChanges` from `epoch` on. Nothing has to come before.
    """

    to: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop for good and tell the operator: agreement is broken (rules 21 and 31)."""

    code: Code
    reason: str


Effect: TypeAlias = (
    Persist
    | Send
    | Broadcast
    | SetTimer
    | CancelTimer
    | Execute
    | StoreCertificate
    | FetchRequests
    | FetchBlocks
    | FetchState
    | RelayRequests
    | PruneVotes
    | ForgetRequests
    | ReportEvidence
    | ReportDrop
    | ReportViewChange
    | ReportNewView
    | EnterEpoch
    | ShowEpochs
    | Halt
)
