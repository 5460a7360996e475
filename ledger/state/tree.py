"""The authenticated map: a Merkle tree of fixed depth over hashed keys (DESIGN 4).

A key hash selects one of 16⁵ buckets by its first 20 bits. A bucket holds its leaves, pairs of key
hash and value hash in key order; above it stand five levels of nodes with 16 children. What is
empty hashes to 32 zero bytes at every level and is not stored, so the tree is sparse; and because
the depth is fixed, a changed key costs the same at ten thousand keys as at ten million.

A node is hashed over its 16 child hashes, a bucket over its leaves, each behind a prefix with its
level, so neither can be read as the other. `StateTree.update` takes all changes of a block, walks
down once, and returns the new root with the writes; it changes nothing itself. Every node that is
read is hashed and compared with what its parent says: a flipped byte on the disk is an error and
never a wrong root that gets signed. The upper levels are cached by their hash, so a cache entry is
never stale, whatever happens to the block.

A proof is the bucket and the nodes above it, the root first; a proof of absence may end early, at
a node whose child towards the key is empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct

from ledger.encoding import decode, encode
from ledger.errors import Code, Refused, StorageError
from ledger.storage.store import Reader, WriteBatch

EMPTY_HASH = bytes(32)
DEPTH = 5
BUCKET_BITS = 20
WIDTH = 16
_HASH = 32
_LEAF = 2 * _HASH
NODE_BYTES = WIDTH * _HASH
_EMPTY_NODE = bytes(NODE_BYTES)
_CHILDREN = Struct(f"{_HASH}s" * WIDTH)
_BITS = tuple(1 << slot for slot in range(WIDTH))
_NODE_PREFIXES = tuple(b"\x01" + bytes((level,)) for level in range(DEPTH))
_BUCKET_PREFIX = b"\x00"
_CACHED_LEVELS = 4
# 1 + 16 + 256 + 4,096 nodes are the four upper levels of a full tree: about 3 MB.
_CACHE_NODES = 4369
MAX_PROOF_BYTES = 64 * 1024

Leaf = tuple[bytes, "bytes | None"]


@dataclass(frozen=True, slots=True)
class TreeUpdate:
    """The root after a block, and the physical writes that bring the stored tree there.

    `added` and `removed` are the key hashes that the tree did not hold before, or does not now.
    """

    root: bytes
    writes: WriteBatch
    added: Sequence[bytes]
    removed: Sequence[bytes]


@dataclass(slots=True)
class _Pending:
    """What an update has come to so far; `added` and `removed` are key hashes."""

    writes: dict[bytes, bytes | None] = field(default_factory=dict)
    added: list[bytes] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows one key's value, or its absence, under a root.

    `nodes` are the 512-byte nodes from the root down; `bucket` the leaves of the key's bucket, or
    None when a node on the way is empty towards the key.
    """

    nodes: tuple[bytes, ...]
    bucket: bytes | None

    def encoded(self) -> bytes:
        """Return the canonical bytes; empty children are left out."""
        return encode((tuple(compress_node(node) for node in self.nodes), self.bucket))


def decode_proof(data: bytes) -> Proof:
    """Return the proof of canonical bytes; raise `Refused` (10xx, 1304)."""
    value = decode(data, max_bytes=MAX_PROOF_BYTES)
    if type(value) is not tuple or len(value) != 2 or type(value[0]) is not tuple:
        raise Refused(Code.PROOF_INVALID, "state proof is not a list of nodes and a bucket")
    nodes, bucket = value
    if len(nodes) > DEPTH or any(type(node) is not bytes for node in nodes):
        raise Refused(Code.PROOF_INVALID, f"state proof nodes are not a list of at most {DEPTH}")
    if bucket is not None and type(bucket) is not bytes:
        raise Refused(Code.PROOF_INVALID, "state proof bucket is not bytes")
    return Proof(tuple(expand_node(node) for node in nodes), bucket)


class NodeCache:
    """Nodes by their hash, bounded; the oldest leave first. Owned by execution alone (rule 53)."""

    def __init__(self, limit: int = _CACHE_NODES) -> None:
        self._nodes: dict[bytes, bytes] = {}
        self._limit = limit

    def get(self, node_hash: bytes) -> bytes | None:
        """Return the node with this hash, if it is here."""
        return self._nodes.get(node_hash)

    def replace(self, old_hash: bytes, new_hash: bytes, node: bytes) -> None:
        """Keep `node` in the place of the one it supersedes."""
        self._nodes.pop(old_hash, None)
        if len(self._nodes) >= self._limit:
            del self._nodes[next(iter(self._nodes))]
        self._nodes[new_hash] = node


