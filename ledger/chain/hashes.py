"""SHA-256 with domain tags: every hash that the chain stores says what it is a hash of.

A tag is length-prefixed and comes first, so that the bytes of one structure can never be read as
another's. Merkle trees use the prefixes of RFC 9162 instead (`ledger.chain.merkle`).
"""

from __future__ import annotations

from hashlib import sha256

HASH_BYTES = 32
ZERO_HASH = bytes(HASH_BYTES)

TRANSACTION_TAG = b"creditledger/tx-id/1"
SIGNED_TRANSACTION_TAG = b"creditledger/tx-signed/1"
BATCH_TAG = b"creditledger/batch/1"
NULL_TAG = b"creditledger/null/1"
BLOCK_TAG = b"creditledger/block/1"
MEMBERS_TAG = b"creditledger/members/1"
GENESIS_TAG = b"creditledger/genesis/1"


def tagged_hash(tag: bytes, *parts: bytes) -> bytes:
    """Return SHA-256 over the length-prefixed tag and the parts; callers frame variable parts."""
    return sha256(b"".join((bytes((len(tag),)), tag, *parts))).digest()
