"""Naming the altered part of a stored block.

A replay notices that something does not fit; these functions find out what. They reason from what
is still bound together: a certificate binds the header, the header binds time, hashes and results,
a hash binds one transaction's signed bytes, the signed body binds the bodies beside it. The part
that breaks a bond whose other side holds is the one that was altered. Each returns a `Finding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from ledger.audit.report import Finding
from ledger.chain.batch import Batch
from ledger.chain.block import (
    Result,
    StoredBlock,
    StoredTransaction,
    decode_results,
    encode_results,
    results_root,
)
from ledger.chain.certificate import (
    Certificate,
    checkpoint_signing_input,
    quorum,
    verify_certificate,
)
from ledger.chain.hashes import SIGNED_TRANSACTION_TAG, tagged_hash
from ledger.chain.header import Header
from ledger.encoding import decode, encode
from ledger.errors import Refused
from ledger.keys import is_valid
from ledger.state.tables import RECORDS
from ledger.storage.chain_store import FATES, ChainStore
from ledger.storage.store import Reader
from ledger.transactions.envelope import Transaction
from ledger.transactions.records import record_digest


def name_header_or_certificate(
    header: Header, certificate: Certificate, chain_id: bytes, keys: Sequence[bytes]
) -> Finding | None:
    """Return which of the two was altered, None when they fit and are certified."""
    height, block_hash = header.height, header.hash()
    try:
        verify_certificate(certificate, chain_id, keys)
    except Refused as error:
        as_stored = error.message
    else:
        if certificate.block_hash == block_hash and certificate.height == height:
            return None
        return Finding(
            "header",
            f"hashes to {block_hash.hex()}, its certificate is sound and certifies block "
            f"{certificate.height} as {certificate.block_hash.hex()}",
            height,
        )
    if certificate.block_hash == block_hash:
        return Finding("certificate", as_stored, height)
    signers = _signers(certificate, header, chain_id, keys)
    if len(signers) >= quorum(len(keys)) - 1:
        reason = f"names {certificate.block_hash.hex()}, the signatures are for {block_hash.hex()}"
        return Finding("certificate", reason, height)
    return Finding("header and certificate", f"do not fit; {as_stored}", height)


def _signers(
    certificate: Certificate, header: Header, chain_id: bytes, keys: Sequence[bytes]
) -> list[int]:
    """Return the members whose signatures certify `header`, whatever the certificate says."""
    return [
        signer
        for signer, signature in certificate.votes
        if signer < len(keys)
        and is_valid(
            keys[signer],
            signature,
            checkpoint_signing_input(chain_id, header.epoch, header.height, header.hash(), signer),
        )
    ]


def name_in_bytes(data: bytes, header: Header, reader: Reader) -> Finding:
    """Return where the stored time, hashes and transactions stop to be what they must be."""
    walk = _Walk(data, header.transaction_count)
    try:
        walk.run()
        reason = "are followed by other bytes, or not in canonical encoding"
    except (ValueError, msgpack.UnpackException, _MisplacedError) as error:
        reason = f"does not decode: {error or type(error).__name__}"
    executed = None
    if walk.position is not None:
        executed = _executed_id(reader, header.height, walk.position)
    return Finding(walk.part, reason, header.height, walk.position, executed)


class _MisplacedError(Exception):
    """Decoded, but not what belongs here."""


class _Walk:
    """Reads stored transactions item by item; `part` and `position` say how far it came."""

    def __init__(self, data: bytes, count: int) -> None:
        self.part = "transactions"
        self.position: int | None = None
        self._count = count
        self._unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=2**31 - 1)
        self._unpacker.feed(data)

    def run(self) -> None:
        self._expect_list(3)
        self.part = "time"
        self._take(int)
        self.part = "hash list"
        self._expect_list(self._count)
        hashes = []
        for position in range(self._count):
            self.position = position
            hashes.append(self._take(bytes))
            if len(hashes[-1]) != 32:
                raise _MisplacedError(f"{len(hashes[-1])} bytes, want 32")
        self.part, self.position = "transactions", None
        self._expect_list(self._count)
        for position in range(self._count):
            self.position = position
            self._take_transaction(hashes[position])
        self.part, self.position = "transactions", None

    def _take_transaction(self, want: bytes) -> None:
        self.part = "transaction"
        self._expect_list(3)
        unsigned, signature = self._take(bytes), self._take(bytes)
        if tagged_hash(SIGNED_TRANSACTION_TAG, signature, unsigned) != want:
            raise _MisplacedError("signed bytes do not hash to their place in the batch")
        self.part = "count of bodies"
        self._take(int)

    def _expect_list(self, want: int) -> None:
        count = self._unpacker.read_array_header()
        if count != want:
            raise _MisplacedError(f"count {count}, want {want}")

    def _take(self, kind: type) -> Any:
        value = self._unpacker.unpack()
        if type(value) is not kind:
            raise _MisplacedError(f"{type(value).__name__}, want {kind.__name__}")
        return value


def name_in_batch(block: StoredBlock, parent: Header, reader: Reader) -> Finding | None:
    """Return which of time, hash list, count or transaction was altered; None when all fit."""
    header = block.header
    height = header.height
    if len(block.transactions) != header.transaction_count:
        reason = f"count {len(block.transactions)}, want {header.transaction_count}"
        return Finding("transactions", reason, height)
    actual = tuple(item.signed_hash for item in block.transactions)
    if _digest(block.time_ms, block.hashes, header) == header.batch_digest:
        for position, (found, want) in enumerate(zip(actual, block.hashes, strict=True)):
            if found != want:
                return name_transaction(block, position, reader)
        return None
    if len(block.hashes) != header.transaction_count:
        reason = f"count {len(block.hashes)}, want {header.transaction_count}"
        return Finding("hash list", reason, height)
    if _digest(block.time_ms, actual, header) == header.batch_digest:
        position = _first_difference(actual, block.hashes)
        reason = f"says {block.hashes[position].hex()}, the transaction is {actual[position].hex()}"
        return Finding("hash list", reason, height, position, block.transactions[position].id)
    certified = _digest(header.time_ms, block.hashes, header) == header.batch_digest
    if certified or actual == block.hashes:
        want_time = f", want {header.time_ms}" if certified else f" after {parent.time_ms}"
        return Finding("time", f"is {block.time_ms} ms{want_time}", height)
    return Finding("time, hash list and transactions", "miss the certified batch digest", height)


def _digest(time_ms: int | None, hashes: tuple[bytes, ...], header: Header) -> bytes | None:
    try:
        return Batch(header.height, time_ms, hashes).digest(header.chain_id)
    except Refused:
        return None


def _first_difference(left: Sequence[Any], right: Sequence[Any]) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(left), len(right)))


def name_transaction(block: StoredBlock, position: int, reader: Reader) -> Finding:
    """Return whether a transaction's bytes or its signature were altered.

    The index knows the id that was executed here: if the stored bytes still have that id, the
    signature is what changed. The id that is named is the executed one where it can be found.
    """
    item = block.transactions[position]
    height = block.header.height
    fate = ChainStore(reader).fate(item.id)
    if fate is not None and fate[:2] == (height, position):
        return Finding(
            "signature", "is not the one that was ordered and certified", height, position, item.id
        )
    original = _executed_id(reader, height, position)
    if original is None:
        reason = "bytes or signature are not those that were ordered and certified"
        return Finding("transaction", reason, height, position, item.id)
    reason = f"bytes were altered, they now have the id {item.id.hex()}"
    return Finding("transaction", reason, height, position, original)


def _executed_id(reader: Reader, height: int, position: int) -> bytes | None:
    """Return the id that the index gives for a place in the chain, by reading all of it."""
    for key, value in reader.scan(FATES, FATES + b"\xff" * 33):
        fate = decode(value)
        if type(fate) is tuple and fate[:2] == (height, position):
            return key[len(FATES) :]
    return None


def name_body(
    reader: Reader, transaction: Transaction, height: int, position: int, error: Refused
) -> Finding:
    """Return which record's body does not lead to what the transaction signed."""
    count = transaction.body.get("count")
    if type(count) is int and count != len(transaction.attachments):
        reason = f"{len(transaction.attachments)}, the sender signed {count}"
        return Finding("count of bodies", reason, height, position, transaction.id)
    known = _recorded_digests(reader, height, position)
    unknown: list[int] = []
    for index, data in enumerate(transaction.attachments):
        try:
            digest = record_digest(data)
        except Refused as problem:
            return _body_finding(index, problem.message, transaction, height, position)
        if index not in known:
            unknown.append(index)
        elif known[index] != digest:
            reason = f"digest is {digest.hex()}, recorded was {known[index].hex()}"
            return _body_finding(index, reason, transaction, height, position)
    if len(unknown) == 1:
        reason = "does not lead to the root that its sender signed"
        return _body_finding(unknown[0], reason, transaction, height, position)
    return Finding("bodies", error.message, height, position, transaction.id)


