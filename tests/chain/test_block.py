"""A block is what its header certifies, or the error says where it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.chain.block import (
    BlockError,
    StoredBlock,
    decode_results,
    decode_transactions,
    encode_results,
    encode_transactions,
    verify_block,
)
from ledger.chain.header import Header
from ledger.encoding import encode
from ledger.errors import Refused
from tests.chain.builder import ChainBuilder, transaction


def _block() -> tuple[Header, StoredBlock]:
    chain = ChainBuilder()
    parent = chain.headers[-1]
    return parent, chain.add([transaction(i) for i in range(5)])[0]


def test_a_whole_block_verifies() -> None:
    parent, block = _block()
    verify_block(block, parent)


def test_the_null_batch_verifies_and_keeps_its_parents_time() -> None:
    chain = ChainBuilder()
    block, _ = chain.add([])
    verify_block(block, chain.headers[0])
    assert block.header.time_ms == chain.headers[0].time_ms


def test_changed_transaction_is_named_with_position_and_id() -> None:
    parent, block = _block()
    other = replace(block.transactions[3], unsigned=transaction(99).unsigned)
    changed = (*block.transactions[:3], other, block.transactions[4])
    with pytest.raises(BlockError, match="signed bytes hash to") as caught:
        verify_block(replace(block, transactions=changed), parent)
    assert (caught.value.height, caught.value.position) == (1, 3)
    assert caught.value.transaction_id == transaction(99).id
    assert f"block 1, transaction 3 ({other.id.hex()})" in str(caught.value)


def _swapped(hashes: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (hashes[1], hashes[0], *hashes[2:])


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda b: replace(b, hashes=_swapped(b.hashes)), "batch"),
        (lambda b: replace(b, time_ms=b.time_ms + 1), "batch"),
        (lambda b: replace(b, time_ms=None), "batch"),
        (lambda b: replace(b, hashes=(b.hashes[0],) * 5), "batch"),
        (lambda b: replace(b, results=(*b.results[:4], (0, None))), "results"),
        (lambda b: replace(b, results=b.results[:4]), "results"),
        (lambda b: replace(b, transactions=b.transactions[:4]), "transactions"),
        (lambda b: replace(b, header=replace(b.header, height=2)), "header"),
        (lambda b: replace(b, header=replace(b.header, time_ms=1)), "header"),
        (lambda b: replace(b, header=replace(b.header, chain_id=bytes(32))), "header"),
        (lambda b: replace(b, header=replace(b.header, parent_hash=bytes(32))), "header"),
        (lambda b: replace(b, header=replace(b.header, transaction_count=6)), "header"),
    ],
)
def test_the_changed_part_is_named(change: object, part: str) -> None:
    parent, block = _block()
    assert callable(change)
    with pytest.raises(BlockError) as caught:
        verify_block(change(block), parent)
    assert caught.value.part == part


def test_codecs_give_back_what_they_took() -> None:
    _, block = _block()
    data = encode_transactions(block.time_ms, block.hashes, block.transactions)
    assert decode_transactions(data) == (block.time_ms, block.hashes, block.transactions)
    assert decode_results(encode_results(block.results)) == block.results


@pytest.mark.parametrize(
    "value",
    [None, (1, 2), ("x", (), ()), (1, (2,), ()), (1, (), 3), (1, (), ((b"", b"", -1),)),
     (1, (), ((b"", b""),))],
)  # fmt: skip
def test_malformed_transactions_are_refused(value: object) -> None:
    with pytest.raises(Refused):
        decode_transactions(encode(value))


@pytest.mark.parametrize("value", [None, (1,), ((1,),), (("x", None),), ((-1, None),)])
def test_malformed_results_are_refused(value: object) -> None:
    with pytest.raises(Refused):
        decode_results(encode(value))
