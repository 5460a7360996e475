"""The taking side of state transfer: queries out, pieces in, a proved copy in a store (rule 41).

Each part of a state is fetched by a generator that yields queries and is sent the answers; it
checks them (`ledger.snapshots.checks`), writes what is proved into the staging store, and raises
`Refused` at the first piece that is wrong: then another source is asked, by a new generator. Parts
are the top of the tree, its 256 subtrees and the history before the snapshot.

The store itself says how far one has come: a bucket of the tree is written last, when its entries
and all that its companies consist of are there, and a bucket that stands there with the wanted hash
is not fetched again. Every write is synced, because all of this rests on their order, which LevelDB
keeps in a power cut only so. A transfer goes on after a restart; and when the snapshot that it
began with is not offered any more it goes on with the next one, and fetches what has changed. What
a lying or interrupted source left of a bucket is removed before the bucket is fetched. In memory is
one piece at a time, and the upper nodes.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias

from ledger.snapshots.checks import (
    CompanyCheck,
    check_buckets,
    check_nodes,
    children,
    decode_piece,
    invalid,
    read_company_leaf,
)
from ledger.snapshots.limits import (
    BUCKETS_A_QUERY,
    COMPANIES_A_QUERY,
    PIECE_BYTES,
    SUBTREE_LEVEL,
)
from ledger.snapshots.places import (
    company_entries,
    company_of,
    get_body_places,
    subtree_buckets,
    subtree_nodes,
    top_nodes,
)
from ledger.snapshots.queries import BucketsQuery, CompaniesQuery, NodesQuery, Query, TopQuery
from ledger.state.leaf_keys import LEAF_KEYS, bucket_keys, bucket_of, bucket_range
from ledger.state.tree import DEPTH, EMPTY_HASH, bucket_hash, compress_node, node_key
from ledger.storage.store import Store
from ledger.transactions.records import decode_record

Fetch: TypeAlias = Generator[Query, bytes, None]
Writes: TypeAlias = dict[bytes, "bytes | None"]


def fetch_top(store: Store, root: bytes) -> Generator[Query, bytes, dict[int, bytes]]:
    """Fetch the nodes above the subtrees; return the hash of each subtree that is not empty."""
    if root == EMPTY_HASH:
        return {}
    places = list(top_nodes())
    nodes = check_nodes((yield TopQuery()), places, {(0, 0): root})
    _write(store, _node_writes(store, places, nodes))
    wanted: dict[int, bytes] = {}
    for place, node in nodes.items():
        if place[0] == SUBTREE_LEVEL - 1:
            wanted.update({index: item for (_, index), item in children(place, node).items()})
    return wanted


def fetch_subtree(store: Store, subtree: int, want: bytes) -> Fetch:
    """Fetch what lies below a subtree's node, whose hash is `want`, as far as it is not here."""
    places = list(subtree_nodes(subtree))
    nodes: Mapping[tuple[int, int], bytes] = {}
    if want != EMPTY_HASH:
        answer = yield NodesQuery(subtree)
        nodes = check_nodes(answer, places, {(SUBTREE_LEVEL, subtree): want})
    wanted: dict[int, bytes] = {}
    for place, node in nodes.items():
        if place[0] == DEPTH - 1:
            wanted.update({index: item for (_, index), item in children(place, node).items()})
    missing = _clear_stale(store, subtree, wanted)
    while missing:
        asked = missing[:BUCKETS_A_QUERY]
        found = check_buckets((yield BucketsQuery(tuple(asked))), asked, wanted)
        yield from _fetch_buckets(store, found)
        missing = missing[len(found) :]
    _write(store, _node_writes(store, places, nodes))


def _write(store: Store, writes: Writes) -> None:
    if writes:
        store.write(writes, sync=True)


def _node_writes(
    store: Store, places: Sequence[tuple[int, int]], nodes: Mapping[tuple[int, int], bytes]
) -> Writes:
    """Return the writes that leave just these nodes at the places, which go level by level."""
    writes: Writes = {}
    for level in {level for level, _ in places}:
        indices = [index for found, index in places if found == level]
        low, high = node_key(level, indices[0]), node_key(level, indices[-1])
        writes.update({key: None for key, _ in store.scan(low, high + b"\x00")})
    writes.update({node_key(*place): compress_node(node) for place, node in nodes.items()})
    return writes


