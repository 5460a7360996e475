"""The last check of a replay: stored state, tree, indexes and bodies against the replayed ones.

Both stores are read side by side. Whoever changed an entry behind the chain's back, without
touching a block, is found here; an index entry or a body still tells its block and transaction.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.audit.report import Finding, FoundError
from ledger.encoding import decode
from ledger.errors import Refused
from ledger.state.leaf_keys import LEAF_KEYS
from ledger.state.tables import ALL_TABLES, COMPANY_KEY_BYTES, Scope
from ledger.storage.chain_store import BODIES, FATES, META
from ledger.storage.store import Reader

_COMPARED = (META, FATES, b"s", b"t", LEAF_KEYS, BODIES)
_LAST = b"\xff" * 64
Entry = tuple[bytes, bytes]


def compare_stores(stored: Reader, replayed: Reader, head: int) -> int:
    """Return how many entries are equal; raise `FoundError` at the first that is not.

    `head` is the last block, which is named where an entry belongs to no block.
    """
    count = 0
    for prefix in _COMPARED:
        left = stored.scan(prefix, prefix + _LAST)
        right = replayed.scan(prefix, prefix + _LAST)
        for found, want in _side_by_side(left, right):
            if found != want:
                raise FoundError(_name_entry(found, want, head))
            count += 1
    return count


def _side_by_side(
    left: Iterator[Entry], right: Iterator[Entry]
) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Yield the entries of both in pairs; whoever compares stops at the first that differ."""
    while True:
        pair = next(left, None), next(right, None)
        if pair == (None, None):
            return
        yield pair


def _name_entry(found: Entry | None, want: Entry | None, head: int) -> Finding:
    """Return the finding for an entry that the replay does not have, or has otherwise."""
    key = min(entry[0] for entry in (found, want) if entry is not None)
    reason, of_key = "is altered", want
    if want is None or want[0] != key:
        reason, of_key = "should not be there", found
    elif found is None or found[0] != key:
        reason = "is missing"
    if key.startswith(FATES):
        place = _place_of_fate(of_key)
        return Finding("index of transaction ids", reason, *place, key[len(FATES) :])
    if key.startswith(BODIES):
        height, position, index = (
            int.from_bytes(key[start:end], "big") for start, end in ((1, 9), (9, 13), (13, 17))
        )
        return Finding(f"body of record {index}", reason, height, position)
    if key.startswith(META):
        return Finding(f"fact {key[len(META) :].decode(errors='replace')}", reason, head)
    table = next((item for item in ALL_TABLES if key.startswith(item.prefix)), None)
    part, entry = "state tree", key.hex()
    if table is not None:
        part = f"state ({table.name})"
        if table.scope is Scope.COMPANY:
            entry += f" of company {key[2 : 2 + COMPANY_KEY_BYTES].decode(errors='replace')}"
    return Finding(part, f"entry {entry} {reason} after the last block", head)


def _place_of_fate(entry: Entry | None) -> tuple[int | None, int | None]:
    try:
        height, position, _ = decode(b"" if entry is None else entry[1])
    except (Refused, ValueError, TypeError):
        return None, None
    return height, position
