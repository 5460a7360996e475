"""A receipt proves what it says from the anchor alone; every changed byte is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.chain.receipt import Receipt, build_receipt, decode_receipt, verify_receipt
from ledger.encoding import decode, encode
from ledger.errors import Code, LocalError, Refused
from tests.chain.builder import CHAIN_ID, VALIDATORS, ChainBuilder, certify, transaction


def _receipt(index: int = 2, count: int = 5) -> Receipt:
    block, _ = ChainBuilder().add([transaction(i) for i in range(count)])
    return build_receipt(block, index, certify(block.header), VALIDATORS)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_transaction_of_a_block_has_a_receipt_that_verifies(count: int) -> None:
    for index in range(count):
        receipt = decode_receipt(_receipt(index, count).encoded())
        verify_receipt(receipt, CHAIN_ID, 0, VALIDATORS)
        assert receipt.transaction_id == transaction(index).id


def test_f87_every_changed_byte_of_a_receipt_is_refused() -> None:
    data = _receipt().encoded()
    for position in range(len(data)):
        for bit in (0x01, 0x80):
            changed = bytearray(data)
            changed[position] ^= bit
            with pytest.raises(Refused):
                verify_receipt(decode_receipt(bytes(changed)), CHAIN_ID, 0, VALIDATORS)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda r: replace(r, index=3), "transaction: "),
        (lambda r: replace(r, time_ms=r.time_ms + 1), "transaction: "),
        (lambda r: replace(r, signature=bytes(64)), "transaction: "),
        (lambda r: replace(r, batch_path=r.batch_path[1:]), "transaction: .*too short"),
        (lambda r: replace(r, result=(2001, None)), "result of "),
        (lambda r: replace(r, result_path=(*r.result_path, bytes(32))), "result of .*too long"),
        (lambda r: replace(r, validators=VALIDATORS[::-1]), "members: "),
        (lambda r: replace(r, header=replace(r.header, state_root=bytes(32))), "certificate: "),
        (lambda r: replace(r, header=replace(r.header, epoch=1)), "epoch: "),
        (lambda r: replace(r, certificate=certify(r.header, range(2))), "has 2 votes, want 3"),
        (lambda r: replace(r, certificate=certify(r.header, range(4))), "has 4 votes, want 3"),
    ],
)
def test_the_wrong_part_is_named(change: object, word: str) -> None:
    assert callable(change)
    with pytest.raises(Refused, match=word) as caught:
        verify_receipt(change(_receipt()), CHAIN_ID, 0, VALIDATORS)
    assert caught.value.code is Code.RECEIPT_INVALID


def test_a_receipt_never_says_whom_to_trust() -> None:
    with pytest.raises(Refused, match="members: are not the members of the anchor"):
        verify_receipt(_receipt(), CHAIN_ID, 0, VALIDATORS[:3])
    with pytest.raises(Refused, match="header: is of chain"):
        verify_receipt(_receipt(), bytes(32), 0, VALIDATORS)


def test_missing_field_is_named() -> None:
    value = dict(decode(_receipt().encoded()))
    del value["index"]
    with pytest.raises(Refused, match="fields: index"):
        decode_receipt(encode(value))


def test_json_form_is_readable() -> None:
    value = _receipt().to_json_value()
    assert value["header"]["height"] == 1
    assert value["transaction_id"] == transaction(2).id.hex()
    assert len(value["batch_path"]) == 3


def test_no_receipt_for_a_transaction_that_is_not_there() -> None:
    block, _ = ChainBuilder().add([transaction(0)])
    with pytest.raises(LocalError, match="has no transaction 1"):
        build_receipt(block, 1, certify(block.header), VALIDATORS)
