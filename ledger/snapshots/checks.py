"""The judging of pieces: each against its parent in the tree, as it comes (rule 41, F26).

Nodes must hash to what the node above says, buckets to what level 4 says, and a bucket's leaves are
the hashes of the keys and values that are sent. A company's entries must come in order, no more
than its leaf counts, and add up to its leaf's sum; bodies must have the digests of their records.
Everything else is `Refused` with 1310, and whoever sent it is not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ledger.encoding import decode
from ledger.errors import Code, Refused
from ledger.snapshots.limits import PIECE_BYTES, PIECE_BYTES_MAX
from ledger.snapshots.places import COMPANY_PREFIXES, get_body_places
from ledger.state.overlay import entry_digest
from ledger.state.sums import EMPTY_SUM, SUM_BYTES, changed_sum
from ledger.state.tables import COMPANY_KEY_BYTES
from ledger.state.tree import (
    DEPTH,
    EMPTY_HASH,
    NODE_BYTES,
    WIDTH,
    bucket_hash,
    expand_node,
    node_hash,
)
from ledger.transactions.records import decode_record, record_digest

Pair = tuple[bytes, bytes]
Place = tuple[int, int]


def invalid(text: str) -> Refused:
    """Return the error of a piece that is not what it should be."""
    return Refused(Code.STATE_PIECE_INVALID, text)


def decode_piece(data: bytes, what: str, most: int) -> tuple[Any, ...]:
    """Return the items of an answer, 1 to `most`; a piece that ends early must be full."""
    value = decode_items(data, what, most)
    if len(value) < most and len(data) < PIECE_BYTES:
        raise invalid(f"{len(value)} {what} in {len(data)} bytes, want {most} or a full piece")
    return value


def decode_items(data: bytes, what: str, most: int) -> tuple[Any, ...]:
    """Return the items of an answer, 1 to `most`."""
    value = decode(data, max_bytes=PIECE_BYTES_MAX)
    if type(value) is not tuple or not 1 <= len(value) <= most:
        raise invalid(f"{what} are not a list of 1 to {most}")
    return value


def check_nodes(
    data: bytes, places: Sequence[Place], above: Mapping[Place, bytes]
) -> dict[Place, bytes]:
    """Return the node at each place, each hashed against the one above it.

    `above` gives the hashes of the first level; nodes of 512 bytes, empty ones are left out.
    """
    items = decode_piece(data, "nodes", len(places))
    if len(items) != len(places):
        raise invalid(f"{len(items)} nodes, want {len(places)}")
    wanted, found = dict(above), {}
    for place, stored in zip(places, items, strict=True):
        level, index = place
        if type(stored) is not bytes or len(stored) > NODE_BYTES:
            raise invalid(f"node {index} of level {level} is not bytes")
        node = expand_node(stored)
        want = wanted.get(place, EMPTY_HASH)
        if len(node) != NODE_BYTES or node_hash(level, node) != want:
            raise invalid(f"node {index} of level {level} is not what its parent says")
        if want == EMPTY_HASH:
            continue
        found[place] = node
        wanted.update(children(place, node))
    return found


def children(place: Place, node: bytes) -> dict[Place, bytes]:
    """Return the hashes of a node's children that are not empty, by their places."""
    level, index = place
    hashes = (node[slot * 32 : slot * 32 + 32] for slot in range(WIDTH))
    return {
        (level + 1, index * WIDTH + slot): item
        for slot, item in enumerate(hashes)
        if item != EMPTY_HASH
    }


def check_buckets(
    data: bytes, asked: Sequence[int], wanted: Mapping[int, bytes]
) -> list[tuple[int, bytes, tuple[Pair, ...]]]:
    """Return (index, bucket, its entries) of the first buckets that were asked for."""
    found = []
    for index, pairs in zip(asked, decode_piece(data, "buckets", len(asked)), strict=False):
        if type(pairs) is not tuple or any(not _is_pair(item) for item in pairs):
            raise invalid(f"bucket {index} is not a list of keys and values")
        leaves = [sha256(key).digest() + sha256(value).digest() for key, value in pairs]
        bucket = b"".join(leaves)
        if bucket_hash(bucket) != wanted[index]:
            raise invalid(f"bucket {index} of level {DEPTH} is not what its parent says")
        found.append((index, bucket, pairs))
    return found


def _is_pair(item: object) -> bool:
    return type(item) is tuple and [type(part) for part in item] == [bytes, bytes]


@dataclass(slots=True)
class CompanyCheck:
    """The entries of one company while they come in; `total` and `count` are its leaf's."""

    company: bytes
    total: bytes
    count: int
    after: bytes = b""
    _sum: bytes = EMPTY_SUM
    _seen: int = field(default=0)

    def take(self, entries: object) -> list[tuple[bytes, bytes, tuple[Pair, ...]]]:
        """Return (key, value, bodies with their keys) of the next entries, in order."""
        if type(entries) is not tuple:
            raise invalid("entries of a company are not a list")
        taken = [self._take(item) for item in entries]
        self._seen += len(taken)
        if self._seen > self.count:
            raise invalid(f"company {self._name} has more than {self.count} entries")
        self._sum = changed_sum(self._sum, [entry_digest(key, value) for key, value, _ in taken])
        return taken

    def finish(self) -> None:
        """Raise `Refused` unless these were all entries of the company, as its leaf says."""
        if self._seen != self.count or self._sum != self.total:
            raise invalid(
                f"company {self._name}: {self._seen} entries, want {self.count} that add up to "
                "the sum in its leaf"
            )

    @property
    def _name(self) -> str:
        return self.company.decode(errors="replace")

    def _take(self, item: Any) -> tuple[bytes, bytes, tuple[Pair, ...]]:
        if type(item) is not tuple or [type(part) for part in item] != [bytes, bytes, tuple]:
            raise invalid("entry of a company is not a key, a value and bodies")
        key, value, bodies = item
        is_own = key[:2] in COMPANY_PREFIXES and key[2 : 2 + COMPANY_KEY_BYTES] == self.company
        if not is_own or key <= self.after:
            raise invalid(f"entry {key.hex()[:80]} is not the company's, or out of order")
        self.after = key
        return key, value, self._check_bodies(key, value, bodies)

    def _check_bodies(self, key: bytes, value: bytes, bodies: tuple[Any, ...]) -> tuple[Pair, ...]:
        places = [place for place in get_body_places(key, value) if place is not None]
        if len(bodies) != len(places) or any(type(body) is not bytes for body in bodies):
            raise invalid(f"{len(bodies)} bodies with an entry of {len(places)} records")
        for place, body in zip(places, bodies, strict=True):
            if record_digest(body) != place.digest:
                raise invalid("a body is not that of its record")
            if decode_record(body).company.encode() != self.company:
                raise invalid("a body is of another company")
        return tuple((place.key, body) for place, body in zip(places, bodies, strict=True))


def read_company_leaf(company: bytes, value: bytes) -> CompanyCheck:
    """Return the check of a company's entries by its leaf, which is proved already."""
    leaf = decode(value)
    if type(leaf) is not tuple or len(leaf) != 4 or type(leaf[3]) is not int:
        raise invalid("leaf of a company has no sum: the chain has no snapshots")
    if type(leaf[2]) is not bytes or len(leaf[2]) != SUM_BYTES:
        raise invalid(f"sum in the leaf of a company is not {SUM_BYTES} bytes")
    return CompanyCheck(company, leaf[2], leaf[3])
