"""Changes of members with real keys and certificates, made without a chain between them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from ledger.chain.certificate import Certificate, checkpoint_signing_input, quorum
from ledger.chain.epochs import EpochChange, EpochSet, Validators
from ledger.chain.hashes import ZERO_HASH
from ledger.chain.header import Header
from ledger.chain.merkle import EMPTY_ROOT
from ledger.keys import SigningKey

CHAIN_ID = bytes(range(32))


def node_key(name: str) -> SigningKey:
    """Return the signing key of a made-up node."""
    return SigningKey(sha256(name.encode()).digest())


def validators(*names: str) -> Validators:
    """Return members in order; "D01.2" is D01 with another key than "D01"."""
    return tuple((name.partition(".")[0], node_key(name).public_key) for name in names)


def last_header(epoch: int, height: int, members_root: bytes) -> Header:
    """Return a header of the last block of `epoch`."""
    return Header(
        1,
        CHAIN_ID,
        height,
        bytes([1]) * 32,
        1_600_000_000_000 + height,
        ZERO_HASH,
        EMPTY_ROOT,
        bytes([7]) * 32,
        members_root,
        epoch,
        0,
    )


def certify_as(header: Header, names: Sequence[str], signers: range | None = None) -> Certificate:
    """Return the header's certificate by the members of those names, of Q unless told."""
    block_hash = header.hash()
    votes = []
    for index in range(quorum(len(names))) if signers is None else signers:
        message = checkpoint_signing_input(
            header.chain_id, header.epoch, header.height, block_hash, index
        )
        votes.append((index, node_key(names[index]).sign(message)))
    return Certificate(header.epoch, header.height, block_hash, tuple(votes))


def change_of(epoch: int, height: int, before: Sequence[str], after: Sequence[str]) -> EpochChange:
    """Return the change that ends `epoch` with block `height`."""
    members = validators(*after)
    header = last_header(epoch, height, EpochSet(epoch + 1, members).root())
    return EpochChange(header, certify_as(header, before), members)
