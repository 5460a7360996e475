"""Dumb twins: the same answers as the ledger's clever functions, by the shortest way to be right.

They follow the definitions and care for nothing else; tests and the vector runner compare.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIELD_PRIME = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_Y_OF_ORDER_8 = (
    2707385501144840649318225287225658788936804267575313519463743609750303021022,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
)
_SMALL_ORDER_Y = frozenset({0, 1, FIELD_PRIME - 1, *_Y_OF_ORDER_8})


def naive_encode(value: Any) -> bytes:
    """Return the canonical msgpack of `value`, written out from the specification."""
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _naive_int(value)
    if isinstance(value, str):
        data = value.encode()
        return _head(len(data), ((32, 0xA0, ""), (2**8, 0xD9, ">B"), *_WIDE_STR)) + data
    if isinstance(value, bytes):
        heads = ((2**8, 0xC4, ">B"), (2**16, 0xC5, ">H"), (2**32, 0xC6, ">I"))
        return _head(len(value), heads) + value
    if isinstance(value, Mapping):
        heads = ((16, 0x80, ""), (2**16, 0xDE, ">H"), (2**32, 0xDF, ">I"))
        keys = sorted(value, key=lambda key: key.encode())
        items = b"".join(naive_encode(key) + naive_encode(value[key]) for key in keys)
        return _head(len(keys), heads) + items
    heads = ((16, 0x90, ""), (2**16, 0xDC, ">H"), (2**32, 0xDD, ">I"))
    return _head(len(value), heads) + b"".join(naive_encode(item) for item in value)


_WIDE_STR = ((2**16, 0xDA, ">H"), (2**32, 0xDB, ">I"))


def _head(length: int, heads: Sequence[tuple[int, int, str]]) -> bytes:
    """Return the first head whose limit the length is below; an empty format is a fix type."""
    for limit, byte, form in heads:
        if length < limit:
            return bytes((byte,)) + struct.pack(form, length) if form else bytes((byte | length,))
    raise ValueError(length)


def _naive_int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b" if value < 0 else ">B", value)
    if value > 0:
        forms = ((2**8, 0xCC, ">B"), (2**16, 0xCD, ">H"), (2**32, 0xCE, ">I"), (2**64, 0xCF, ">Q"))
        return _head(value, forms)
    for bits, byte, form in ((8, 0xD0, ">b"), (16, 0xD1, ">h"), (32, 0xD2, ">i"), (64, 0xD3, ">q")):
        if value >= -(1 << bits - 1):
            return bytes((byte,)) + struct.pack(form, value)
    raise ValueError(value)


def naive_verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Return OpenSSL's verdict behind the explicit pre-check of PBFT.md part 4."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    if not (_is_sound_point(public_key) and _is_sound_point(signature[:32])):
        return False
    if int.from_bytes(signature[32:], "little") >= GROUP_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _is_sound_point(encoding: bytes) -> bool:
    """Tell whether the encoding is canonical and not of a point of order 1, 2, 4 or 8."""
    y = int.from_bytes(encoding, "little") & (2**255 - 1)
    return y < FIELD_PRIME and y not in _SMALL_ORDER_Y


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of the leaves' data by the recursion of RFC 9162, 2.1.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = _split(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path by the recursion of RFC 9162, 2.1.3.1."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*naive_inclusion(leaves[:split], index), naive_root(leaves[split:])]
    return [*naive_inclusion(leaves[split:], index - split), naive_root(leaves[:split])]


def naive_consistency(leaves: Sequence[bytes], old_size: int, is_whole: bool = True) -> list[bytes]:
    """Return the consistency proof by the recursion of RFC 9162, 2.1.4.1."""
    if old_size == len(leaves):
        return [] if is_whole else [naive_root(leaves)]
    split = _split(len(leaves))
    if old_size <= split:
        return [*naive_consistency(leaves[:split], old_size, is_whole), naive_root(leaves[split:])]
    rest = naive_consistency(leaves[split:], old_size - split, False)
    return [*rest, naive_root(leaves[:split])]


def naive_subtree_consistency(
    leaves: Sequence[bytes], start: int, end: int, is_whole: bool = True
) -> list[bytes]:
    """Return the proof that [start, end) is part of the tree (draft merkle-tree-certs, 4.4)."""
    size = len(leaves)
    if (start, end) == (0, size):
        return [] if is_whole else [naive_root(leaves)]
    split = _split(size)
    if end <= split:
        left = naive_subtree_consistency(leaves[:split], start, end, is_whole)
        return [*left, naive_root(leaves[split:])]
    if start >= split:
        rest = naive_subtree_consistency(leaves[split:], start - split, end - split, is_whole)
        return [*rest, naive_root(leaves[:split])]
    rest = naive_subtree_consistency(leaves[split:], 0, end - split, False)
    return [*rest, naive_root(leaves[:split])]


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
