"""What replicas say to each other, and what of it is signed.

Every message names its epoch; every vote names its signer, and the signature covers the chain, the
kind, the epoch, every field and the signer (rule 5), so none is valid in another role or on another
chain. A PRE-PREPARE signs the digest of its batch, which travels beside it. A VIEW-CHANGE is named
by `view_change_hash` in the V of a NEW-VIEW and fetched where it is missing (rule 29). STATUS and
the requests and replies are answers to one peer: the session authenticates them and nothing that
they say is ever counted as a vote.

Messages validate their form when made (F72): numbers in range, hashes of 32 bytes, signatures of
64, signers increasing. What must hold of them in an epoch, and which signatures prove them, is in
`consensus.verification`; the byte form is in `consensus.wire`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ledger.chain.batch import Batch
from ledger.chain.certificate import MAX_MEMBERS, Certificate
from ledger.chain.epochs import EpochChange
from ledger.chain.hashes import HASH_BYTES, tagged_hash
from ledger.encoding import encode
from ledger.errors import Code, Refused
from ledger.keys import SIGNATURE_BYTES, VOTE_DOMAIN, signing_input

NUMBER_MAX = 2**63 - 1
SLOTS_MAX = 4096
EPOCH_CHANGES_MAX = 16  # in one message; who is further behind asks again
BITMAP_BYTES_MAX = (MAX_MEMBERS + 7) // 8

PRE_PREPARE_KIND = "pre-prepare"
PREPARE_KIND = "prepare"
COMMIT_KIND = "commit"
VIEW_CHANGE_KIND = "view-change"
NEW_VIEW_KIND = "new-view"
VIEW_CHANGE_TAG = b"creditledger/view-change/1"


def malformed(text: str) -> Refused:
    """Return the refusal of a message whose form is wrong (4001)."""
    return Refused(Code.CONSENSUS_MALFORMED, text)


def _check_numbers(*numbers: int) -> None:
    for number in numbers:
        if type(number) is not int or not 0 <= number <= NUMBER_MAX:
            raise malformed("message number is out of range")


def _check_hash(value: bytes) -> None:
    if type(value) is not bytes or len(value) != HASH_BYTES:
        raise malformed("message hash is not 32 bytes")


def _check_signed(signer: int, signature: bytes) -> None:
    if type(signer) is not int or not 0 <= signer < MAX_MEMBERS:
        raise malformed("message signer is out of range")
    if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
        raise malformed("message signature is not 64 bytes")


def _check_list(value: object, most: int) -> None:
    if type(value) is not tuple or len(value) > most:
        raise malformed(f"message list is not a list of at most {most}")


def _check_bitmap(value: bytes) -> None:
    if type(value) is not bytes or len(value) > BITMAP_BYTES_MAX:
        raise malformed("message bitmap is too long")


@dataclass(frozen=True, slots=True)
class PrePrepare:
    """The primary assigns `batch` to its height in `view`; `digest` is the batch's."""

    epoch: int
    view: int
    digest: bytes
    signer: int
    signature: bytes
    batch: Batch

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.view)
        _check_hash(self.digest)
        _check_signed(self.signer, self.signature)

    @property
    def height(self) -> int:
        """Return the sequence number, which is the height of the batch."""
        return self.batch.height


