"""Receipts: one file that shows, with no network, that a transaction stands in a certified block.

A receipt holds the signed transaction, its result, the paths from both to the roots in a block
header, the header, and the certificate of that block. Who checks it needs one thing from elsewhere:
an anchor, which gives the chain id and the members whose keys certify: the genesis document for
epoch 0, or a later receipt that is trusted (`anchor_of`). For a block of a later epoch the receipt
carries the changes of members that lead there from genesis, each with its own certificate. The
members are in the receipt as well, but only to be compared: a receipt never says whom to trust.
Canonical msgpack in a `.receipt` file; `to_json_value` for people and programs.

What a certificate proves is worth what the keys are worth that it was made with. Members that are
long gone may lose theirs, and whoever has a quorum of an old epoch's can certify another history
from there (F89). From genesis that cannot be seen; an anchor past the theft catches it, because
nothing of an epoch before the anchor's is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger.chain import merkle
from ledger.chain.batch import digest_from_root
from ledger.chain.block import Result, StoredBlock, result_leaf
from ledger.chain.certificate import Certificate, certificate_from_value, verify_certificate
from ledger.chain.epochs import (
    EpochChange,
    EpochFollower,
    Validators,
    change_from_value,
    check_validators,
)
from ledger.chain.hashes import (
    HASH_BYTES,
    SIGNED_TRANSACTION_TAG,
    TRANSACTION_TAG,
    tagged_hash,
)
from ledger.chain.header import Header, decode_header
from ledger.encoding import Value, decode, encode
from ledger.errors import Code, LocalError, Refused

__all__ = [
    "BlockReceipts",
    "Receipt",
    "Validators",
    "anchor_of",
    "build_receipt",
    "decode_receipt",
    "verify_receipt",
    "verify_receipt_by",
]

FORMAT = "creditledger/receipt/1"
MAX_RECEIPT_BYTES = 2 * 1024 * 1024
_MAX_PATH = 64
_MAX_CHANGES = 4096


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction's place in a certified block; `time_ms` is the batch's time (rule 15).

    `validators` are those of the block's epoch, `changes` lead there from genesis.
    """

    unsigned: bytes
    signature: bytes
    result: Result
    index: int
    time_ms: int
    batch_path: tuple[bytes, ...]
    result_path: tuple[bytes, ...]
    header: Header
    certificate: Certificate
    validators: Validators
    changes: tuple[EpochChange, ...] = ()

    @property
    def transaction_id(self) -> bytes:
        """The 32-byte id of the transaction."""
        return tagged_hash(TRANSACTION_TAG, self.unsigned)

    def encoded(self) -> bytes:
        """Return the canonical bytes of the file; there is no field `changes` in epoch 0."""
        changes = tuple(change.to_value() for change in self.changes)
        return encode(
            ({"changes": changes} if changes else {})
            | {
                "format": FORMAT,
                "transaction": (self.unsigned, self.signature),
                "result": (self.result[0], self.result[1]),
                "index": self.index,
                "time_ms": self.time_ms,
                "batch_path": self.batch_path,
                "result_path": self.result_path,
                "header": self.header.encoded(),
                "certificate": self.certificate.to_value(),
                "members": self.validators,
            }
        )

    def to_json_value(self) -> dict[str, Any]:
        """Return the receipt for JSON: bytes as hexadecimal, the header by its fields' names."""
        value = {key: _json(item) for key, item in decode(self.encoded()).items()}
        value["header"] = {
            name: _json(getattr(self.header, name)) for name in self.header.__slots__
        }
        value["block_hash"] = self.header.hash().hex()
        value["transaction_id"] = self.transaction_id.hex()
        return value


def _json(value: Value) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return value


