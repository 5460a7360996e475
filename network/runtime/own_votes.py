"""Whether this node may vote under a key: only with its whole record of votes (rule 46, F46, F60).

A home that was restored, copied or rolled back does not know all that its key has signed, and might
contradict it. Three things may know better, each of them is asked, and one is enough to refuse:

    the vote log    missing, damaged or behind its guard (`ledger.storage.vote_log`)
    the database    each block is stored with the number of the last record in the vote log, so a
                    log that was put back alone, or made anew, ends before that number
    the others      before a key's first vote in the life of a process, Q−1 other members are asked
                    for the last messages of the key that they hold; with fewer in reach nothing can
                    be decided anyway. What they show is signed by the key itself, so nobody can lie
                    a member out of its votes

What was signed is known here if it is in the log, or if it is about a block that was stored here
while the key voted: of a CHECKPOINT any such block, of other votes one that is certified. Blocks
that the node takes in while it only follows speak for nothing, or a home that was rolled back would
look whole once it has caught up. A refused key never votes again from this home, and that stands in
its database; the node votes under a new key from the height at which a member change makes it
active.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from consensus.log import (
    AcceptedRecord,
    NewViewRecord,
    PreparedRecord,
    ViewChangeRecord,
    VoteRecord,
)
from consensus.messages import (
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    SignedMessage,
    ViewChange,
)
from consensus.verification import signed_bytes
from consensus.wire import decode_message, encode_message
from ledger.chain.certificate import Certificate
from ledger.encoding import decode, encode
from ledger.errors import Code, CreditLedgerError, RemoteError, StorageError
from ledger.keys import verify
from ledger.storage.chain_store import ChainStore
from network.runtime.history import EpochHistory

ANCHOR_KEY = b"nV"  # this node's own fact beside the chain: nothing that others would have too
REFUSED_KEY = ANCHOR_KEY + b"refused"
CERTIFICATES_LOOKED_AT = 64
SIGNED: tuple[type[SignedMessage], ...] = (
    PrePrepare,
    Prepare,
    Commit,
    Checkpoint,
    ViewChange,
    NewView,
)
_Subject: TypeAlias = tuple[int, int, int, bytes]


def anchor_write(node_key: bytes, number: int, height: int) -> dict[bytes, bytes | None]:
    """Return the write that ties block `height` to the vote log as it is: its last number."""
    return {ANCHOR_KEY + node_key[:8]: encode((node_key, number, height))}


def refusal_write(node_key: bytes, text: str) -> dict[bytes, bytes | None]:
    """Return the write that keeps a refusal: once it has caught up, nothing would show it again."""
    return {REFUSED_KEY + node_key[:8]: encode((node_key, text))}


def check_refused(kept: bytes | None, node_key: bytes) -> None:
    """Raise `StorageError` (6204) if the key was refused in this home before."""
    if kept is not None:
        value = decode(kept)
        if type(value) is tuple and value[0] == node_key:
            raise StorageError(Code.VOTES_FORGOTTEN, str(value[1]))


def check_anchor(anchor: bytes | None, node_key: bytes, number: int) -> int | None:
    """Return the height up to which this home has voted under the key, None if it never has.

    Raise `StorageError` (6204) if the vote log ends before what that block has seen of it.
    """
    value = None if anchor is None else decode(anchor)
    if type(value) is not tuple or value[0] != node_key:
        return None
    _, seen, height = value
    if seen > number:
        raise forgotten(
            f"the vote log ends with record {number}, the database has seen record {seen}"
        )
    return int(height)


def forgotten(what: str) -> StorageError:
    """Return the refusal of a home that does not know all its key has signed."""
    return StorageError(
        Code.VOTES_FORGOTTEN,
        f"this home does not remember all its votes: {what}; this key must not vote again, "
        "rejoin under a new key",
    )


@dataclass(slots=True)
class Remembered:
    """What a home remembers of one key's votes: its log, and how far its chain goes.

    A CHECKPOINT is not logged: it follows from the block. Whoever gave one for a height had the
    PREPARED record of it in the log before, so the log speaks for it even where the database has
    lost the block and was repaired without it.
    """

    height: int
    certified_height: int
    accepted: set[_Subject] = field(default_factory=set)
    prepared: set[_Subject] = field(default_factory=set)
    view: tuple[int, int] = (0, 0)
    prepared_height: int = 0

    @classmethod
    def of(cls, records: Sequence[VoteRecord], height: int, certified_height: int) -> Remembered:
        """Return what follows from the records of a log and the ends of the chain beside it."""
        remembered = cls(height, certified_height)
        for record in records:
            remembered._add(record)
        return remembered

    def _add(self, record: VoteRecord) -> None:
        if isinstance(record, AcceptedRecord):
            accepted = record.pre_prepare
            self.accepted.add((accepted.epoch, accepted.view, accepted.height, accepted.digest))
        elif isinstance(record, PreparedRecord):
            proof = record.proof
            self.prepared.add((record.epoch, proof.view, proof.height, proof.digest))
            self.prepared_height = max(self.prepared_height, proof.height)
        elif isinstance(record, ViewChangeRecord):
            change = record.view_change
            self.view = max(self.view, (change.epoch, change.view))
        elif isinstance(record, NewViewRecord):
            opened = record.new_view
            self.view = max(self.view, (opened.epoch, opened.view))
            for proposal in opened.proposals:
                self.accepted.add((opened.epoch, opened.view, proposal.height, proposal.digest))

    def check(self, message: SignedMessage) -> None:
        """Raise `StorageError` (6204) if the key has signed `message` and this home forgot it."""
        name = type(message).__name__
        if isinstance(message, Checkpoint):
            if message.height > max(self.height, self.prepared_height):
                raise forgotten(
                    f"it signed a {name} of block {message.height}, the chain here ended at block "
                    f"{self.height}"
                )
        elif isinstance(message, ViewChange | NewView):
            if (message.epoch, message.view) > self.view:
                raise forgotten(f"it signed a {name} for view {message.view}")
        elif message.height > self.certified_height:
            subject = (message.epoch, message.view, message.height, message.digest)
            known = self.prepared if isinstance(message, Commit) else self.accepted
            if subject not in known:
                raise forgotten(f"it signed a {name} of block {message.height} that is not here")


class HeardVotes:
    """The last messages of each key that came in, to be shown to a home that has lost them."""

    def __init__(self) -> None:
        self._last: dict[bytes, dict[type, SignedMessage]] = {}

    def add(self, key: bytes, message: Message) -> None:
        """Keep a verified message if it is the furthest of its kind that `key` signed."""
        if isinstance(message, SIGNED):
            table = self._last.setdefault(key, {})
            known = table.get(type(message))
            if known is None or _place(known) < _place(message):
                table[type(message)] = message

    def of(self, key: bytes) -> list[SignedMessage]:
        """Return the furthest message of each kind."""
        return list(self._last.get(key, {}).values())


def _place(message: SignedMessage) -> tuple[int, int, int]:
    if isinstance(message, ViewChange | NewView):
        return (message.epoch, message.view, 0)
    view = 0 if isinstance(message, Checkpoint) else message.view
    return (message.epoch, message.height, view)


def certified_vote(chain: ChainStore, history: EpochHistory, key: bytes) -> Checkpoint | None:
    """Return the last CHECKPOINT of `key` in the certificates of the newest blocks."""
    last = chain.last_certificate()
    height = 0 if last is None else last.height
    for number in range(height, max(0, height - CERTIFICATES_LOOKED_AT), -1):
        certificate = chain.certificate(number)
        vote = None if certificate is None else vote_in(certificate, history, key)
        if vote is not None:
            return vote
    return None


def vote_in(certificate: Certificate, history: EpochHistory, key: bytes) -> Checkpoint | None:
    """Return the CHECKPOINT of `key` in a certificate, if it is one of its signers."""
    keys = [held for _, held in history.validators(certificate.epoch)]
    for signer, signature in certificate.votes:
        if signer < len(keys) and keys[signer] == key:
            return Checkpoint(
                certificate.epoch, certificate.height, certificate.block_hash, signer, signature
            )
    return None


def read_shown(data: bytes, chain_id: bytes, key: bytes, sender: str) -> SignedMessage:
    """Return a message that a peer shows as signed by `key`; raise `RemoteError` if it is not."""
    try:
        message = decode_message(data)
        if not isinstance(message, SIGNED):
            raise RemoteError(sender, Code.PEER_PROTOCOL, "shows what nobody signs")
        verify(key, message.signature, signed_bytes(message, chain_id))
    except CreditLedgerError as error:
        raise RemoteError(sender, error.code, f"shows a vote: {error.message}") from None
    return message


def encode_shown(messages: Sequence[SignedMessage]) -> tuple[bytes, ...]:
    """Return messages as `KnownVotes` carries them."""
    return tuple(encode_message(message) for message in messages)
