"""The transaction envelope (DESIGN 5): what is signed, its id, its place in a batch.

A transaction on the wire is three parts: the unsigned bytes (version, chain id, sender, public key,
nonce, expiry, kind, body), the signature over them, and attachments that are neither signed nor
hashed. The id is the hash of the unsigned bytes; a batch lists the hash of unsigned bytes plus
signature, so a copy with a broken signature is a different entry (rule 17). Attachments carry the
bodies of records, whose digests the signed body commits to: they can be withheld, sealed or erased
and everything still verifies. `check_at_door` needs nothing but the bytes and the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger.chain.hashes import SIGNED_TRANSACTION_TAG, TRANSACTION_TAG, tagged_hash
from ledger.encoding import decode, encode
from ledger.errors import Code, CreditLedgerError, Refused
from ledger.keys import (
    CHAIN_ID_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    TX_DOMAIN,
    SigningKey,
    signing_input,
)

ENVELOPE_VERSION = 1
NONCE_BYTES = 16
MAX_NAME_BYTES = 64
MAX_TRANSACTION_BYTES = 1024 * 1024
MAX_ATTACHMENTS = 1000
MAX_ITEMS = 8192  # values and keys in the signed fields: bounds what decoding costs everyone
MAX_TTL_MS = 24 * 3600 * 1000
_LIST_OF_3, _BIN_64 = b"\x93", bytes((0xC4, SIGNATURE_BYTES))
_BIN_WIDTH = {b"\xc4": 1, b"\xc5": 2, b"\xc6": 4}
_NAME_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@dataclass(frozen=True, slots=True)
class Transaction:
    """One decoded transaction; `body` is a canonical map whose shape belongs to `kind`.

    `id` is the hash of the unsigned bytes; `signed_hash` is what batches list (rule 17). Both are
    computed once: a transaction is looked up by them at every station of its way.
    """

    chain_id: bytes
    sender: str
    public_key: bytes
    nonce: bytes
    expires_at_ms: int
    kind: str
    body: Mapping[str, Any]
    unsigned: bytes
    signature: bytes
    attachments: tuple[bytes, ...]
    id: bytes = field(init=False)
    signed_hash: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", tagged_hash(TRANSACTION_TAG, self.unsigned))
        signed_hash = compute_signed_hash(self.unsigned, self.signature)
        object.__setattr__(self, "signed_hash", signed_hash)

    def encoded(self) -> bytes:
        """Return the wire bytes."""
        return encode((self.unsigned, self.signature, self.attachments))

    def signature_item(self) -> tuple[bytes, bytes, bytes]:
        """Return (public key, signature, message) for `ledger.keys.verify_many`."""
        message = signing_input(TX_DOMAIN, self.chain_id, self.kind, self.unsigned)
        return self.public_key, self.signature, message


def compute_signed_hash(unsigned: bytes, signature: bytes) -> bytes:
    """Return the hash that a batch lists: unsigned bytes and signature, not the attachments."""
    return tagged_hash(SIGNED_TRANSACTION_TAG, signature, unsigned)


def peek_signed_hash(data: bytes) -> bytes | None:
    """Return the signed hash that `decode_transaction` would find in wire bytes, nothing checked.

    None where the bytes do not begin like a transaction. A sixth of the time of decoding: enough to
    see that one is known.
    """
    width = _BIN_WIDTH.get(data[1:2])
    if width is None or data[:1] != _LIST_OF_3:
        return None
    start = 2 + width
    end = start + int.from_bytes(data[2:start], "big")
    place = end + len(_BIN_64)
    signature = data[place : place + SIGNATURE_BYTES]
    if data[end:place] != _BIN_64 or len(signature) != SIGNATURE_BYTES:
        return None
    return compute_signed_hash(data[start:end], signature)


def sign_transaction(
    key: SigningKey,
    *,
    chain_id: bytes,
    sender: str,
    nonce: bytes,
    expires_at_ms: int,
    kind: str,
    body: Mapping[str, Any],
    attachments: tuple[bytes, ...] = (),
) -> Transaction:
    """Build and sign a transaction; the caller supplies 16 random bytes as the nonce."""
    fields = (
        ENVELOPE_VERSION,
        chain_id,
        sender,
        key.public_key,
        nonce,
        expires_at_ms,
        kind,
        body,
    )
    unsigned = encode(fields)
    signature = key.sign(signing_input(TX_DOMAIN, chain_id, kind, unsigned))
    return transaction_from_parts(unsigned, signature, attachments)


def decode_transaction(data: bytes) -> Transaction:
    """Return the transaction of wire bytes, form checked, signature not (`Refused` 10xx, 12xx)."""
    if len(data) > MAX_TRANSACTION_BYTES:
        raise Refused(Code.TX_TOO_LARGE, f"transaction of {len(data)} bytes, want at most 1048576")
    value = decode(data, MAX_TRANSACTION_BYTES, MAX_ITEMS)
    if type(value) is not tuple or len(value) != 3:
        raise Refused(Code.ENVELOPE_MALFORMED, "transaction is not a list of 3 parts")
    unsigned, signature, attachments = value
    if type(unsigned) is not bytes or type(signature) is not bytes:
        raise Refused(Code.ENVELOPE_MALFORMED, "transaction parts are not bytes")
    if type(attachments) is not tuple or len(attachments) > MAX_ATTACHMENTS:
        raise Refused(Code.ENVELOPE_MALFORMED, "attachments are not a list of at most 1000")
    if any(type(item) is not bytes for item in attachments):
        raise Refused(Code.ENVELOPE_MALFORMED, "an attachment is not bytes")
    return transaction_from_parts(unsigned, signature, attachments)


def transaction_from_parts(
    unsigned: bytes, signature: bytes, attachments: tuple[bytes, ...]
) -> Transaction:
    """Return the transaction of parts stored apart, form checked as in `decode_transaction`."""
    if len(signature) != SIGNATURE_BYTES:
        raise Refused(Code.SIGNATURE_MALFORMED, f"signature of {len(signature)} bytes, want 64")
    fields = decode(unsigned, MAX_TRANSACTION_BYTES, MAX_ITEMS)
    if type(fields) is not tuple or len(fields) != 8:
        raise Refused(Code.ENVELOPE_MALFORMED, "envelope is not a list of 8 fields")
    version, chain_id, sender, public_key, nonce, expires_at_ms, kind, body = fields
    if version != ENVELOPE_VERSION or type(version) is not int:
        raise Refused(Code.ENVELOPE_VERSION, "envelope version is not 1")
    _check_bytes("chain id", chain_id, CHAIN_ID_BYTES)
    _check_bytes("public key", public_key, PUBLIC_KEY_BYTES)
    _check_bytes("nonce", nonce, NONCE_BYTES)
    check_name("sender", sender)
    check_name("kind", kind)
    if type(expires_at_ms) is not int or not 0 < expires_at_ms < 2**63:
        raise Refused(Code.ENVELOPE_MALFORMED, "expiry is not a positive 63-bit integer")
    if type(body) is not dict:
        raise Refused(Code.ENVELOPE_MALFORMED, "body is not a map")
    return Transaction(
        chain_id,
        sender,
        public_key,
        nonce,
        expires_at_ms,
        kind,
        body,
        unsigned,
        signature,
        attachments,
    )


def check_name(what: str, name: object) -> None:
    """Raise unless `name` is 1 to 64 ASCII letters, digits, '.', '_' or '-' (F80)."""
    if type(name) is not str or not 1 <= len(name) <= MAX_NAME_BYTES:
        raise Refused(Code.ENVELOPE_MALFORMED, f"{what} is not a name of 1 to 64 characters")
    if not _NAME_ALPHABET.issuperset(name):
        raise Refused(Code.ENVELOPE_MALFORMED, f"{what} has characters outside A-Z a-z 0-9 . _ -")


def _check_bytes(what: str, value: object, length: int) -> None:
    if type(value) is not bytes or len(value) != length:
        raise Refused(Code.ENVELOPE_MALFORMED, f"{what} is not {length} bytes")


def check_at_door(transaction: Transaction, chain_id: bytes, now_ms: int) -> None:
    """Raise for another chain, an expired or a too distant expiry; the signature is apart."""
    if transaction.chain_id != chain_id:
        raise Refused(Code.WRONG_CHAIN, "transaction is for another chain")
    if transaction.expires_at_ms <= now_ms:
        raise Refused(Code.TX_EXPIRED_AT_DOOR, "transaction has expired")
    if transaction.expires_at_ms > now_ms + MAX_TTL_MS:
        raise Refused(
            Code.TX_EXPIRY_TOO_FAR, f"transaction expires more than {MAX_TTL_MS} ms ahead"
        )


def door_error(error: CreditLedgerError) -> tuple[int, str]:
    """Return the stable number and the text of a refusal, as sent to a client."""
    return int(error.code), error.message
