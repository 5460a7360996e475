"""What must hold of a message before a replica sees it: cheap checks, then signatures (rule 48).

`check_message` holds a message against the epoch: signers are members, the primary is the view's,
and a VIEW-CHANGE proves what it claims by certificates of the right size (rule 25).
`signature_items` lists every signature in it. The shell verifies them in worker threads, charges
what fails to the sender, remembers what it has verified, and only then delivers the message.
"""

from __future__ import annotations

from typing import TypeAlias

from consensus.config import ReplicaConfig
from consensus.messages import (
    COMMIT_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    Checkpoint,
    Commit,
    EpochChanges,
    Message,
    NewView,
    Prepare,
    PreparedProof,
    PrePrepare,
    SignedMessage,
    StableCertificate,
    ViewChange,
    malformed,
    new_view_input,
    view_change_input,
    vote_input,
)
from ledger.chain.certificate import Certificate, checkpoint_signing_input, quorum
from ledger.chain.epochs import EpochSet

SignatureItem: TypeAlias = tuple[bytes, bytes, bytes]


def check_message(message: Message, config: ReplicaConfig) -> None:
    """Raise `Refused` (4001) for what no member of this epoch can rightly say (rules 7, 25, 48).

    These are the cheap checks, made before any signature is verified; they also bound how many
    signatures `signature_items` lists. A message of another epoch passes: it is never counted.
    """
    if message.epoch != config.epoch:
        return
    signer = getattr(message, "signer", 0)
    if signer >= config.size:
        raise malformed(f"signer {signer} of {config.size} members")
    if isinstance(message, PrePrepare | NewView) and signer != config.primary(message.view):
        raise malformed(f"member {signer} is not the primary of view {message.view}")
    if isinstance(message, Prepare) and signer == config.primary(message.view):
        raise malformed("prepare from the primary of its view")
    if isinstance(message, NewView):
        _check_new_view(message, config)
    elif isinstance(message, ViewChange):
        _check_view_change(message, config)
    elif isinstance(message, StableCertificate):
        _check_certificate(message.certificate, config)
    elif isinstance(message, EpochChanges):
        _check_epoch_changes(message, config)


def _check_certificate(certificate: Certificate, config: ReplicaConfig) -> None:
    if certificate.epoch != config.epoch or certificate.height <= _get_first_stable(config):
        raise malformed("certificate is not of this epoch, or of genesis")
    _check_votes(certificate, config.members)


def _get_first_stable(config: ReplicaConfig) -> int:
    """Return the height that is stable as the epoch begins: a − 1, or genesis."""
    return 0 if config.previous is None else config.previous.last_height


def _check_votes(certificate: Certificate, members: tuple[bytes, ...]) -> None:
    want = quorum(len(members))
    if len(certificate.votes) != want:
        raise malformed(f"certificate has {len(certificate.votes)} votes, want {want}")
    if certificate.votes[-1][0] >= len(members):
        raise malformed("certificate signer is no member")


def _check_shown_certificate(certificate: Certificate, config: ReplicaConfig) -> None:
    """Check the certificate in a VIEW-CHANGE: of this epoch, or of the last block before it."""
    previous = config.previous
    if previous is None or certificate.height != previous.last_height:
        _check_certificate(certificate, config)
    elif certificate.epoch != config.epoch - 1:
        raise malformed("certificate of the last block before this epoch is of another epoch")
    else:
        _check_votes(certificate, previous.members)


def _check_epoch_changes(message: EpochChanges, config: ReplicaConfig) -> None:
    """Check all but the signatures of a chain of changes that begins in this epoch (rule 2)."""
    members, height = config.members, _get_first_stable(config)
    for number, change in enumerate(message.changes):
        header, certificate = change.header, change.certificate
        is_linked = (
            header.chain_id == config.chain_id
            and header.epoch == certificate.epoch == config.epoch + number
            and header.height == certificate.height > height
            and header.hash() == certificate.block_hash
            and header.members_root == EpochSet(change.epoch, change.validators).root()
        )
        if not is_linked:
            raise malformed(f"epoch change {number} does not follow from the epoch before it")
        _check_votes(certificate, members)
        members, height = tuple(key for _, key in change.validators), header.height


def _check_view_change(message: ViewChange, config: ReplicaConfig) -> None:
    if message.view < 1:
        raise malformed("view change to view 0")
    certificate = message.certificate
    if (certificate.height if certificate else 0) != message.stable_height:
        raise malformed("checkpoint height of a view change differs from its certificate's")
    if certificate is not None:
        _check_shown_certificate(certificate, config)
    elif config.previous is not None:
        raise malformed("view change without the certificate of the last block before its epoch")
    for proof in message.prepared:
        if proof.height > message.stable_height + config.limits.window:
            raise malformed("proof in a view change is outside the window")
        if len(proof.prepares) != config.quorum - 1:
            raise malformed(f"proof has {len(proof.prepares)} prepares, want {config.quorum - 1}")
        signers = [signer for signer, _ in proof.prepares]
        if signers[-1] >= config.size or config.primary(proof.view) in signers:
            raise malformed("prepare in a proof is not from a backup of its view")


