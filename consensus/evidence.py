"""Evidence: two signed messages of one member of which an honest one signs at most one (rule 50).

A member says one thing about one subject: one PRE-PREPARE, PREPARE and COMMIT for an (epoch, view,
height), one CHECKPOINT for an (epoch, height), one VIEW-CHANGE and one NEW-VIEW for an (epoch,
view). Two messages about one subject that differ in what is signed, each with a valid signature of
one vote key, prove that whoever holds this key lied, lost its votes and went on, or runs two nodes
with it (F4, F45); nothing else is needed, and nobody else can make them. That a member voted where
it had no part in it, or that what it showed proves nothing, is not asked here.

A piece of evidence names the chain and the members' vote keys in their order, so that it speaks for
itself; but `verify_evidence` believes neither and compares both with what its caller trusts. The
two messages stand in the order of their bytes: every node makes the same bytes, and so the same
`evidence_hash`, of one contradiction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from consensus.effects import Evidence
from consensus.messages import (
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    SignedMessage,
    ViewChange,
    view_change_hash,
)
from consensus.verification import signed_bytes
from consensus.wire import encode_message, message_from_value, message_value
from ledger.chain.certificate import MAX_MEMBERS, Certificate
from ledger.chain.hashes import HASH_BYTES, tagged_hash
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from ledger.keys import PUBLIC_KEY_BYTES, verify

FORMAT = "creditledger/evidence/1"
# Two messages as large as a window of a thousand members makes them (rule 29), and their keys.
EVIDENCE_BYTES_MAX = 3 * 512 * 1024
EVIDENCE_ITEMS_MAX = 65_536
_TAG = FORMAT.encode()
_NAMES: dict[type, str] = {
    PrePrepare: "PRE-PREPARE",
    Prepare: "PREPARE",
    Commit: "COMMIT",
    Checkpoint: "CHECKPOINT",
    ViewChange: "VIEW-CHANGE",
    NewView: "NEW-VIEW",
}
VerifySignature = Callable[[bytes, bytes, bytes], None]


class Subject(NamedTuple):
    """What a message is about: a member signs one message of each (rules 8, 18, 23 and 29)."""

    kind: str
    epoch: int
    view: int | None
    height: int | None

    def __str__(self) -> str:
        parts = (("height", self.height), ("view", self.view), ("epoch", self.epoch))
        return ", ".join(f"{name} {number}" for name, number in parts if number is not None)


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """Evidence as it is kept and handed on; `members` are the epoch's vote keys, in their order."""

    chain_id: bytes
    epoch: int
    members: tuple[bytes, ...]
    signer: int
    first: SignedMessage
    second: SignedMessage

    def __post_init__(self) -> None:
        _check_bytes("chain id", self.chain_id, HASH_BYTES)
        if type(self.members) is not tuple or not 1 <= len(self.members) <= MAX_MEMBERS:
            raise _invalid(f"members are not a list of 1 to {MAX_MEMBERS} keys")
        for key in self.members:
            _check_bytes("member key", key, PUBLIC_KEY_BYTES)
        if type(self.signer) is not int or not 0 <= self.signer < len(self.members):
            raise _invalid(f"signer is none of {len(self.members)} members")
        if type(self.epoch) is not int:
            raise _invalid("epoch is not a number")
        for message in (self.first, self.second):
            if not isinstance(message, get_args(SignedMessage)):
                raise _invalid(f"{type(message).__name__} is not a signed message")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What a piece of evidence proves: `signer` is the index of the member, `key` its vote key."""

    signer: int
    key: bytes
    subject: Subject
    statement: str


def _invalid(text: str) -> Refused:
    return Refused(Code.EVIDENCE_INVALID, text)


def _check_bytes(name: str, value: object, length: int) -> None:
    if type(value) is not bytes or len(value) != length:
        raise _invalid(f"{name} is not {length} bytes")


def subject_of(message: SignedMessage) -> Subject:
    """Return what a message is about."""
    view = None if isinstance(message, Checkpoint) else message.view
    height = None if isinstance(message, ViewChange | NewView) else message.height
    return Subject(_NAMES[type(message)], message.epoch, view, height)


def compute_content(message: SignedMessage, chain_id: bytes) -> bytes:
    """Return the 32 bytes by which a statement names what was signed."""
    if isinstance(message, Checkpoint):
        return message.block_hash
    if isinstance(message, ViewChange):
        return view_change_hash(message)
    if isinstance(message, NewView):
        return tagged_hash(_TAG, signed_bytes(message, chain_id))
    return message.digest


def contradicting_checkpoints(first: Certificate, second: Certificate) -> list[Evidence]:
    """Return what two certificates of one height prove: who signed both of two blocks (F40).

    Two quorums share at least W members, so of two valid certificates somebody is always named.
    Empty when they certify the same block, or are of different heights or epochs.
    """
    if (first.epoch, first.height) != (second.epoch, second.height):
        return []
    if first.block_hash == second.block_hash:
        return []
    own, other = dict(first.votes), dict(second.votes)
    return [
        Evidence(
            signer,
            Checkpoint(first.epoch, first.height, first.block_hash, signer, own[signer]),
            Checkpoint(second.epoch, second.height, second.block_hash, signer, other[signer]),
        )
        for signer in sorted(own.keys() & other.keys())
    ]


def make_evidence(found: Evidence, chain_id: bytes, members: Sequence[bytes]) -> EvidenceRecord:
    """Return what a replica found in the form in which it is kept.

    The shell has verified the signatures before the replica saw the messages. Raises `Refused`
    (4005) for two messages that do not contradict each other.
    """
    first, second = sorted((found.first, found.second), key=encode_message)
    epoch = found.first.epoch
    record = EvidenceRecord(chain_id, epoch, tuple(members), found.signer, first, second)
    _check_contradiction(record)
    return record


def encode_evidence(record: EvidenceRecord) -> bytes:
    """Return the canonical bytes."""
    messages = (message_value(record.first), message_value(record.second))
    fields = (record.chain_id, record.epoch, record.members, record.signer)
    return encode((FORMAT, *fields, *messages))


def decode_evidence(data: bytes) -> EvidenceRecord:
    """Return the evidence of canonical bytes; raise `Refused` (10xx, 4005). Proves nothing yet."""
    value = decode(data, EVIDENCE_BYTES_MAX, EVIDENCE_ITEMS_MAX)
    if type(value) is not tuple or len(value) != 7 or value[0] != FORMAT:
        raise _invalid(f"not a list of 7 fields that begins with {FORMAT}")
    _, chain_id, epoch, members, signer, first, second = value
    messages = (_message("first", first), _message("second", second))
    record = EvidenceRecord(chain_id, epoch, members, signer, *messages)
    if encode_message(record.first) > encode_message(record.second):
        raise _invalid("messages are not in the order of their bytes")
    return record


def _message(name: str, value: object) -> Any:
    try:
        return message_from_value(value)
    except Refused as refused:
        raise _invalid(f"{name} message: {refused.message}") from None


def evidence_hash(data: bytes) -> bytes:
    """Return the 32 bytes that name a piece of evidence, on every node the same."""
    return tagged_hash(_TAG, data)


def verify_evidence(
    record: EvidenceRecord,
    chain_id: bytes,
    members: Sequence[bytes],
    verify_signature: VerifySignature = verify,
) -> Contradiction:
    """Return what `record` proves to whoever trusts `chain_id` and the epoch's `members`.

    `members` are the vote keys in their order. Raises `Refused` (4005) with the reason for what
    proves nothing. `verify_signature` (key, signature, signed bytes) raises for a wrong signature.
    """
    if record.chain_id != chain_id:
        raise _invalid(f"evidence is of chain {record.chain_id.hex()}, want {chain_id.hex()}")
    if record.members != tuple(members):
        raise _invalid(f"evidence names other members than the {len(members)} that are trusted")
    subject = _check_contradiction(record)
    key = record.members[record.signer]
    for name, message in (("first", record.first), ("second", record.second)):
        try:
            verify_signature(key, message.signature, signed_bytes(message, chain_id))
        except Refused:
            raise _invalid(
                f"signature of the {name} message is not of member {record.signer}"
            ) from None
    first, second = (
        compute_content(item, chain_id).hex() for item in (record.first, record.second)
    )
    statement = f"signed two {subject.kind}s for {subject}: {first} and {second}"
    return Contradiction(record.signer, key, subject, statement)


def _check_contradiction(record: EvidenceRecord) -> Subject:
    """Raise unless one member says two things about one subject; signatures are not looked at."""
    first, second = record.first, record.second
    for name, message in (("first", first), ("second", second)):
        if message.signer != record.signer:
            raise _invalid(
                f"{name} message is of member {message.signer}, want {record.signer} for both"
            )
        if message.epoch != record.epoch:
            raise _invalid(f"{name} message is of epoch {message.epoch}, want {record.epoch}")
    subject, other = subject_of(first), subject_of(second)
    if subject != other:
        raise _invalid(
            f"{subject.kind} for {subject} and {other.kind} for {other} do not contradict"
        )
    if signed_bytes(first, record.chain_id) == signed_bytes(second, record.chain_id):
        raise _invalid(f"both messages say the same: one {subject.kind} for {subject}")
    return subject
