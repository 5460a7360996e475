"""Blocks are found again as they were stored; what does not parse is an error of the disk."""

from __future__ import annotations

import pytest

from ledger.chain.block import verify_block
from ledger.chain.hashes import GENESIS_TAG, tagged_hash
from ledger.encoding import decode, encode
from ledger.errors import Code, StorageError
from ledger.storage.chain_store import (
    CERTIFICATES,
    FATES,
    HEAD_KEY,
    HEADERS,
    RESULTS,
    TRANSACTIONS,
    ChainStore,
    block_writes,
    body_key,
    certificate_writes,
    genesis_writes,
    height_key,
)
from ledger.storage.memory import MemoryStore
from tests.chain.builder import ChainBuilder, certify, results_of, transaction


def _filled() -> tuple[MemoryStore, ChainBuilder]:
    store, chain = MemoryStore(), ChainBuilder()
    store.write(genesis_writes(b"document", chain.headers[0]), sync=True)
    for numbers in ((1, 2), (), (3,)):
        items = [transaction(i, (b"body %d" % i, b"other")) for i in numbers]
        block, batch = chain.add(items)
        store.write(block_writes(block.header, batch, items, results_of(items)), sync=True)
        store.write(certificate_writes(certify(block.header)), sync=True)
    return store, chain


def test_an_empty_store_has_nothing() -> None:
    chain = ChainStore(MemoryStore())
    assert chain.head() is None
    assert chain.chain_id() is None
    assert chain.block(1) is None
    assert chain.last_certificate() is None


def test_blocks_come_back_as_they_were_stored() -> None:
    store, built = _filled()
    chain = ChainStore(store)
    assert chain.head() == built.headers[3]
    assert chain.genesis() == b"document"
    assert chain.chain_id() == tagged_hash(GENESIS_TAG, b"document")
    for height in (1, 2, 3):
        block = chain.block(height)
        assert block is not None
        verify_block(block, built.headers[height - 1])
        assert chain.certificate(height) == certify(built.headers[height])
    assert chain.last_certificate() == certify(built.headers[3])


def test_transactions_come_back_with_their_bodies() -> None:
    chain = ChainStore(_filled()[0])
    block = chain.block(1)
    assert block is not None
    assert chain.transactions(block) == tuple(
        transaction(i, (b"body %d" % i, b"other")) for i in (1, 2)
    )
    assert chain.body(1, 1, 0) == b"body 2"
    assert chain.body(1, 1, 2) is None


def test_missing_body_is_named() -> None:
    store, _ = _filled()
    store.write({body_key(1, 1, 0): None}, sync=True)
    chain = ChainStore(store)
    block = chain.block(1)
    assert block is not None
    with pytest.raises(StorageError, match="body 0 of block 1, transaction 1, is gone"):
        chain.transactions(block)


def test_rule_14_the_first_fate_stays() -> None:
    store, chain = _filled()
    item = transaction(1)
    block, batch = chain.add([item])
    results = ((int(Code.DUPLICATE), {"error": "again"}),)
    store.write(block_writes(block.header, batch, [item], results), sync=True)
    assert ChainStore(store).fate(item.id) == (1, 0, 0)
    assert ChainStore(store).fate(transaction(77).id) is None


@pytest.mark.parametrize(
    ("key", "read"),
    [
        (height_key(HEADERS, 1), lambda c: c.header(1)),
        (height_key(TRANSACTIONS, 1), lambda c: c.block(1)),
        (height_key(RESULTS, 1), lambda c: c.block(1)),
        (height_key(CERTIFICATES, 1), lambda c: c.certificate(1)),
        (FATES + transaction(1).id, lambda c: c.fate(transaction(1).id)),
        (HEAD_KEY, lambda c: c.head()),
    ],
)
@pytest.mark.parametrize("value", [b"", b"\xc1", encode("text"), encode((1, 2, "3"))])
def test_what_does_not_parse_is_corruption(key: bytes, read: object, value: bytes) -> None:
    store, _ = _filled()
    store.write({key: value}, sync=True)
    assert callable(read)
    with pytest.raises(StorageError) as caught:
        read(ChainStore(store))
    assert caught.value.code is Code.STORE_CORRUPT


def test_a_header_under_another_height_is_corruption() -> None:
    store, chain = _filled()
    store.write({height_key(HEADERS, 1): chain.headers[2].encoded()}, sync=True)
    with pytest.raises(StorageError, match="header of block 1 says height 2"):
        ChainStore(store).header(1)


def test_head_without_header_is_corruption() -> None:
    store, _ = _filled()
    assert decode(store.get(HEAD_KEY) or b"") == 3
    store.write({height_key(HEADERS, 3): None}, sync=True)
    with pytest.raises(StorageError, match="block 3, is gone"):
        ChainStore(store).head()
