"""Proof that whoever proposes a key holds it: a signature by the new key over what it is for.

Without it a member could propose another's public key, or one that nobody holds, and a validator
would be silent for ever. The signed bytes name chain, role of the key, member and the key itself
under a domain of their own, so that a proof is good for one thing only (rule 5, F85).
"""

from __future__ import annotations

from enum import StrEnum

from ledger.encoding import encode
from ledger.errors import Code, CreditLedgerError, Refused, Rejected
from ledger.keys import SigningKey, check_public_key, signing_input, verify

POSSESSION_DOMAIN = b"creditledger/possession/1"
# SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) up to the key itself.
_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")


class KeyRole(StrEnum):
    """What a member's key is for."""

    MEMBER = "member"  # signs transactions and issues the TLS certificates
    NODE = "node"  # signs votes


def possession_input(chain_id: bytes, member_id: str, role: KeyRole, key: bytes) -> bytes:
    """Return the bytes that the new key signs."""
    return signing_input(POSSESSION_DOMAIN, chain_id, role.value, encode((member_id, key)))


def prove_possession(key: SigningKey, chain_id: bytes, member_id: str, role: KeyRole) -> bytes:
    """Return the 64-byte proof that `key` is held, for `member_id` on this chain in this role."""
    return key.sign(possession_input(chain_id, member_id, role, key.public_key))


def check_possession(
    chain_id: bytes, member_id: str, role: KeyRole, key: bytes, proof: bytes
) -> None:
    """Raise `Rejected` (1102 for a weak key, 2606) unless `proof` is the key's own."""
    try:
        check_public_key(key)
    except CreditLedgerError as error:
        raise Rejected(error.code, f"new {role} key of {member_id}: {error.message}") from None
    try:
        verify(key, proof, possession_input(chain_id, member_id, role, key))
    except Refused:
        raise Rejected(
            Code.KEY_UNPROVEN,
            f"proof does not show that the holder of the new {role} key means member {member_id} "
            "of this chain: sign it with the new key",
        ) from None


def check_certificate_key(member_id: str, certificate: bytes, key: bytes) -> None:
    """Raise `Rejected` (2606) unless the DER certificate is of `key`, as far as bytes tell.

    Only that the key stands in it is looked at, because every node must come to the same verdict
    whatever its X.509 library; a node takes no certificate that its library does not parse.
    """
    if certificate.count(_SPKI_PREFIX + key) != 1 or certificate.count(_SPKI_PREFIX) != 1:
        raise Rejected(
            Code.KEY_UNPROVEN,
            f"certificate of {member_id} is not one of the Ed25519 key {key.hex()}",
        )
