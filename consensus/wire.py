"""The byte form of messages: a list of a type number and the fields, strictly encoded.

`decode_message` refuses (10xx, 4001) whatever `encode_message` would not have produced: wrong
counts of fields, wrong types, numbers out of range. The classes check their own form when made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from consensus import messages as m
from ledger.chain.batch import Batch
from ledger.chain.certificate import Certificate, certificate_from_value
from ledger.chain.epochs import change_from_value
from ledger.encoding import decode, encode
from ledger.errors import Refused

MESSAGE_BYTES_MAX = 8 * 1024 * 1024
MESSAGE_ITEMS_MAX = 262_144  # more than signatures of 64 bytes leave room for


def encode_message(message: m.Message) -> bytes:
    """Return the canonical bytes of a message."""
    return encode(message_value(message))


def decode_message(data: bytes) -> m.Message:
    """Return the message of canonical bytes; raise `Refused` (10xx, 4001)."""
    return message_from_value(decode(data, MESSAGE_BYTES_MAX, MESSAGE_ITEMS_MAX))


def message_value(message: m.Message) -> tuple[object, ...]:
    """Return the value that stands for a message, also inside vote records."""
    number, to_value, _ = _CODECS[type(message)]
    return (number, *to_value(message))


def message_from_value(value: object) -> m.Message:
    """Return the message of a decoded value; raise `Refused` (4001)."""
    if type(value) is not tuple or not value or type(value[0]) is not int:
        raise m.malformed("message is not a list that begins with its type")
    from_fields = _DECODERS.get(value[0])
    if from_fields is None:
        raise m.malformed(f"message type {value[0]} is unknown")
    try:
        message: m.Message = from_fields(*value[1:])
    except TypeError:
        raise m.malformed(f"message type {value[0]} has wrong fields") from None
    return message


def batch_value(batch: Batch) -> tuple[object, ...]:
    """Return the value to encode of a batch."""
    return (batch.height, batch.time_ms, batch.transactions)


def batch_from_value(value: object) -> Batch:
    """Return the batch of a decoded value; raise `Refused` (4001)."""
    height, time_ms, transactions = _fields(value, 3)
    if type(height) is not int or (time_ms is not None and type(time_ms) is not int):
        raise m.malformed("batch number has a wrong type")
    if type(transactions) is not tuple or any(type(item) is not bytes for item in transactions):
        raise m.malformed("batch transactions are not a list of hashes")
    try:
        return Batch(height, time_ms, transactions)
    except Refused as refused:
        raise m.malformed(refused.message) from None


def _fields(value: object, count: int) -> tuple[Any, ...]:
    if type(value) is not tuple or len(value) != count:
        raise m.malformed(f"part of a message is not a list of {count} fields")
    return value


def _items(value: object) -> tuple[Any, ...]:
    if type(value) is not tuple or len(value) > m.SLOTS_MAX:
        raise m.malformed(f"part of a message is not a list of at most {m.SLOTS_MAX}")
    return value


def _certificate(value: object) -> Certificate:
    try:
        return certificate_from_value(value)
    except Refused as refused:
        raise m.malformed(refused.message) from None


def proof_from_value(value: object) -> m.PreparedProof:
    """Return the prepared certificate of a decoded value; raise `Refused` (4001)."""
    return m.PreparedProof(*_fields(value, 5))


def _pre_prepare_value(x: m.PrePrepare) -> tuple[object, ...]:
    return (x.epoch, x.view, x.digest, x.signer, x.signature, batch_value(x.batch))


def _pre_prepare(
    epoch: int, view: int, digest: bytes, signer: int, signature: bytes, batch: object
) -> m.PrePrepare:
    return m.PrePrepare(epoch, view, digest, signer, signature, batch_from_value(batch))


def _vote_value(x: m.Prepare | m.Commit) -> tuple[object, ...]:
    return (x.epoch, x.view, x.height, x.digest, x.signer, x.signature)


def _checkpoint_value(x: m.Checkpoint) -> tuple[object, ...]:
    return (x.epoch, x.height, x.block_hash, x.signer, x.signature)


def _view_change_value(x: m.ViewChange) -> tuple[object, ...]:
    certificate = None if x.certificate is None else x.certificate.to_value()
    proofs = tuple(m.proof_value(proof) for proof in x.prepared)
    return (x.epoch, x.view, x.stable_height, certificate, proofs, x.signer, x.signature)


def _view_change(
    epoch: int,
    view: int,
    stable_height: int,
    certificate: object,
    prepared: object,
    signer: int,
    signature: bytes,
) -> m.ViewChange:
    proofs = tuple(proof_from_value(item) for item in _items(prepared))
    proven = None if certificate is None else _certificate(certificate)
    return m.ViewChange(epoch, view, stable_height, proven, proofs, signer, signature)


def _new_view_value(x: m.NewView) -> tuple[object, ...]:
    proposals = tuple((item.height, item.digest, item.signature) for item in x.proposals)
    return (x.epoch, x.view, x.view_changes, proposals, x.signer, x.signature)


def _new_view(
    epoch: int,
    view: int,
    view_changes: tuple[tuple[int, bytes], ...],
    proposals: object,
    signer: int,
    signature: bytes,
) -> m.NewView:
    entries = tuple(m.Proposal(*_fields(item, 3)) for item in _items(proposals))
    return m.NewView(epoch, view, view_changes, entries, signer, signature)


def _status_value(x: m.Status) -> tuple[object, ...]:
    slots = tuple((s.height, s.has_pre_prepare, s.prepares, s.commits) for s in x.slots)
    return (
        x.epoch,
        x.view,
        x.is_normal,
        x.stable_height,
        x.executed_height,
        slots,
        x.checkpoints,
        x.view_changes,
        x.uncertified,
    )


def _status(
    epoch: int,
    view: int,
    is_normal: bool,
    stable_height: int,
    executed_height: int,
    slots: object,
    checkpoints: tuple[tuple[int, bytes], ...],
    view_changes: bytes,
    uncertified: tuple[int, ...],
) -> m.Status:
    entries = tuple(m.SlotStatus(*_fields(item, 4)) for item in _items(slots))
    return m.Status(
        epoch,
        view,
        is_normal,
        stable_height,
        executed_height,
        entries,
        checkpoints,
        view_changes,
        uncertified,
    )


def _stable_value(x: m.StableCertificate) -> tuple[object, ...]:
    return (x.epoch, x.certificate.to_value())


def _stable(epoch: int, certificate: object) -> m.StableCertificate:
    return m.StableCertificate(epoch, _certificate(certificate))


def _view_change_request_value(x: m.ViewChangeRequest) -> tuple[object, ...]:
    return (x.epoch, x.view, x.wanted)


def _batch_request_value(x: m.BatchRequest) -> tuple[object, ...]:
    return (x.epoch, x.height, x.digest)


def _batch_reply_value(x: m.BatchReply) -> tuple[object, ...]:
    return (x.epoch, batch_value(x.batch))


def _batch_reply(epoch: int, batch: object) -> m.BatchReply:
    return m.BatchReply(epoch, batch_from_value(batch))


def _epoch_changes_value(x: m.EpochChanges) -> tuple[object, ...]:
    return (x.epoch, tuple(change.to_value() for change in x.changes))


def _epoch_changes(epoch: int, changes: object) -> m.EpochChanges:
    try:
        entries = tuple(change_from_value(item) for item in _items(changes))
    except Refused as refused:
        raise m.malformed(refused.message) from None
    return m.EpochChanges(epoch, entries)


# Type numbers are part of the protocol and never change their meaning.
_CODECS: dict[type, tuple[int, Callable[[Any], tuple[object, ...]], Callable[..., Any]]] = {
    m.PrePrepare: (1, _pre_prepare_value, _pre_prepare),
    m.Prepare: (2, _vote_value, m.Prepare),
    m.Commit: (3, _vote_value, m.Commit),
    m.Checkpoint: (4, _checkpoint_value, m.Checkpoint),
    m.ViewChange: (5, _view_change_value, _view_change),
    m.NewView: (6, _new_view_value, _new_view),
    m.Status: (7, _status_value, _status),
    m.StableCertificate: (8, _stable_value, _stable),
    m.ViewChangeRequest: (9, _view_change_request_value, m.ViewChangeRequest),
    m.BatchRequest: (10, _batch_request_value, m.BatchRequest),
    m.BatchReply: (11, _batch_reply_value, _batch_reply),
    m.EpochChanges: (12, _epoch_changes_value, _epoch_changes),
}
_DECODERS = {number: from_fields for number, _, from_fields in _CODECS.values()}