def _body_finding(
    index: int, reason: str, transaction: Transaction, height: int, position: int
) -> Finding:
    return Finding(f"body of record {index}", reason, height, position, transaction.id)


def _recorded_digests(reader: Reader, height: int, position: int) -> dict[int, bytes]:
    """Return the digests by index that the state keeps for a transaction's records."""
    digests: dict[int, bytes] = {}
    for _, value in reader.scan(RECORDS.prefix, RECORDS.prefix + b"\xff" * 64):
        for entry in decode(value):
            # (seq, version, digest, content, height, position, index, …): credit.records
            if entry[4:6] == (height, position):
                digests[entry[6]] = entry[2]
    return digests


def name_count_of_bodies(
    reader: Reader, item: StoredTransaction, height: int, position: int
) -> Finding:
    """Return whether bodies are missing, or the stored count of them is wrong."""
    chain = ChainStore(reader)
    envelope = decode(item.unsigned)
    signed = envelope[7].get("count") if len(envelope) == 8 else None
    if type(signed) is int and signed != item.attachment_count:
        reason = f"{item.attachment_count}, the sender signed {signed}"
        return Finding("count of bodies", reason, height, position, item.id)
    for index in range(item.attachment_count):
        if chain.body(height, position, index) is None:
            return Finding(f"body of record {index}", "is missing", height, position, item.id)
    return Finding("bodies", "are missing", height, position, item.id)


def name_result(
    stored: bytes, expected: Sequence[Result], transactions: Sequence[Transaction], height: int
) -> Finding:
    """Return the first result that differs from what execution gives, by its place in the bytes."""
    want = encode_results(expected)
    offset = _first_difference(stored, want)
    position = len(want) - sum(len(_result_bytes(result)) for result in expected)
    if offset < position or not expected:
        return Finding("results", "count or form is altered", height)
    for index, result in enumerate(expected):
        position += len(_result_bytes(result))
        if offset < position:
            reason = _result_reason(stored, index, result)
            return Finding("result", reason, height, index, transactions[index].id)
    return Finding("results", "are followed by other bytes", height)


def is_certified_as(header: Header, stored: bytes) -> bool:
    """Tell whether stored results are those that the header certifies."""
    try:
        return results_root(decode_results(stored)) == header.results_root
    except Refused:
        return False


def _result_bytes(result: Result) -> bytes:
    return encode((result[0], result[1]))


def _result_reason(stored: bytes, index: int, expected: Result) -> str:
    try:
        found = decode(stored)[index]
    except (Refused, IndexError, TypeError):
        return f"does not decode, execution gives code {expected[0]}"
    return f"says {found}, execution gives {(expected[0], expected[1])}"