class StateTree:
    """The tree as `reader` holds it at `root`, the state root of the last block's header.

    Without `root` the stored root node is believed, which is right for a reader that was checked.
    """

    def __init__(
        self, reader: Reader, root: bytes | None = None, cache: NodeCache | None = None
    ) -> None:
        self._reader = reader
        self._cache = NodeCache() if cache is None else cache
        self.root = self._stored_root() if root is None else root

    def update(self, leaves: Mapping[bytes, bytes | None]) -> TreeUpdate:
        """Return root and writes after setting key hash → value hash (None removes the key).

        Pure: the tree stays at its root. Raise `StorageError` (6001) where the stored tree does
        not hash to what its parent says.
        """
        root, pending = self.root, _Pending()
        if leaves:
            root = self._update_node(0, 0, root, sorted(leaves.items()), pending)
        return TreeUpdate(root, pending.writes, pending.added, pending.removed)

    def prove(self, key_hash: bytes) -> Proof:
        """Return the proof of what the tree holds for `key_hash`, present or not."""
        nodes: list[bytes] = []
        want = self.root
        for level in range(DEPTH):
            if want == EMPTY_HASH:
                return Proof(tuple(nodes), None)
            node = self._read_node(level, _prefix(key_hash, level), want)
            nodes.append(node)
            slot = _slot(key_hash, level) * _HASH
            want = node[slot : slot + _HASH]
        bucket = None if want == EMPTY_HASH else self._read_bucket(_prefix(key_hash, DEPTH), want)
        return Proof(tuple(nodes), bucket)

    def _update_node(
        self,
        level: int,
        index: int,
        want: bytes,
        changes: Sequence[Leaf],
        pending: _Pending,
    ) -> bytes:
        """Apply `changes`, all below this node, and return the node's new hash."""
        node = bytearray(_EMPTY_NODE if want == EMPTY_HASH else self._read_node(level, index, want))
        # `_slot`, written out: this is the hottest loop of a block.
        byte, shift = level >> 1, 0 if level & 1 else 4
        position, end = 0, len(changes)
        while position < end:
            slot = changes[position][0][byte] >> shift & 0x0F
            first = position
            position += 1
            while position < end and changes[position][0][byte] >> shift & 0x0F == slot:
                position += 1
            child, offset = index << 4 | slot, slot * _HASH
            group, before = changes[first:position], bytes(node[offset : offset + _HASH])
            if level == DEPTH - 1:
                after = self._update_bucket(child, before, group, pending)
            else:
                after = self._update_node(level + 1, child, before, group, pending)
            node[offset : offset + _HASH] = after
        key, raw = node_key(level, index), bytes(node)
        if raw == _EMPTY_NODE:
            pending.writes[key] = None
            return EMPTY_HASH
        pending.writes[key] = compress_node(raw)
        after = sha256(_NODE_PREFIXES[level] + raw).digest()
        if level < _CACHED_LEVELS:
            self._cache.replace(want, after, raw)
        return after

    def _update_bucket(
        self, index: int, want: bytes, changes: Sequence[Leaf], pending: _Pending
    ) -> bytes:
        bucket = b"" if want == EMPTY_HASH else self._read_bucket(index, want)
        for key_hash, value_hash in changes:
            size = len(bucket)
            bucket = _with_leaf(bucket, key_hash, value_hash)
            if len(bucket) > size:
                pending.added.append(key_hash)
            elif len(bucket) < size:
                pending.removed.append(key_hash)
        pending.writes[node_key(DEPTH, index)] = bucket or None
        return bucket_hash(bucket)

    def _read_node(self, level: int, index: int, want: bytes) -> bytes:
        if level < _CACHED_LEVELS:
            cached = self._cache.get(want)
            if cached is not None:
                return cached
        stored = self._reader.get(node_key(level, index))
        node = _EMPTY_NODE if stored is None else expand_node(stored)
        if sha256(_NODE_PREFIXES[level] + node).digest() != want:
            raise _damaged(level, index)
        if level < _CACHED_LEVELS:
            self._cache.replace(want, want, node)
        return node

    def _read_bucket(self, index: int, want: bytes) -> bytes:
        bucket = self._reader.get(node_key(DEPTH, index)) or b""
        if bucket_hash(bucket) != want:
            raise _damaged(DEPTH, index)
        return bucket

    def _stored_root(self) -> bytes:
        stored = self._reader.get(node_key(0, 0))
        if stored is None:
            return EMPTY_HASH
        return sha256(_NODE_PREFIXES[0] + expand_node(stored)).digest()