class BlockReceipts:
    """All receipts of one certified block, whose two trees are hashed once."""

    __slots__ = ("_batch", "_block", "_results")

    def __init__(self, block: StoredBlock) -> None:
        self._block = block
        self._batch = merkle.Levels([merkle.leaf_hash(item) for item in block.hashes])
        self._results = merkle.Levels([result_leaf(item) for item in block.results])

    def build(
        self,
        index: int,
        certificate: Certificate,
        validators: Validators,
        changes: Sequence[EpochChange] = (),
    ) -> Receipt:
        """Return the receipt of transaction `index`.

        `validators` are those of the block's epoch, `changes` all that lead there from genesis.
        """
        block = self._block
        if not 0 <= index < len(block.transactions) or block.time_ms is None:
            raise LocalError(
                Code.RECEIPT_INVALID, f"block {block.header.height} has no transaction {index}"
            )
        return Receipt(
            block.transactions[index].unsigned,
            block.transactions[index].signature,
            block.results[index],
            index,
            block.time_ms,
            tuple(self._batch.path(index)),
            tuple(self._results.path(index)),
            block.header,
            certificate,
            validators,
            tuple(changes),
        )


def build_receipt(
    block: StoredBlock,
    index: int,
    certificate: Certificate,
    validators: Validators,
    changes: Sequence[EpochChange] = (),
) -> Receipt:
    """Return the receipt of one transaction of a certified block (`BlockReceipts.build`)."""
    return BlockReceipts(block).build(index, certificate, validators, changes)


def decode_receipt(data: bytes) -> Receipt:
    """Return the receipt of a file's bytes; raise `Refused` (10xx, 13xx), naming the field."""
    value = decode(data, max_bytes=MAX_RECEIPT_BYTES)
    if type(value) is not dict or value.get("format") != FORMAT:
        raise Refused(Code.RECEIPT_INVALID, f"not a receipt: format is not {FORMAT}")
    if set(value) | {"changes"} != _FIELDS:
        odd = ", ".join(sorted((set(value) | {"changes"}) ^ _FIELDS))
        raise Refused(Code.RECEIPT_INVALID, f"receipt has missing or unknown fields: {odd}")
    if type(value["header"]) is not bytes:
        raise Refused(Code.RECEIPT_INVALID, "field header is not bytes")
    unsigned, signature = _signed(value["transaction"])
    code, data_value = _pair(value["result"])
    return Receipt(
        unsigned,
        signature,
        (code, data_value),
        _natural(value, "index"),
        _natural(value, "time_ms"),
        _path(value, "batch_path"),
        _path(value, "result_path"),
        decode_header(value["header"]),
        certificate_from_value(value["certificate"]),
        _validators(value["members"]),
        _changes(value),
    )


_FIELDS = {
    "format",
    "transaction",
    "result",
    "index",
    "time_ms",
    "batch_path",
    "result_path",
    "header",
    "certificate",
    "members",
    "changes",
}


def _signed(value: Any) -> tuple[bytes, bytes]:
    if type(value) is not tuple or [type(part) for part in value] != [bytes, bytes]:
        raise Refused(Code.RECEIPT_INVALID, "field transaction is not bytes and a signature")
    return value[0], value[1]


def _pair(value: Any) -> Result:
    if type(value) is not tuple or len(value) != 2 or type(value[0]) is not int:
        raise Refused(Code.RECEIPT_INVALID, "field result is not a code and data")
    return value[0], value[1]


def _natural(value: dict[str, Any], name: str) -> int:
    number = value[name]
    if type(number) is not int or not 0 <= number < 2**63:
        raise Refused(Code.RECEIPT_INVALID, f"field {name} is not a number from 0 to 2^63 - 1")
    return number


def _path(value: dict[str, Any], name: str) -> tuple[bytes, ...]:
    path = value[name]
    if type(path) is not tuple or len(path) > _MAX_PATH:
        raise Refused(Code.RECEIPT_INVALID, f"field {name} is not a list of hashes")
    if any(type(item) is not bytes or len(item) != HASH_BYTES for item in path):
        raise Refused(Code.RECEIPT_INVALID, f"field {name} holds what is not a hash")
    return path


def _validators(value: Any) -> Validators:
    try:
        check_validators(value)
    except Refused as error:
        raise _invalid(f"field members: {error.message}") from None
    members: Validators = value
    return members


