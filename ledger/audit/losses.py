"""What a damaged place held, in words: from the keys that were in it or the range around it.

The store's keys say what they belong to (`ledger.storage.chain_store`, `ledger.state.tables`), so
the loss is told as an operator thinks of it: headers, transactions, results, certificates and
bodies of blocks 12 to 15, entries of the state, nodes of its tree.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledger.audit.leveldb_files import FormatError, batch_entries
from ledger.state.leaf_keys import LEAF_KEYS
from ledger.state.tables import ALL_TABLES
from ledger.storage.chain_store import (
    BODIES,
    CERTIFICATES,
    FATES,
    HEADERS,
    META,
    RESULTS,
    TRANSACTIONS,
)

NOTHING = "nothing: not part of the stored data"
_TREE = b"t"
_BY_HEIGHT = {
    CERTIFICATES: "certificates",
    HEADERS: "headers",
    RESULTS: "results",
    TRANSACTIONS: "transactions",
    BODIES: "record bodies",
}
_OTHERS = {
    FATES: "index of transaction ids",
    META: "head and genesis",
    b"nV": "this node's own fact about its votes",
    **{table.prefix: f"state ({table.name})" for table in ALL_TABLES},
    _TREE: "state tree",
    LEAF_KEYS: "keys of the state tree's leaves",
}
_CLASSES = dict(sorted((_BY_HEIGHT | _OTHERS).items()))


def describe_keys(keys: Iterable[bytes]) -> str:
    """Return what these keys hold."""
    heights: dict[bytes, set[int]] = {}
    counts: dict[bytes, int] = {}
    for key in keys:
        prefix = _prefix(key)
        if prefix in _BY_HEIGHT:
            heights.setdefault(prefix, set()).add(_height(key, prefix))
        counts[prefix] = counts.get(prefix, 0) + 1
    words = []
    for prefix, count in sorted(counts.items()):
        if prefix in heights:
            words.append(f"{_BY_HEIGHT[prefix]} of {_blocks(heights[prefix])}")
        else:
            name = _OTHERS.get(prefix, "unknown entries")
            words.append(f"{name}: {count} {'entry' if count == 1 else 'entries'}")
    return "; ".join(words) or "nothing that can be told"


def describe_record(payload: bytes) -> str:
    """Return what a damaged log record held, as far as it can still be read."""
    keys: list[bytes] = []
    try:
        for key, _ in batch_entries(payload):
            keys.append(key)
    except FormatError:
        keys = [key for key in keys if _prefix(key) in _CLASSES]
        return f"{describe_keys(keys)}, and what followed in the same write"
    return describe_keys(keys)


def describe_range(low: bytes | None, high: bytes | None) -> str:
    """Return what may lie at low ≤ key ≤ high (None: open)."""
    first, last = low or b"", b"\xff" * 20 if high is None else high
    words = []
    for prefix, name in _CLASSES.items():
        end = prefix + b"\xff" * 20
        if end < first or prefix > last:
            continue
        if prefix not in _BY_HEIGHT:
            words.append(name)
            continue
        begin = _height(first, prefix) if first.startswith(prefix) else None
        stop = _height(last, prefix) if last.startswith(prefix) else None
        words.append(f"{name} of {_span(begin, stop)}")
    return "; ".join(words) or NOTHING


def _prefix(key: bytes) -> bytes:
    return key[:1] if key[:1] in (BODIES, _TREE, LEAF_KEYS) else key[:2]


def _height(key: bytes, prefix: bytes) -> int:
    digits = key[len(prefix) : len(prefix) + 8]
    return int.from_bytes(digits.ljust(8, b"\x00"), "big")


def _span(first: int | None, last: int | None) -> str:
    if first is None and last is None:
        return "all blocks"
    if first is None:
        return f"blocks up to {last}"
    if last is None:
        return f"blocks from {first}"
    return f"block {first}" if first == last else f"blocks {first} to {last}"


def _blocks(heights: set[int]) -> str:
    first, last = min(heights), max(heights)
    if len(heights) == last - first + 1:
        return _span(first, last)
    return "blocks " + ", ".join(str(height) for height in sorted(heights)[:20])
