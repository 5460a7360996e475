"""Receipts of later epochs: followed from genesis, or from a later receipt, trusted (F89)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ledger.chain.block import StoredBlock
from ledger.chain.epochs import EpochChange, EpochFollower
from ledger.chain.receipt import (
    Receipt,
    anchor_of,
    build_receipt,
    decode_receipt,
    verify_receipt,
    verify_receipt_by,
)
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from tests.chain.builder import ChainBuilder, transaction
from tests.chain.epoch_chain import CHAIN_ID, certify_as, change_of, validators

FOUR = ("D01", "D02", "D03", "D04")
FIVE = (*FOUR, "D05")
ROTATED = ("D01", "D02.2", "D03", "D04", "D05")
THIEF = ("E01", "E02", "E03", "E04")
START = validators(*FOUR)
CHANGES = (change_of(0, 100, FOUR, FIVE), change_of(1, 250, FIVE, ROTATED))


def _receipt(
    epoch: int, height: int, names: Sequence[str], changes: Sequence[EpochChange]
) -> Receipt:
    """Return a receipt of the first transaction of a block that these members certify."""
    builder = ChainBuilder()
    builder.headers[-1] = replace(builder.headers[-1], height=height - 1)
    block, _ = builder.add([transaction(i) for i in range(3)])
    header = replace(block.header, epoch=epoch)
    block = StoredBlock(header, block.time_ms, block.hashes, block.transactions, block.results)
    return build_receipt(block, 0, certify_as(header, names), validators(*names), changes)


OLD = _receipt(0, 50, FOUR, ())
MIDDLE = _receipt(1, 180, FIVE, CHANGES[:1])
LATE = _receipt(2, 300, ROTATED, CHANGES)


@pytest.mark.parametrize("receipt", [OLD, MIDDLE, LATE])
def test_rule_2_receipt_of_any_epoch_verifies_from_genesis(receipt: Receipt) -> None:
    assert decode_receipt(receipt.encoded()) == receipt
    verify_receipt(receipt, CHAIN_ID, 0, START)


def test_receipts_of_the_first_epoch_have_no_changes() -> None:
    assert "changes" not in decode(OLD.encoded())
    value = dict(decode(OLD.encoded()))
    for changes in ((), None, 5, (1,)):
        with pytest.raises(Refused):
            decode_receipt(encode(value | {"changes": changes}))


@pytest.mark.parametrize(
    ("receipt", "word"),
    [
        (replace(LATE, changes=CHANGES[:1]), "epoch: epoch 2 is not known, changes lead to 1"),
        (replace(LATE, changes=()), "epoch: epoch 2 is not known, changes lead to 0"),
        (replace(LATE, changes=CHANGES[1:]), "epoch: change to epoch 1: ends epoch 1, want 0"),
        (replace(LATE, validators=validators(*FIVE)), "members: are not the members"),
        (_receipt(2, 200, ROTATED, CHANGES), "epoch: block 200 is before epoch 2, from 251 on"),
        (_receipt(0, 120, FOUR, CHANGES), "epoch: block 120 is after epoch 0, over at 101"),
        (_receipt(1, 180, FOUR, CHANGES[:1]), "members: are not the members"),
        (
            replace(MIDDLE, certificate=certify_as(MIDDLE.header, FIVE, range(3))),
            "certificate: certificate has 3 votes, want 4",
        ),
        (replace(MIDDLE, certificate=OLD.certificate), "epoch: of the certificate 0, of the block"),
    ],
)
def test_wrong_epoch_is_named(receipt: Receipt, word: str) -> None:
    with pytest.raises(Refused, match=word) as caught:
        verify_receipt(receipt, CHAIN_ID, 0, START)
    assert caught.value.code is Code.RECEIPT_INVALID


def test_every_changed_byte_of_a_late_receipt_is_refused() -> None:
    data = MIDDLE.encoded()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x01
        with pytest.raises(Refused):
            verify_receipt(decode_receipt(bytes(changed)), CHAIN_ID, 0, START)


def test_f89_later_trusted_receipt_catches_past_members_stolen_keys() -> None:
    """F89: with the keys of epoch 0 a thief makes an epoch 1 of his own, and certifies in it."""
    side = change_of(0, 90, FOUR, THIEF)
    forged = _receipt(1, 180, THIEF, (side,))
    older = _receipt(0, 60, FOUR, ())
    # Genesis as anchor cannot tell: its members did sign. The verdict says what it rests on.
    verify_receipt(forged, CHAIN_ID, 0, START)
    anchor = anchor_of(MIDDLE)
    with pytest.raises(Refused, match="members: are not the members of the anchor"):
        verify_receipt_by(forged, anchor)
    with pytest.raises(Refused, match="epoch 0 ended before what is trusted here"):
        verify_receipt_by(older, anchor)
    verify_receipt_by(LATE, anchor)
    verify_receipt_by(MIDDLE, anchor)


def test_f89_who_has_seen_one_history_refuses_the_other() -> None:
    side = change_of(0, 90, FOUR, THIEF)
    trusted = EpochFollower(CHAIN_ID, START)
    verify_receipt_by(LATE, trusted)
    verify_receipt_by(OLD, trusted)
    with pytest.raises(Refused, match=r"another block, 100, .*, is known to end it"):
        verify_receipt_by(_receipt(1, 180, THIEF, (side,)), trusted)


def test_anchor_must_hold_together() -> None:
    with pytest.raises(Refused, match="certificate: "):
        anchor_of(replace(MIDDLE, certificate=certify_as(MIDDLE.header, THIEF)))
    assert anchor_of(MIDDLE).first_epoch == 1
