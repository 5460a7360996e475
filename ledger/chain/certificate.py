"""Checkpoint votes and block certificates (rule 18).

A CHECKPOINT(n, d) says "I executed block n and its hash is d". Exactly Q of them from distinct
members, sorted by member, all valid, are the block's certificate: any other number, order or one
invalid signature makes it invalid, so every tool gives one verdict (F88). This module holds what a
CHECKPOINT signs, and the arithmetic of quorums, because auditors need both without consensus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.chain.hashes import HASH_BYTES
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from ledger.keys import SIGNATURE_BYTES, VOTE_DOMAIN, signing_input, verify

CHECKPOINT_KIND = "checkpoint"
MAX_MEMBERS = 1000


def fault_bound(members: int) -> int:
    """Return f = ⌊(n−1)/3⌋, the number of arbitrary faults that n members survive."""
    return (members - 1) // 3


def quorum(members: int) -> int:
    """Return Q = ⌈(n+f+1)/2⌉ (rule 1); not 2f+1, which forks where n ≠ 3f+1."""
    return (members + fault_bound(members) + 2) // 2


def weak_quorum(members: int) -> int:
    """Return W = f+1: at least one of them is honest."""
    return fault_bound(members) + 1


def checkpoint_payload(epoch: int, height: int, block_hash: bytes, signer: int) -> bytes:
    """Return the payload that member `signer` of `epoch` signs for block `height`."""
    return encode((epoch, height, block_hash, signer))


def checkpoint_signing_input(
    chain_id: bytes, epoch: int, height: int, block_hash: bytes, signer: int
) -> bytes:
    """Return the whole signed input of a CHECKPOINT (rule 5)."""
    payload = checkpoint_payload(epoch, height, block_hash, signer)
    return signing_input(VOTE_DOMAIN, chain_id, CHECKPOINT_KIND, payload)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Q checkpoint votes on one block: (member index, signature) pairs, indices increasing."""

    epoch: int
    height: int
    block_hash: bytes
    votes: tuple[tuple[int, bytes], ...]

    def __post_init__(self) -> None:
        _check_shape(self)

    def to_value(self) -> tuple[object, ...]:
        """Return the value to encode."""
        return (self.epoch, self.height, self.block_hash, self.votes)

    def encoded(self) -> bytes:
        """Return the canonical bytes."""
        return encode(self.to_value())


def _check_shape(certificate: Certificate) -> None:
    for number in (certificate.epoch, certificate.height):
        if type(number) is not int or not 0 <= number < 2**63:
            raise Refused(Code.CERTIFICATE_INVALID, "certificate number is out of range")
    if type(certificate.block_hash) is not bytes or len(certificate.block_hash) != HASH_BYTES:
        raise Refused(Code.CERTIFICATE_INVALID, "certificate block hash is not 32 bytes")
    if type(certificate.votes) is not tuple or len(certificate.votes) > MAX_MEMBERS:
        raise Refused(Code.CERTIFICATE_INVALID, "certificate votes are not a bounded list")
    previous = -1
    for vote in certificate.votes:
        if type(vote) is not tuple or len(vote) != 2:
            raise Refused(Code.CERTIFICATE_INVALID, "certificate vote is not a pair")
        signer, signature = vote
        if type(signer) is not int or signer <= previous or signer >= MAX_MEMBERS:
            raise Refused(Code.CERTIFICATE_INVALID, "certificate signers are not increasing")
        if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
            raise Refused(Code.CERTIFICATE_INVALID, "certificate signature is not 64 bytes")
        previous = signer


def certificate_from_value(value: object) -> Certificate:
    """Return the certificate of a decoded value; raise `Refused` (1302)."""
    if type(value) is not tuple or len(value) != 4:
        raise Refused(Code.CERTIFICATE_INVALID, "certificate is not a list of 4 fields")
    return Certificate(*value)


def decode_certificate(data: bytes) -> Certificate:
    """Return the certificate of canonical bytes; raise `Refused` (10xx, 1302)."""
    return certificate_from_value(decode(data))


def verify_certificate(
    certificate: Certificate, chain_id: bytes, public_keys: Sequence[bytes]
) -> None:
    """Raise unless exactly Q of the epoch's ordered members validly signed the block hash."""
    want = quorum(len(public_keys))
    if len(certificate.votes) != want:
        raise Refused(
            Code.CERTIFICATE_INVALID, f"certificate has {len(certificate.votes)} votes, want {want}"
        )
    for signer, signature in certificate.votes:
        if signer >= len(public_keys):
            raise Refused(Code.CERTIFICATE_INVALID, f"certificate signer {signer} is no member")
        message = checkpoint_signing_input(
            chain_id, certificate.epoch, certificate.height, certificate.block_hash, signer
        )
        try:
            verify(public_keys[signer], signature, message)
        except Refused:
            raise Refused(
                Code.CERTIFICATE_INVALID, f"signature of member {signer} does not verify"
            ) from None