@dataclass(frozen=True, slots=True)
class Prepare:
    """A backup accepted the proposal for (view, height)."""

    epoch: int
    view: int
    height: int
    digest: bytes
    signer: int
    signature: bytes

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.view, self.height)
        _check_hash(self.digest)
        _check_signed(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class Commit:
    """The signer holds a prepared certificate for (view, height, digest)."""

    epoch: int
    view: int
    height: int
    digest: bytes
    signer: int
    signature: bytes

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.view, self.height)
        _check_hash(self.digest)
        _check_signed(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The signer has executed block `height` and its hash is `block_hash` (rule 18)."""

    epoch: int
    height: int
    block_hash: bytes
    signer: int
    signature: bytes

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.height)
        _check_hash(self.block_hash)
        _check_signed(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class PreparedProof:
    """A prepared certificate: the primary's PRE-PREPARE signature and Q−1 PREPAREs (rule 9)."""

    view: int
    height: int
    digest: bytes
    pre_prepare_signature: bytes
    prepares: tuple[tuple[int, bytes], ...]

    def __post_init__(self) -> None:
        _check_numbers(self.view, self.height)
        _check_hash(self.digest)
        _check_signed(0, self.pre_prepare_signature)
        _check_list(self.prepares, MAX_MEMBERS)
        previous = -1
        for pair in self.prepares:
            if type(pair) is not tuple or len(pair) != 2:
                raise malformed("prepare in a proof is not a pair")
            _check_signed(*pair)
            if pair[0] <= previous:
                raise malformed("prepares in a proof are not in increasing order of signers")
            previous = pair[0]


@dataclass(frozen=True, slots=True)
class ViewChange:
    """The signer left for `view`: its stable checkpoint and what it has prepared above (rule 24).

    `certificate` is None only for `stable_height` 0, genesis. `prepared` is in order of height.
    """

    epoch: int
    view: int
    stable_height: int
    certificate: Certificate | None
    prepared: tuple[PreparedProof, ...]
    signer: int
    signature: bytes

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.view, self.stable_height)
        _check_signed(self.signer, self.signature)
        _check_list(self.prepared, SLOTS_MAX)
        previous = self.stable_height
        for proof in self.prepared:
            if proof.height <= previous:
                raise malformed("proofs in a view change are not increasing above its checkpoint")
            if proof.view >= self.view:
                raise malformed("proof in a view change is not from an earlier view")
            previous = proof.height


@dataclass(frozen=True, slots=True)
class Proposal:
    """One entry of O: the new primary's PRE-PREPARE signature over (view, height, digest)."""

    height: int
    digest: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _check_numbers(self.height)
        _check_hash(self.digest)
        _check_signed(0, self.signature)


@dataclass(frozen=True, slots=True)
class NewView:
    """The primary of `view` opens it: V named by (signer, hash), and O (rules 29 and 30)."""

    epoch: int
    view: int
    view_changes: tuple[tuple[int, bytes], ...]
    proposals: tuple[Proposal, ...]
    signer: int
    signature: bytes

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.view)
        _check_signed(self.signer, self.signature)
        _check_list(self.proposals, SLOTS_MAX)
        _check_names(self.view_changes)
        heights = [proposal.height for proposal in self.proposals]
        if heights and heights != list(range(heights[0], heights[0] + len(heights))):
            raise malformed("proposals of a new view are not consecutive")


def _check_names(names: tuple[tuple[int, bytes], ...]) -> None:
    """Check a list of (signer, hash of its VIEW-CHANGE), signers increasing."""
    _check_list(names, MAX_MEMBERS)
    previous = -1
    for pair in names:
        if type(pair) is not tuple or len(pair) != 2:
            raise malformed("name of a view change is not a pair")
        signer, digest = pair
        _check_numbers(signer)
        _check_hash(digest)
        if not previous < signer < MAX_MEMBERS:
            raise malformed("names of view changes are not in increasing order of signers")
        previous = signer


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """What the sender of a STATUS holds for one height: bit i of a bitmap is member i's vote."""

    height: int
    has_pre_prepare: bool
    prepares: bytes
    commits: bytes

    def __post_init__(self) -> None:
        _check_numbers(self.height)
        if type(self.has_pre_prepare) is not bool:
            raise malformed("slot flag is not a bool")
        _check_bitmap(self.prepares)
        _check_bitmap(self.commits)


@dataclass(frozen=True, slots=True)
class Status:
    """Where the sender is and which votes it holds, so that peers send what it lacks (rule 28).

    `slots` are the heights above `stable_height` in the current view, `checkpoints` those whose
    CHECKPOINTs it collects; `uncertified` are executed heights for which it lacks a certificate.
    """

    epoch: int
    view: int
    is_normal: bool
    stable_height: int
    executed_height: int
    slots: tuple[SlotStatus, ...]
    checkpoints: tuple[tuple[int, bytes], ...]
    view_changes: bytes
    uncertified: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.view, self.stable_height, self.executed_height)
        if type(self.is_normal) is not bool:
            raise malformed("status flag is not a bool")
        _check_list(self.slots, SLOTS_MAX)
        _check_list(self.checkpoints, SLOTS_MAX)
        _check_list(self.uncertified, SLOTS_MAX)
        for pair in self.checkpoints:
            if type(pair) is not tuple or len(pair) != 2:
                raise malformed("checkpoint in a status is not a pair")
            _check_numbers(pair[0])
            _check_bitmap(pair[1])
        _check_numbers(*self.uncertified)
        _check_bitmap(self.view_changes)


