"""Records on the wire: the body of one record, its digest, and the root a transaction signs.

A `records.submit` transaction signs how many records it carries and the Merkle root of their
digests; the records travel as attachments, so that one can later be withheld, sealed or erased and
everything still verifies (DESIGN 5). An attachment is the canonical encoding of

    (company, day, source_digest | None, supersedes | None, salt | None, fields)

where `supersedes` is (day, digest) of the record that this one corrects. Without a salt the digest
is a tagged hash of these bytes. With one it is a tagged hash over the leaf hashes of the head and
of each field, in order of name, each with a salt of its own that is expanded from the record's: one
field can be shown alone, with its salt and the other leaf hashes, and the others stay hidden. A
record has few fields, so a tree over them would cost twice as much and save a proof 200 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256, shake_256
from typing import Any, TypeAlias

from ledger.chain import merkle
from ledger.chain.hashes import HASH_BYTES, tagged_hash
from ledger.encoding import decode, decode_own, encode, encode_own, own_encoder
from ledger.errors import Code, Refused
from ledger.transactions.envelope import MAX_ATTACHMENTS, Transaction

SUBMIT_KIND = "records.submit"
DECLARE_KIND = "records.declare"
RECORD_KINDS = frozenset({SUBMIT_KIND, DECLARE_KIND})  # the kinds that carry records
RECORD_TAG = b"creditledger/record/1"
FIELD_SALTS_TAG = b"creditledger/record-salts/1"
SALTED_RECORD_TAG = b"creditledger/salted-record/1"
SALT_BYTES = 16
MAX_FIELDS = 64
MAX_RECORD_BYTES = 65_536
MAX_RECORD_ITEMS = 8192

Reference: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Record:
    """One record as submitted; `day` in days since 1970, field values in their stored types."""

    company: str
    day: int
    fields: Mapping[str, Any]
    source_digest: bytes | None = None
    supersedes: Reference | None = None
    salt: bytes | None = None

    @property
    def head(self) -> tuple[Any, ...]:
        """What a record says beside its fields."""
        return (self.company, self.day, self.source_digest, self.supersedes)


def encode_record(record: Record) -> bytes:
    """Return the attachment's bytes; raise `Refused` (10xx) for what has no encoding."""
    return encode((*record.head, record.salt, record.fields))


def decode_record(data: bytes) -> Record:
    """Return the record of an attachment; raise `Refused` (10xx, 1207) for another shape."""
    value = decode(data, MAX_RECORD_BYTES, MAX_RECORD_ITEMS)
    if type(value) is not tuple or len(value) != 6:
        raise Refused(Code.ATTACHMENT_MISMATCH, "record is not a list of 6 parts")
    company, day, source_digest, supersedes, salt, fields = value
    if type(company) is not str or type(day) is not int:
        raise Refused(Code.ATTACHMENT_MISMATCH, "record does not begin with company and day")
    if source_digest is not None and not _is_bytes(source_digest, HASH_BYTES):
        raise Refused(Code.ATTACHMENT_MISMATCH, "source digest of a record is not 32 bytes")
    if supersedes is not None and not _is_reference(supersedes):
        raise Refused(Code.ATTACHMENT_MISMATCH, "supersedes of a record is not (day, digest)")
    if salt is not None and not _is_bytes(salt, SALT_BYTES):
        raise Refused(Code.ATTACHMENT_MISMATCH, f"salt of a record is not {SALT_BYTES} bytes")
    if type(fields) is not dict or not 1 <= len(fields) <= MAX_FIELDS:
        raise Refused(Code.ATTACHMENT_MISMATCH, f"fields are not a map of 1 to {MAX_FIELDS}")
    return Record(company, day, fields, source_digest, supersedes, salt)


def decode_checked_record(data: bytes) -> Record:
    """Return the record of an attachment that `check_attachments` passed; nothing is asked again.

    Execution decodes what the door decoded before it, in a third of the time.
    """
    company, day, source_digest, supersedes, salt, fields = decode_own(data)
    return Record(company, day, fields, source_digest, supersedes, salt)


def _is_bytes(value: object, length: int) -> bool:
    return type(value) is bytes and len(value) == length


def _is_reference(value: object) -> bool:
    if type(value) is not tuple or len(value) != 2:
        return False
    return type(value[0]) is int and _is_bytes(value[1], HASH_BYTES)


def encoded_fields(record: Record, data: bytes) -> bytes:
    """Return the bytes of the fields alone, which end `data`, the record's own encoding."""
    # A list of five has as short a header as the list of six that `data` is.
    return data[len(encode_own((*record.head, record.salt))) :]


def record_digest(data: bytes) -> bytes:
    """Return the 32-byte digest of an attachment's bytes; raise as `decode_record` does."""
    return compute_digest(decode_record(data), data)


def compute_digest(record: Record, data: bytes) -> bytes:
    """Return the digest of a record and its own bytes, which the caller has just decoded."""
    if record.salt is None:
        return tagged_hash(RECORD_TAG, data)
    return tagged_hash(SALTED_RECORD_TAG, *_leaf_hashes(record))


