"""Statements that a transaction has expired: a client knows that it never will be executed.

A transaction whose expiry has passed by the time of a certified block, and that stands in no block
up to there, can never be executed (rule 51). That it stands in none is one node's word; W members'
word, each with a certified header whose time is past the expiry, is at least one honest member's
(rule 38). Statement, header and certificate verify with no network, like a receipt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ledger.chain.certificate import (
    Certificate,
    certificate_from_value,
    verify_certificate,
    weak_quorum,
)
from ledger.chain.epochs import EpochFollower
from ledger.chain.hashes import HASH_BYTES
from ledger.chain.header import Header, decode_header
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from ledger.keys import SIGNATURE_BYTES, STATEMENT_DOMAIN, signing_input, verify

EXPIRED_KIND = "expired"
MAX_STATEMENT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ExpiryStatement:
    """Member `signer` of the header's epoch says: not in any block up to this one, and late."""

    transaction_id: bytes
    expires_at_ms: int
    header: Header
    certificate: Certificate
    signer: int
    signature: bytes

    def encoded(self) -> bytes:
        """Return the canonical bytes."""
        return encode(
            (
                self.transaction_id,
                self.expires_at_ms,
                self.header.encoded(),
                self.certificate.to_value(),
                self.signer,
                self.signature,
            )
        )


def expiry_signing_input(
    header: Header, transaction_id: bytes, expires_at_ms: int, signer: int
) -> bytes:
    """Return the signed bytes of a statement (rule 5)."""
    payload = encode((header.epoch, header.height, transaction_id, expires_at_ms, signer))
    return signing_input(STATEMENT_DOMAIN, header.chain_id, EXPIRED_KIND, payload)


def decode_statement(data: bytes) -> ExpiryStatement:
    """Return the statement of canonical bytes; raise `Refused` (10xx, 13xx)."""
    value = decode(data, max_bytes=MAX_STATEMENT_BYTES)
    if type(value) is not tuple or len(value) != 6:
        raise _invalid("is not a list of six fields")
    transaction_id, expires_at_ms, header, certificate, signer, signature = value
    _check_bytes(transaction_id, HASH_BYTES)
    _check_bytes(signature, SIGNATURE_BYTES)
    if type(header) is not bytes:
        raise _invalid("has no header")
    if any(type(item) is not int or not 0 <= item < 2**63 for item in (expires_at_ms, signer)):
        raise _invalid("has a number out of range")
    return ExpiryStatement(
        transaction_id,
        expires_at_ms,
        decode_header(header),
        certificate_from_value(certificate),
        signer,
        signature,
    )


def _check_bytes(value: Any, size: int) -> None:
    if type(value) is not bytes or len(value) != size:
        raise _invalid(f"has a field that is not {size} bytes")


def verify_statement(statement: ExpiryStatement, trusted: EpochFollower) -> str:
    """Return who stated it; raise `Refused` (1305, 1306) for what does not prove it."""
    header, certificate = statement.header, statement.certificate
    if header.chain_id != trusted.chain_id:
        raise _invalid("is of another chain")
    if header.time_ms < statement.expires_at_ms:
        raise _invalid(f"names block {header.height}, which is before the expiry")
    if (certificate.epoch, certificate.height) != (header.epoch, header.height):
        raise _invalid("has a certificate of another block")
    if certificate.block_hash != header.hash():
        raise _invalid("has a certificate of another block hash")
    validators = trusted.validators(header.epoch)
    trusted.check_height(header.epoch, header.height)
    verify_certificate(certificate, header.chain_id, [key for _, key in validators])
    if statement.signer >= len(validators):
        raise _invalid(f"is by member {statement.signer} of {len(validators)}")
    member, key = validators[statement.signer]
    signed = expiry_signing_input(
        header, statement.transaction_id, statement.expires_at_ms, statement.signer
    )
    verify(key, statement.signature, signed)
    return member


def verify_expired(
    statements: Iterable[ExpiryStatement],
    transaction_id: bytes,
    expires_at_ms: int,
    trusted: EpochFollower,
) -> frozenset[str]:
    """Return the members that state it; raise `Refused` (1305) unless W distinct ones do."""
    members: set[str] = set()
    wanted = weak_quorum(len(trusted.last.validators))
    for statement in statements:
        if (statement.transaction_id, statement.expires_at_ms) != (transaction_id, expires_at_ms):
            raise _invalid("is about another transaction")
        members.add(verify_statement(statement, trusted))
    if len(members) < wanted:
        raise _invalid(f"is by {len(members)} members, want {wanted}")
    return frozenset(members)


def _invalid(text: str) -> Refused:
    return Refused(Code.RECEIPT_INVALID, f"statement of expiry {text}")
