"""The latest current record of a company by the value of a field, for assets that look one up.

LATEST_BY_KEY holds, under company ‖ record schema ‖ hash of (field, value), where it stands.
It is kept only for the fields that asset features of a registered schema name.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, TypeAlias

from ledger.encoding import encode_own
from ledger.state.overlay import Overlay
from ledger.state.tables import LATEST_BY_KEY

HASH_KEY_BYTES = 16
Pointer: TypeAlias = tuple[int, int, int, int, int]  # day, seq, height, position, index


def hash16(data: bytes) -> bytes:
    """Return the first 16 bytes of the SHA-256 of `data`."""
    return sha256(data).digest()[:HASH_KEY_BYTES]


def lookup_key(company: bytes, schema: bytes, field_name: str, value: str) -> bytes:
    """Return the key of a field's value; `schema` is `RecordSchema.key`."""
    return company + schema + hash16(encode_own((field_name, value)))


def keep_lookup(
    state: Overlay,
    company: bytes,
    schema: bytes,
    fields: Mapping[str, Any],
    name: str,
    pointer: Pointer,
) -> None:
    """Let a record be found by its field `name`, unless a later one of the same value is."""
    value = fields.get(name)
    if type(value) is not str:
        return
    key = lookup_key(company, schema, name, value)
    present = state.get(LATEST_BY_KEY, key)
    if present is None or pointer[:2] >= (present[0], present[1]):
        state.put(LATEST_BY_KEY, key, pointer)
