"""Ed25519 identities: signing with domain tags, strict verification (DESIGN 5, F77, F81).

A signature is over `signing_input(domain, chain_id, kind, payload)`: the parts are length-prefixed,
so no signature made for one role, chain or kind is valid in another. Verification is libsodium's
(PyNaCl): it refuses small-order and non-canonical points and S ≥ L by itself, and releases the
interpreter lock. One library decides on every node; `tests/` hold its verdicts against OpenSSL
with an explicit pre-check, and against the published vectors. Raw keys are 32 bytes, signatures 64.
"""

from __future__ import annotations

from collections.abc import Iterable

from nacl import bindings
from nacl.exceptions import BadSignatureError

from ledger.errors import Code, LocalError, Refused

PUBLIC_KEY_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64
CHAIN_ID_BYTES = 32

TX_DOMAIN = b"creditledger/transaction/1"
VOTE_DOMAIN = b"creditledger/pbft/1"
SESSION_DOMAIN = b"creditledger/session/1"
STATEMENT_DOMAIN = b"creditledger/statement/1"


def signing_input(domain: bytes, chain_id: bytes, kind: str, payload: bytes) -> bytes:
    """Return the bytes to be signed: each part behind its length, the payload last (rule 5)."""
    name = kind.encode()
    return b"".join((bytes((len(domain),)), domain, chain_id, bytes((len(name),)), name, payload))


class SigningKey:
    """A private Ed25519 key, from its 32-byte seed (RFC 8032)."""

    __slots__ = ("_secret", "public_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise LocalError(Code.KEY_MALFORMED, f"seed of {len(seed)} bytes, want {SEED_BYTES}")
        self.public_key, self._secret = bindings.crypto_sign_seed_keypair(seed)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        signed: bytes = bindings.crypto_sign(message, self._secret)
        return signed[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey(public_key={self.public_key.hex()})"


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Raise `Refused` (1101, 1103, 1104) unless `signature` is `public_key`'s over `message`."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise Refused(Code.KEY_MALFORMED, f"public key of {len(public_key)} bytes, want 32")
    if len(signature) != SIGNATURE_BYTES:
        raise Refused(Code.SIGNATURE_MALFORMED, f"signature of {len(signature)} bytes, want 64")
    try:
        bindings.crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        raise Refused(Code.SIGNATURE_INVALID, "signature does not verify") from None


def is_valid(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether `verify` would accept; for callers that collect verdicts in worker threads."""
    try:
        verify(public_key, signature, message)
    except Refused:
        return False
    return True


def verify_many(items: Iterable[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Return one verdict for each (public key, signature, message); meant for a worker thread."""
    return [is_valid(*item) for item in items]


def check_public_key(public_key: bytes) -> None:
    """Raise `Refused` unless the key may be registered: canonical, of prime order (F85)."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise Refused(Code.KEY_MALFORMED, f"public key of {len(public_key)} bytes, want 32")
    if not bindings.crypto_core_ed25519_is_valid_point(public_key):
        raise Refused(Code.KEY_WEAK, "public key is not a canonical point of the prime-order group")
