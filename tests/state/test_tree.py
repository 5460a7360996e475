"""The authenticated tree beside a dumb twin that rebuilds everything from a dictionary."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Code, Refused, StorageError
from ledger.state.tree import (
    EMPTY_HASH,
    NodeCache,
    Proof,
    StateTree,
    decode_proof,
    verify_proof,
)
from ledger.storage.memory import MemoryStore


def naive_root(leaves: dict[bytes, bytes], level: int = 0, prefix: str = "") -> bytes:
    """Recompute the root by definition: all leaves below a prefix of hexadecimal digits."""
    below = {key: value for key, value in leaves.items() if key.hex().startswith(prefix)}
    if not below:
        return bytes(32)
    if level == 5:
        return sha256(b"\x00" + b"".join(k + below[k] for k in sorted(below))).digest()
    children = [naive_root(below, level + 1, prefix + digit) for digit in "0123456789abcdef"]
    return sha256(b"\x01" + bytes([level]) + b"".join(children)).digest()


def _key(number: int) -> bytes:
    """Return a key hash; numbers that differ in the low bits share a bucket."""
    return bytes([number >> 4, 0, number & 3]) + sha256(b"%d" % number).digest()[3:]


_HASHES = st.binary(min_size=32, max_size=32).filter(any)
_KEYS = st.integers(0, 255).map(_key)
_BLOCKS = st.lists(st.dictionaries(_KEYS, st.none() | _HASHES, max_size=8), max_size=6)


@settings(max_examples=60, deadline=None)
@given(_BLOCKS, st.sampled_from([0, 2, 10_000]))
def test_tree_equals_its_naive_twin(
    blocks: list[dict[bytes, bytes | None]], cache_limit: int
) -> None:
    store, twin, root = MemoryStore(), dict[bytes, bytes](), EMPTY_HASH
    cache = NodeCache(cache_limit + 1)
    for block in blocks:
        update = StateTree(store, root, cache).update(block)
        store.write(update.writes, sync=False)
        root = update.root
        for key, value in block.items():
            twin.pop(key, None)
            if value is not None:
                twin[key] = value
        assert root == naive_root(twin)
    assert StateTree(store).root == root
    if not twin:
        assert list(store.scan(b"", b"\xff")) == []


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_KEYS, _HASHES, max_size=12), st.lists(_KEYS, max_size=6), _HASHES)
def test_proofs_of_presence_and_absence(
    leaves: dict[bytes, bytes], others: list[bytes], wrong: bytes
) -> None:
    store = MemoryStore()
    update = StateTree(store).update(leaves)
    store.write(update.writes, sync=False)
    tree = StateTree(store)
    for key in [*leaves, *others]:
        proof = decode_proof(tree.prove(key).encoded())
        value = leaves.get(key)
        verify_proof(update.root, key, value, proof)
        for lie in (wrong, None, EMPTY_HASH):
            if lie != value:
                with pytest.raises(Refused) as caught:
                    verify_proof(update.root, key, lie, proof)
                assert caught.value.code is Code.PROOF_INVALID


def _filled(count: int) -> tuple[MemoryStore, bytes]:
    store = MemoryStore()
    update = StateTree(store).update({_key(i): _key(i) for i in range(count)})
    store.write(update.writes, sync=False)
    return store, update.root


def test_every_changed_byte_of_a_proof_is_refused() -> None:
    store, root = _filled(64)
    data = StateTree(store).prove(_key(9)).encoded()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x01
        with pytest.raises(Refused):
            verify_proof(root, _key(9), _key(9), decode_proof(bytes(changed)))


def test_proof_cannot_end_early_to_show_absence() -> None:
    store, root = _filled(64)
    proof = StateTree(store).prove(_key(9))
    for length in range(len(proof.nodes) + 1):
        with pytest.raises(Refused):
            verify_proof(root, _key(9), None, Proof(proof.nodes[:length], None))


def test_proof_with_a_bucket_too_high_is_refused() -> None:
    store, root = _filled(64)
    proof = StateTree(store).prove(_key(9))
    with pytest.raises(Refused, match="has 4 nodes, want 5"):
        verify_proof(root, _key(9), _key(9), Proof(proof.nodes[:4], proof.bucket))
    with pytest.raises(Refused):
        verify_proof(root, _key(9), _key(9), Proof((*proof.nodes, proof.nodes[0]), proof.bucket))


def test_flipped_byte_in_a_stored_node_is_corruption_and_never_a_wrong_root() -> None:
    store, root = _filled(64)
    for key, value in list(store.scan(b"t", b"u")):
        changed = bytearray(value)
        changed[-1] ^= 1
        store.write({key: bytes(changed)}, sync=False)
        with pytest.raises(StorageError) as caught:
            StateTree(store, root).update({_key(i): EMPTY_HASH for i in range(64)})
        assert caught.value.code is Code.STORE_CORRUPT
        store.write({key: value}, sync=False)


def test_update_is_pure_so_a_block_may_be_executed_again() -> None:
    store, root = _filled(64)
    cache = NodeCache()
    first = StateTree(store, root, cache).update({_key(3): None, _key(70): _key(1)})
    again = StateTree(store, root, cache).update({_key(3): None, _key(70): _key(1)})
    assert first == again


def test_order_of_changes_does_not_matter() -> None:
    changes = {_key(i): _key(i + 1) for i in range(40)}
    backwards = dict(reversed(changes.items()))
    assert StateTree(MemoryStore()).update(changes) == StateTree(MemoryStore()).update(backwards)


@pytest.mark.parametrize(
    "value",
    [b"\x90", b"\x92\x90\x01", b"\x92\x91\x01\xc0", b"\x92\x96" + b"\xa0" * 6 + b"\xc0"],
)
def test_malformed_proof_is_refused(value: bytes) -> None:
    with pytest.raises(Refused):
        decode_proof(value)