def _clear_stale(store: Store, subtree: int, wanted: Mapping[int, bytes]) -> list[int]:
    """Remove buckets that are not wanted as they stand; return those to fetch, in order."""
    buckets = subtree_buckets(subtree)
    low, high = node_key(DEPTH, buckets[0]), node_key(DEPTH, buckets[-1])
    held = set()
    for key, bucket in list(store.scan(low, high + b"\x00")):
        index = int.from_bytes(key[-3:], "big")
        if wanted.get(index) == bucket_hash(bucket):
            held.add(index)
        else:
            _write(store, {key: None})
            clear_bucket(store, index)
    for index in _touched_buckets(store, buckets) - held:
        clear_bucket(store, index)
    return sorted(wanted.keys() - held)


def _touched_buckets(store: Store, buckets: range) -> set[int]:
    """Return which buckets have leaves here, those that were never finished included."""
    low, _ = bucket_range(buckets[0])
    _, end = bucket_range(buckets[-1])
    return {bucket_of(key[len(LEAF_KEYS) :]) for key, _ in store.scan(low, end)}


def clear_bucket(store: Store, index: int) -> None:
    """Remove what the staging store holds of a bucket's leaves, companies and bodies included."""
    writes: Writes = {}
    for key_hash, physical in list(bucket_keys(store, index)):
        company = company_of(physical)
        if company is not None:
            _clear_company(store, company)
        writes[physical] = None
        writes[LEAF_KEYS + key_hash] = None
    _write(store, writes)


def _clear_company(store: Store, company: bytes) -> None:
    for key, value in list(company_entries(store, company)):
        writes: Writes = {key: None}
        for place in get_body_places(key, value):
            body = None if place is None else store.get(place.key)
            # An entry that was a lie may name the place of another company's body.
            if place is not None and body is not None and _is_of(company, body):
                writes[place.key] = None
        _write(store, writes)


def _is_of(company: bytes, body: bytes) -> bool:
    return decode_record(body).company.encode() == company


def _fetch_buckets(
    store: Store, found: Sequence[tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]]
) -> Fetch:
    """Write buckets and fetch their companies; the tree's buckets themselves come last."""
    writes: Writes = {}
    companies: list[CompanyCheck] = []
    for _, bucket, pairs in found:
        for place, (key, value) in enumerate(pairs):
            writes[key] = value
            writes[LEAF_KEYS + bucket[place * 64 : place * 64 + 32]] = key
            company = company_of(key)
            if company is not None:
                companies.append(read_company_leaf(company, value))
    _write(store, writes)
    yield from _fetch_companies(store, [item for item in companies if item.count])
    _write(store, {node_key(DEPTH, index): bucket for index, bucket, _ in found})


def _fetch_companies(store: Store, companies: Sequence[CompanyCheck]) -> Fetch:
    while companies:
        asked = companies[:COMPANIES_A_QUERY]
        names = tuple(item.company for item in asked)
        answer = yield CompaniesQuery(names, asked[0].after)
        parts = decode_piece(answer, "companies", len(asked))
        done = 0
        for check, part in zip(asked, parts, strict=False):
            done += _take_part(store, check, part)
        if done < len(parts) and (done < len(parts) - 1 or len(answer) < PIECE_BYTES):
            raise invalid("a company is not whole, and its piece is not full or goes on")
        companies = companies[done:]


def _take_part(store: Store, check: CompanyCheck, part: Any) -> bool:
    """Write the entries of one company in a piece; return whether it is whole now."""
    if type(part) is not tuple or len(part) != 2 or type(part[1]) is not bool:
        raise invalid("company is not entries and whether they are all")
    entries, is_whole = part[0], bool(part[1])
    writes: Writes = {}
    taken = check.take(entries)
    if not taken and not is_whole:
        raise invalid("piece has no entries")
    for key, value, bodies in taken:
        writes[key] = value
        for body_key, body in bodies:
            if store.get(body_key) not in (None, body):
                raise invalid("two records have one place for their body")
            writes[body_key] = body
    _write(store, writes)
    if is_whole:
        check.finish()
    return is_whole