def verify_proof(root: bytes, key_hash: bytes, value_hash: bytes | None, proof: Proof) -> None:
    """Raise `Refused` (1304) unless the proof shows `value_hash` (None: absence) under `root`."""
    want = root
    for level, node in enumerate(proof.nodes):
        if level >= DEPTH or len(node) != NODE_BYTES:
            raise Refused(Code.PROOF_INVALID, "state proof has a node of the wrong size")
        if sha256(_NODE_PREFIXES[level] + node).digest() != want:
            raise Refused(Code.PROOF_INVALID, f"state proof leads to another root at level {level}")
        slot = _slot(key_hash, level) * _HASH
        want = node[slot : slot + _HASH]
    if proof.bucket is None:
        if want != EMPTY_HASH:
            raise Refused(Code.PROOF_INVALID, "state proof ends before an empty place")
        found = None
    else:
        if len(proof.nodes) != DEPTH:
            raise Refused(
                Code.PROOF_INVALID, f"state proof has {len(proof.nodes)} nodes, want {DEPTH}"
            )
        if bucket_hash(proof.bucket) != want:
            raise Refused(Code.PROOF_INVALID, "state proof leads to another root at its bucket")
        found = _find(proof.bucket, key_hash)
    if found != value_hash:
        raise Refused(
            Code.PROOF_INVALID, f"state proof shows {_shown(found)}, want {_shown(value_hash)}"
        )


def _shown(value_hash: bytes | None) -> str:
    return "absence" if value_hash is None else value_hash.hex()


def _damaged(level: int, index: int) -> StorageError:
    what = "bucket" if level == DEPTH else f"node at level {level}"
    return StorageError(
        Code.STORE_CORRUPT,
        f"state tree {what}, index {index}, is not what its parent says: audit this home",
    )


def _slot(key_hash: bytes, level: int) -> int:
    """Return the child, 0 to 15, that leads to `key_hash` from its node at `level`."""
    byte = key_hash[level >> 1]
    return byte & 0x0F if level & 1 else byte >> 4


def _prefix(key_hash: bytes, level: int) -> int:
    """Return the index, among the nodes of `level`, of the one above `key_hash`."""
    return int.from_bytes(key_hash[:3], "big") >> (24 - 4 * level)


def node_key(level: int, index: int) -> bytes:
    """Return where a node is stored; level 5 are the buckets."""
    return b"t" + (level << 24 | index).to_bytes(4, "big")


def compress_node(node: bytes) -> bytes:
    """Return a node without its empty children, behind a bitmap of those present."""
    if EMPTY_HASH not in node:
        return node
    present = 0
    children: list[bytes] = []
    for bit, child in zip(_BITS, _CHILDREN.unpack(node), strict=True):
        if child != EMPTY_HASH:
            present |= bit
            children.append(child)
    return present.to_bytes(2, "big") + b"".join(children)


def node_hash(level: int, node: bytes) -> bytes:
    """Return the hash of a node's 512 bytes, as its parent holds it."""
    return EMPTY_HASH if node == _EMPTY_NODE else sha256(_NODE_PREFIXES[level] + node).digest()


def expand_node(stored: bytes) -> bytes:
    """Return the 512 bytes of a compressed node; of damaged bytes something that hashes wrong."""
    if len(stored) == NODE_BYTES:
        return stored
    present, position = int.from_bytes(stored[:2], "big"), 2
    node = bytearray(_EMPTY_NODE)
    while present:
        lowest = present & -present
        offset = (lowest.bit_length() - 1) * _HASH
        node[offset : offset + _HASH] = stored[position : position + _HASH]
        position += _HASH
        present ^= lowest
    return bytes(node) + stored[position:]


def bucket_hash(bucket: bytes) -> bytes:
    """Return the hash of a bucket's bytes, as its parent holds it."""
    return sha256(_BUCKET_PREFIX + bucket).digest() if bucket else EMPTY_HASH


def _offset(bucket: bytes, key_hash: bytes) -> int:
    """Return where the leaf of `key_hash` stands in the bucket, or where it belongs."""
    for offset in range(0, len(bucket), _LEAF):
        if bucket[offset : offset + _HASH] >= key_hash:
            return offset
    return len(bucket)


def _with_leaf(bucket: bytes, key_hash: bytes, value_hash: bytes | None) -> bytes:
    offset = _offset(bucket, key_hash)
    is_there = bucket[offset : offset + _HASH] == key_hash
    rest = bucket[offset + _LEAF :] if is_there else bucket[offset:]
    leaf = b"" if value_hash is None else key_hash + value_hash
    return bucket[:offset] + leaf + rest


def _find(bucket: bytes, key_hash: bytes) -> bytes | None:
    offset = _offset(bucket, key_hash)
    if bucket[offset : offset + _HASH] != key_hash:
        return None
    return bucket[offset + _HASH : offset + _LEAF]