def _changes(value: dict[str, Any]) -> tuple[EpochChange, ...]:
    changes = value.get("changes")
    if changes is None and "changes" not in value:
        return ()
    if type(changes) is not tuple or not 1 <= len(changes) <= _MAX_CHANGES:
        raise _invalid("field changes is not a list of changes")
    return tuple(change_from_value(change) for change in changes)


def anchor_of(receipt: Receipt) -> EpochFollower:
    """Return a receipt's block as an anchor: what follows it is believed, nothing before its epoch.

    For a receipt that is trusted by itself. Raises `Refused` (1305) for one that does not hold
    together.
    """
    header = receipt.header
    anchor = EpochFollower(
        header.chain_id, receipt.validators, epoch=header.epoch, height=header.height
    )
    verify_receipt_by(receipt, anchor)
    return anchor


def verify_receipt(
    receipt: Receipt, chain_id: bytes, epoch: int, validators: Sequence[tuple[str, bytes]]
) -> None:
    """Raise `Refused` (1305) naming what is wrong, unless the anchor's members certify it all.

    `chain_id`, `epoch` and `validators` come from the anchor: for a genesis document its hash, 0,
    and its validators with their node keys in order. That the sender's key was the sender's is
    what the result says: such a transaction would have been rejected (rule 17).
    """
    verify_receipt_by(receipt, EpochFollower(chain_id, tuple(validators), epoch=epoch))


def verify_receipt_by(receipt: Receipt, trusted: EpochFollower) -> None:
    """Do as `verify_receipt`, from an anchor that remembers the changes that it has followed.

    Who keeps one `trusted` verifies each change once, and refuses a receipt of another history.
    """
    header = receipt.header
    if header.chain_id != trusted.chain_id:
        want = trusted.chain_id.hex()
        raise _invalid(f"header: is of chain {header.chain_id.hex()}, want {want}")
    if receipt.certificate.epoch != header.epoch:
        raise _invalid(
            f"epoch: of the certificate {receipt.certificate.epoch}, of the block {header.epoch}"
        )
    try:
        trusted.follow(receipt.changes)
        validators = trusted.validators(header.epoch)
        trusted.check_height(header.epoch, header.height)
    except Refused as error:
        raise _invalid(f"epoch: {error.message}") from None
    if receipt.validators != validators:
        raise _invalid("members: are not the members of the anchor")
    if receipt.certificate.height != header.height:
        raise _invalid(f"certificate: height {receipt.certificate.height}, want {header.height}")
    if receipt.certificate.block_hash != header.hash():
        raise _invalid("certificate: is for another block hash than the header's")
    try:
        verify_certificate(receipt.certificate, header.chain_id, [key for _, key in validators])
    except Refused as error:
        raise _invalid(f"certificate: {error.message}") from None
    _verify_in_batch(receipt, header.transaction_count)
    _verify_result(receipt, header.transaction_count)


def _verify_result(receipt: Receipt, size: int) -> None:
    """Raise unless the path leads from the result to the header's results root."""
    leaf, path = result_leaf(receipt.result), receipt.result_path
    try:
        merkle.verify_inclusion(receipt.header.results_root, size, receipt.index, leaf, path)
    except Refused as error:
        raise _invalid(f"result of {receipt.transaction_id.hex()}: {error.message}") from None


def _verify_in_batch(receipt: Receipt, size: int) -> None:
    """Raise unless transaction, index, time and path lead to the header's batch digest."""
    header = receipt.header
    signed = tagged_hash(SIGNED_TRANSACTION_TAG, receipt.signature, receipt.unsigned)
    leaf = merkle.leaf_hash(signed)
    try:
        root = merkle.root_from_inclusion(size, receipt.index, leaf, receipt.batch_path)
    except Refused as error:
        raise _invalid(f"transaction: {error.message}") from None
    digest = digest_from_root(header.chain_id, header.height, receipt.time_ms, root)
    if digest != header.batch_digest:
        raise _invalid("transaction: bytes, signature, index, time and path miss the batch digest")


def _invalid(text: str) -> Refused:
    return Refused(Code.RECEIPT_INVALID, text)