def _check_new_view(message: NewView, config: ReplicaConfig) -> None:
    if message.view < 1:
        raise malformed("new view 0")
    if len(message.view_changes) != config.quorum:
        raise malformed(
            f"new view names {len(message.view_changes)} view changes, want {config.quorum}"
        )
    if message.view_changes[-1][0] >= config.size:
        raise malformed("view change named in a new view is from no member")
    if len(message.proposals) > config.limits.window:
        raise malformed("new view proposes more than a window")


def signature_items(message: Message, config: ReplicaConfig) -> list[SignatureItem]:
    """Return every (public key, signature, signed bytes) that must verify before delivery.

    Raises `Refused` (4001) as `check_message` does. A message of another epoch has none, because
    it is never counted (rule 2). The shell may skip triples that it has verified before.
    """
    check_message(message, config)
    if message.epoch != config.epoch:
        return []
    keys, chain_id = config.members, config.chain_id
    if isinstance(message, Prepare | Commit | PrePrepare | Checkpoint):
        return [(keys[message.signer], message.signature, signed_bytes(message, chain_id))]
    if isinstance(message, StableCertificate):
        return certificate_items(message.certificate, config)
    if isinstance(message, EpochChanges):
        return _epoch_changes_items(message, config)
    if isinstance(message, ViewChange):
        return _view_change_items(message, config)
    if isinstance(message, NewView):
        return _new_view_items(message, config)
    return []


def signed_bytes(message: SignedMessage, chain_id: bytes) -> bytes:
    """Return what the signer of a message has signed (rule 5); a batch only by its digest."""
    if isinstance(message, Checkpoint):
        return checkpoint_signing_input(
            chain_id, message.epoch, message.height, message.block_hash, message.signer
        )
    if isinstance(message, ViewChange):
        return view_change_input(chain_id, message)
    if isinstance(message, NewView):
        return new_view_input(chain_id, message)
    return vote_input(
        chain_id,
        _VOTE_KINDS[type(message)],
        message.epoch,
        message.view,
        message.height,
        message.digest,
        message.signer,
    )


_VOTE_KINDS: dict[type, str] = {
    PrePrepare: PRE_PREPARE_KIND,
    Prepare: PREPARE_KIND,
    Commit: COMMIT_KIND,
}


def certificate_items(certificate: Certificate, config: ReplicaConfig) -> list[SignatureItem]:
    """Return the signatures of a certificate of this epoch, or of the one before (rule 18)."""
    is_previous = config.previous is not None and certificate.epoch < config.epoch
    members = config.previous.members if is_previous and config.previous else config.members
    return _certificate_items(certificate, config.chain_id, members)


def _certificate_items(
    certificate: Certificate, chain_id: bytes, members: tuple[bytes, ...]
) -> list[SignatureItem]:
    epoch, height, digest = certificate.epoch, certificate.height, certificate.block_hash
    return [
        (
            members[signer],
            signature,
            checkpoint_signing_input(chain_id, epoch, height, digest, signer),
        )
        for signer, signature in certificate.votes
    ]


def _epoch_changes_items(message: EpochChanges, config: ReplicaConfig) -> list[SignatureItem]:
    """Each certificate under the keys of the epoch that the change before it proves."""
    items, members = [], config.members
    for change in message.changes:
        items += _certificate_items(change.certificate, config.chain_id, members)
        members = tuple(key for _, key in change.validators)
    return items


def _view_change_items(message: ViewChange, config: ReplicaConfig) -> list[SignatureItem]:
    signed = view_change_input(config.chain_id, message)
    items = [(config.members[message.signer], message.signature, signed)]
    if message.certificate is not None:
        items += certificate_items(message.certificate, config)
    for proof in message.prepared:
        items += _proof_items(proof, config)
    return items


def _proof_items(proof: PreparedProof, config: ReplicaConfig) -> list[SignatureItem]:
    chain_id, epoch = config.chain_id, config.epoch
    vote = (proof.view, proof.height, proof.digest)
    primary = config.primary(proof.view)
    signed = vote_input(chain_id, PRE_PREPARE_KIND, epoch, *vote, primary)
    items = [(config.members[primary], proof.pre_prepare_signature, signed)]
    for signer, signature in proof.prepares:
        signed = vote_input(chain_id, PREPARE_KIND, epoch, *vote, signer)
        items.append((config.members[signer], signature, signed))
    return items


def _new_view_items(message: NewView, config: ReplicaConfig) -> list[SignatureItem]:
    key, chain_id = config.members[message.signer], config.chain_id
    items = [(key, message.signature, new_view_input(chain_id, message))]
    for item in message.proposals:
        signed = vote_input(
            chain_id,
            PRE_PREPARE_KIND,
            message.epoch,
            message.view,
            item.height,
            item.digest,
            message.signer,
        )
        items.append((key, item.signature, signed))
    return items
