"""From the project's messages and records to the plain tuples of the reference model.

This is the only part that knows both sides. It copies fields and decides nothing.
"""

from __future__ import annotations

from typing import Any

from consensus.log import AcceptedRecord, NewViewRecord, PreparedRecord, VoteRecord
from consensus.messages import (
    Checkpoint,
    Commit,
    EpochChanges,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    StableCertificate,
    ViewChange,
    view_change_hash,
)
from ledger.chain.batch import null_batch
from ledger.chain.certificate import Certificate
from tests.reference.model import NULL

_VOTES = {PrePrepare: "pre-prepare", Prepare: "prepare", Commit: "commit"}


class Translator:
    """Translates for one chain; the null digests of heights are known by it."""

    def __init__(self, chain_id: bytes) -> None:
        self._chain_id = chain_id
        self._null: dict[int, bytes] = {}

    def digest(self, height: int, digest: bytes) -> Any:
        """Return a digest, or `NULL` for that of the height's null batch."""
        null = self._null.get(height)
        if null is None:
            null = self._null[height] = null_batch(height).digest(self._chain_id)
        return NULL if digest == null else digest

    def messages(self, message: Any) -> list[tuple[Any, ...]]:
        """Return what a message holds of the protocol: one vote, some certificates, or nothing."""
        if isinstance(message, EpochChanges):
            return [certificate_tuple(change.certificate) for change in message.changes]
        plain = self._message(message)
        return [] if plain is None else [plain]

    def _message(self, message: Any) -> tuple[Any, ...] | None:
        if isinstance(message, PrePrepare | Prepare | Commit):
            digest = self.digest(message.height, message.digest)
            place = (message.epoch, message.view, message.height, digest)
            return (_VOTES[type(message)], *place, message.signer)
        if isinstance(message, Checkpoint):
            place = (message.epoch, message.height, message.block_hash)
            return ("checkpoint", *place, message.signer)
        if isinstance(message, ViewChange):
            return self._view_change(message)
        if isinstance(message, NewView):
            opening = tuple(
                (item.height, self.digest(item.height, item.digest)) for item in message.proposals
            )
            place = (message.epoch, message.view, message.view_changes)
            return ("new-view", *place, opening, message.signer)
        if isinstance(message, StableCertificate):
            return certificate_tuple(message.certificate)
        return None

    def _view_change(self, message: ViewChange) -> tuple[Any, ...]:
        certificate = None
        if message.certificate is not None:
            certificate = certificate_tuple(message.certificate)
        proofs = tuple(
            (*self._proof(proof), tuple(signer for signer, _ in proof.prepares))
            for proof in message.prepared
        )
        place = (message.epoch, message.view, message.stable_height, certificate, proofs)
        return ("view-change", *place, message.signer, view_change_hash(message))

    def _proof(self, proof: PreparedProof) -> tuple[Any, ...]:
        return proof.view, proof.height, self.digest(proof.height, proof.digest)

    def record(self, record: VoteRecord) -> tuple[Any, ...]:
        """Return a record."""
        if isinstance(record, AcceptedRecord):
            message = record.pre_prepare
            digest = self.digest(message.height, message.digest)
            return ("accepted", message.epoch, message.view, message.height, digest)
        if isinstance(record, PreparedRecord):
            signers = tuple(signer for signer, _ in record.proof.prepares)
            return ("prepared", record.epoch, *self._proof(record.proof), signers)
        if isinstance(record, NewViewRecord):
            changes = tuple(self._view_change(item) for item in record.view_changes)
            return ("entered", self._message(record.new_view), changes)
        return ("left", self._view_change(record.view_change))


def certificate_tuple(certificate: Certificate) -> tuple[Any, ...]:
    """Return a certificate."""
    signers = tuple(signer for signer, _ in certificate.votes)
    return (
        "certificate",
        certificate.epoch,
        certificate.height,
        certificate.block_hash,
        signers,
    )
