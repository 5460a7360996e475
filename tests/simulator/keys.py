"""Keys of simulated members: fast keyed hashes in place of Ed25519, or the real thing.

The fast scheme binds a signature to the member and to every byte signed, and is deterministic, as
Ed25519 is; that is all the protocol needs of it. Nobody in the simulator can sign for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Protocol

from ledger.errors import Code, Refused
from ledger.keys import SigningKey, is_valid

Item = tuple[bytes, bytes, bytes]


class Keyring(Protocol):
    """The keys of all members of a run."""

    public_keys: tuple[bytes, ...]

    def signer(self, index: int) -> Callable[[bytes], bytes]:
        """Return the function that signs for member `index`."""

    def is_valid(self, item: Item) -> bool:
        """Tell whether (public key, signature, message) verifies."""


class FastKeyring:
    """Signatures are BLAKE2b under a secret of the member."""

    def __init__(self, size: int) -> None:
        self._secrets = [bytes((index & 255, index >> 8)) * 16 for index in range(size)]
        self.public_keys = tuple(blake2b(key, digest_size=32).digest() for key in self._secrets)
        self._by_public = dict(zip(self.public_keys, self._secrets, strict=True))

    def signer(self, index: int) -> Callable[[bytes], bytes]:
        """Return the function that signs for member `index`."""
        secret = self._secrets[index]
        return lambda message: blake2b(message, key=secret).digest()

    def is_valid(self, item: Item) -> bool:
        """Tell whether (public key, signature, message) verifies."""
        public_key, signature, message = item
        return blake2b(message, key=self._by_public[public_key]).digest() == signature


class RealKeyring:
    """Ed25519, as in a real node; slower."""

    def __init__(self, size: int) -> None:
        self._keys = [SigningKey(index.to_bytes(32, "big")) for index in range(1, size + 1)]
        self.public_keys = tuple(key.public_key for key in self._keys)

    def signer(self, index: int) -> Callable[[bytes], bytes]:
        """Return the function that signs for member `index`."""
        return self._keys[index].sign

    def is_valid(self, item: Item) -> bool:
        """Tell whether (public key, signature, message) verifies."""
        return is_valid(*item)


def verifier_of(keyring: Keyring) -> Callable[[bytes, bytes, bytes], None]:
    """Return a check that raises for a wrong signature, as `ledger.keys.verify` does."""

    def check(public_key: bytes, signature: bytes, message: bytes) -> None:
        if not keyring.is_valid((public_key, signature, message)):
            raise Refused(Code.SIGNATURE_INVALID, "signature does not verify")

    return check


def are_valid(keyring: Keyring, items: Sequence[Item]) -> bool:
    """Tell whether all signatures of a message verify."""
    return all(keyring.is_valid(item) for item in items)