@dataclass(frozen=True, slots=True)
class StableCertificate:
    """A certificate that the peer lacks: it is behind, or a CHECKPOINT to it was lost."""

    epoch: int
    certificate: Certificate

    def __post_init__(self) -> None:
        _check_numbers(self.epoch)


@dataclass(frozen=True, slots=True)
class ViewChangeRequest:
    """Asks for the VIEW-CHANGEs that a NEW-VIEW for `view` names and the sender lacks."""

    epoch: int
    view: int
    wanted: tuple[tuple[int, bytes], ...]

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.view)
        _check_names(self.wanted)


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Asks for the batch behind a digest that a NEW-VIEW proposes."""

    epoch: int
    height: int
    digest: bytes

    def __post_init__(self) -> None:
        _check_numbers(self.epoch, self.height)
        _check_hash(self.digest)


@dataclass(frozen=True, slots=True)
class BatchReply:
    """Answers `BatchRequest`; the digest of `batch` proves it."""

    epoch: int
    batch: Batch

    def __post_init__(self) -> None:
        _check_numbers(self.epoch)


@dataclass(frozen=True, slots=True)
class EpochChanges:
    """How the members changed after `epoch`, in order: the way of an observer (rule 2).

    Each change is proven by the epoch before it, so the whole is proven by the members of `epoch`.
    """

    epoch: int
    changes: tuple[EpochChange, ...]

    def __post_init__(self) -> None:
        _check_numbers(self.epoch)
        _check_list(self.changes, EPOCH_CHANGES_MAX)
        if not self.changes:
            raise malformed("no epoch change in a list of them")


SignedMessage: TypeAlias = PrePrepare | Prepare | Commit | Checkpoint | ViewChange | NewView
Message: TypeAlias = (
    PrePrepare
    | Prepare
    | Commit
    | Checkpoint
    | ViewChange
    | NewView
    | Status
    | StableCertificate
    | ViewChangeRequest
    | BatchRequest
    | BatchReply
    | EpochChanges
)


def vote_input(
    chain_id: bytes, kind: str, epoch: int, view: int, height: int, digest: bytes, signer: int
) -> bytes:
    """Return the signed bytes of a PRE-PREPARE, PREPARE or COMMIT (rule 5)."""
    payload = encode((epoch, view, height, digest, signer))
    return signing_input(VOTE_DOMAIN, chain_id, kind, payload)


def proof_value(proof: PreparedProof) -> tuple[object, ...]:
    """Return the value to encode of a prepared certificate."""
    return (
        proof.view,
        proof.height,
        proof.digest,
        proof.pre_prepare_signature,
        proof.prepares,
    )


def view_change_payload(message: ViewChange) -> bytes:
    """Return every field of a VIEW-CHANGE but its signature, encoded."""
    certificate = None if message.certificate is None else message.certificate.to_value()
    proofs = tuple(proof_value(proof) for proof in message.prepared)
    return encode(
        (
            message.epoch,
            message.view,
            message.stable_height,
            certificate,
            proofs,
            message.signer,
        )
    )


def view_change_input(chain_id: bytes, message: ViewChange) -> bytes:
    """Return the signed bytes of a VIEW-CHANGE."""
    return signing_input(VOTE_DOMAIN, chain_id, VIEW_CHANGE_KIND, view_change_payload(message))


def view_change_hash(message: ViewChange) -> bytes:
    """Return the 32 bytes that name a VIEW-CHANGE in a NEW-VIEW; the signature is not in it."""
    return tagged_hash(VIEW_CHANGE_TAG, view_change_payload(message))


def new_view_input(chain_id: bytes, message: NewView) -> bytes:
    """Return the signed bytes of a NEW-VIEW."""
    proposals = tuple((item.height, item.digest, item.signature) for item in message.proposals)
    payload = encode((message.epoch, message.view, message.view_changes, proposals, message.signer))
    return signing_input(VOTE_DOMAIN, chain_id, NEW_VIEW_KIND, payload)
