"""Where things lie in a state: subtrees, tables of companies, and bodies of records.

Execution reads the body of a record when the record is corrected, when its day is built again or
when a feature looks it up; a record that was corrected or erased is never read again. So the bodies
that go with a state are those of the records that nobody corrected and nothing erased.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.encoding import decode_own
from ledger.errors import Code, CreditLedgerError, Refused
from ledger.snapshots.limits import SUBTREE_LEVEL
from ledger.state.tables import ALL_TABLES, COMPANIES, COMPANY_KEY_BYTES, RECORDS, Scope
from ledger.state.tree import DEPTH, WIDTH
from ledger.storage.chain_store import body_key
from ledger.storage.store import Reader

COMPANY_PREFIXES = tuple(
    sorted(table.prefix for table in ALL_TABLES if table.scope is Scope.COMPANY)
)
_BUCKETS_A_SUBTREE: int = WIDTH ** (DEPTH - SUBTREE_LEVEL)
_STATUS, _ERASED = 7, 3  # an order of the chain: nobody reads the body again
_CORRECTED_BY = 9  # in `ledger.credit.records.RecordEntry`, as DIGEST and the place of the body
_DIGEST = 2
_BODY_PLACE = slice(4, 7)


@dataclass(frozen=True, slots=True)
class BodyPlace:
    """A body that goes with a state: its key in the store, the digest of its record."""

    key: bytes
    digest: bytes


def subtree_buckets(subtree: int) -> range:
    """Return the indices of a subtree's buckets."""
    first = subtree * _BUCKETS_A_SUBTREE
    return range(first, first + _BUCKETS_A_SUBTREE)


def subtree_nodes(subtree: int) -> Iterator[tuple[int, int]]:
    """Yield (level, index) of a subtree's nodes from the top down, buckets apart."""
    for level in range(SUBTREE_LEVEL, DEPTH):
        width = WIDTH ** (level - SUBTREE_LEVEL)
        for index in range(subtree * width, (subtree + 1) * width):
            yield level, index


def top_nodes() -> Iterator[tuple[int, int]]:
    """Yield (level, index) of the nodes above the subtrees."""
    for level in range(SUBTREE_LEVEL):
        for index in range(WIDTH**level):
            yield level, index


def company_of(physical: bytes) -> bytes | None:
    """Return the company whose leaf this key is, or None."""
    prefix = COMPANIES.prefix
    is_leaf = physical.startswith(prefix) and len(physical) == len(prefix) + COMPANY_KEY_BYTES
    return physical[len(prefix) :] if is_leaf else None


def company_entries(
    reader: Reader, company: bytes, after: bytes = b""
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of a company above the key `after`, in order of table and key."""
    for prefix in COMPANY_PREFIXES:
        low, end = prefix + company, prefix + company[:-1] + bytes((company[-1] + 1,))
        if after >= end:
            continue
        yield from reader.scan(max(low, after + b"\x00" if after else low), end)


def get_body_places(physical: bytes, value: bytes) -> list[BodyPlace | None]:
    """Return where the bodies of the records in an entry lie, None for those not needed.

    Raise `Refused` (1310) where the bytes are no entry of records; other tables have no bodies.
    """
    if not physical.startswith(RECORDS.prefix):
        return []
    places: list[BodyPlace | None] = []
    try:
        for entry in decode_own(value):
            if entry[_CORRECTED_BY] is None and entry[_STATUS] != _ERASED:
                places.append(BodyPlace(body_key(*entry[_BODY_PLACE]), entry[_DIGEST]))
            else:
                places.append(None)
    except (CreditLedgerError, ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise Refused(Code.STATE_PIECE_INVALID, "entry of records is malformed") from error
    return places
