"""Ids in the bodies of transactions: hexadecimal text that names something on the chain.

Consents, assets, alerts are named by the first 16 bytes of what made them, applications and loans
by the 32 bytes of the transaction that applied. On the wire an id is lower-case hexadecimal.
"""

from __future__ import annotations

from ledger.errors import Code, Rejected
from ledger.transactions.fields import Fields

_DIGITS = frozenset("0123456789abcdef")


def read_id(body: Fields, name: str, length: int, unknown: Code) -> bytes:
    """Return the `length` bytes that field `name` writes; raise `Rejected(unknown)` for others."""
    text = body.text(name)
    if len(text) != 2 * length or not _DIGITS.issuperset(text):
        raise Rejected(unknown, f"{name} is not {2 * length} digits 0-9 a-f")
    return bytes.fromhex(text)