def _leaf_hashes(record: Record) -> list[bytes]:
    """Return `_leaf` of each of `_salted_leaves`, written out: the door does it for every field."""
    salts, pack = _expand_salt(record), own_encoder()
    hashes = [sha256(_leaf_prefix("") + salts[:SALT_BYTES] + pack(record.head)).digest()]
    position = SALT_BYTES
    for name, value in record.fields.items():
        end = position + SALT_BYTES
        leaf = _leaf_prefix(name) + salts[position:end] + pack(value)
        hashes.append(sha256(leaf).digest())
        position = end
    return hashes


def _expand_salt(record: Record) -> bytes:
    """Return the salts of the head and of each field, one after the other."""
    size = SALT_BYTES * (1 + len(record.fields))
    return shake_256((record.salt or b"") + FIELD_SALTS_TAG).digest(size)


def _salted_leaves(record: Record) -> list[tuple[str, bytes, Any]]:
    """Return (name, salt, value) of each leaf: the head under the empty name, then the fields."""
    salts = _expand_salt(record)
    leaves: list[tuple[str, bytes, Any]] = [("", salts[:SALT_BYTES], record.head)]
    position = SALT_BYTES
    for name, value in record.fields.items():  # decoding left them in bytewise order
        leaves.append((name, salts[position : position + SALT_BYTES], value))
        position += SALT_BYTES
    return leaves


@lru_cache(maxsize=4096)
def _leaf_prefix(name: str) -> bytes:
    """Return what a leaf's bytes begin with: a prefix of its own, list of 3, name, 16 bytes."""
    return b"\x00\x93" + encode(name) + b"\xc4\x10"


def _leaf(name: str, salt: bytes, value: Any) -> bytes:
    """Return `merkle.leaf_hash(encode((name, salt, value)))`, with the constant part kept."""
    return sha256(_leaf_prefix(name) + salt + encode_own(value)).digest()


@dataclass(frozen=True, slots=True)
class FieldProof:
    """One field of a salted record, shown alone: verifies against the record's digest.

    `leaves` are the leaf hashes of the whole record, `index` is the place of this field's.
    """

    name: str
    salt: bytes
    value: Any
    index: int
    leaves: tuple[bytes, ...]


def prove_field(record: Record, name: str) -> FieldProof:
    """Return the proof of one field ("" is the head) of a salted record; `Refused` (1304)."""
    leaves = _salted_leaves(record)
    index = next((i for i, leaf in enumerate(leaves) if leaf[0] == name), None)
    if record.salt is None or index is None:
        raise Refused(Code.PROOF_INVALID, f"record has no salted field {name}")
    return FieldProof(*leaves[index], index, tuple(_leaf(*leaf) for leaf in leaves))


def verify_field(proof: FieldProof, digest: bytes) -> None:
    """Raise `Refused` (1304) unless `proof` shows a field of the record with this digest."""
    leaf = merkle.leaf_hash(encode((proof.name, proof.salt, proof.value)))
    if any(not _is_bytes(item, HASH_BYTES) for item in proof.leaves):
        raise Refused(Code.PROOF_INVALID, f"a leaf hash is not {HASH_BYTES} bytes")
    if not 0 <= proof.index < len(proof.leaves) or proof.leaves[proof.index] != leaf:
        raise Refused(Code.PROOF_INVALID, f"field {proof.name} is not the leaf that is shown")
    if tagged_hash(SALTED_RECORD_TAG, *proof.leaves) != digest:
        raise Refused(Code.PROOF_INVALID, "leaves lead to another digest")


def records_root(digests: Sequence[bytes]) -> bytes:
    """Return the root that a `records.submit` body signs, over the digests in their order."""
    return merkle.compute_root([merkle.leaf_hash(digest) for digest in digests])


def check_attachments(transaction: Transaction) -> tuple[bytes, ...]:
    """Return the digests of the attachments; raise `Refused` (1207) unless the body signs them.

    Part of a batch's validity (rule 17): it depends on the transaction's bytes alone. Only
    transactions of `RECORD_KINDS` have attachments.
    """
    attachments = transaction.attachments
    if transaction.kind not in RECORD_KINDS:
        if attachments:
            raise Refused(
                Code.ATTACHMENT_MISMATCH, f"{transaction.kind} has attachments, want none"
            )
        return ()
    count, root = transaction.body.get("count"), transaction.body.get("root")
    if type(count) is not int or count != len(attachments) or count > MAX_ATTACHMENTS:
        raise Refused(
            Code.ATTACHMENT_MISMATCH,
            f"got {len(attachments)} records, the body signs another count",
        )
    digests = []
    for index, data in enumerate(attachments):
        try:
            digests.append(record_digest(data))
        except Refused as error:
            raise Refused(error.code, f"record {index}: {error.message}") from None
    if records_root(digests) != root:
        raise Refused(Code.ATTACHMENT_MISMATCH, "records do not lead to the root that is signed")
    return tuple(digests)
