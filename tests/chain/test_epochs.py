"""Epochs are followed from an anchor, change by change; the first wrong one is named (rule 2)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.epochs import (
    EpochChange,
    EpochFollower,
    EpochSet,
    decode_change,
    epoch_set_from_value,
    follow_epochs,
)
from ledger.chain.hashes import MEMBERS_TAG, tagged_hash
from ledger.encoding import decode, encode
from ledger.errors import Code, CreditLedgerError, Refused
from tests.chain.epoch_chain import CHAIN_ID, certify_as, change_of, last_header, validators

FOUR = ("D01", "D02", "D03", "D04")
FIVE = (*FOUR, "D05")
ROTATED = ("D01", "D02.2", "D03", "D04", "D05")
START = validators(*FOUR)


def _changes() -> list[EpochChange]:
    return [change_of(0, 100, FOUR, FIVE), change_of(1, 250, FIVE, ROTATED)]


def test_rule_2_epochs_are_followed_from_genesis_and_from_later() -> None:
    changes = _changes()
    assert follow_epochs(CHAIN_ID, START, []) == (0, START)
    assert follow_epochs(CHAIN_ID, START, changes[:1]) == (1, validators(*FIVE))
    assert follow_epochs(CHAIN_ID, START, changes) == (2, validators(*ROTATED))
    later = follow_epochs(CHAIN_ID, validators(*FIVE), changes[1:], epoch=1, height=101)
    assert later == (2, validators(*ROTATED))


def test_old_chains_keep_their_roots() -> None:
    """Nothing pending: the bytes of before there were changes (compatible with older homes)."""
    assert EpochSet(0, START).root() == tagged_hash(MEMBERS_TAG, encode((0, START, None)))


def test_pending_change_and_epoch_change_the_root() -> None:
    roots = {
        EpochSet(0, START).root(),
        EpochSet(1, START).root(),
        EpochSet(0, START[::-1]).root(),
        EpochSet(0, START, (9, validators(*FIVE))).root(),
        EpochSet(0, START, (10, validators(*FIVE))).root(),
        EpochSet(0, START, (9, validators(*ROTATED))).root(),
    }
    assert len(roots) == 6


def test_rule_2_set_changes_at_its_height_only() -> None:
    pending = EpochSet(3, START, (50, validators(*FIVE)))
    assert pending.after(48) == pending
    assert pending.after(49) == EpochSet(4, validators(*FIVE))
    assert pending.after(50) == pending
    assert EpochSet(3, START).after(49) == EpochSet(3, START)


@pytest.mark.parametrize("value", [EpochSet(0, START), EpochSet(7, START, (9, validators(*FIVE)))])
def test_set_comes_back_from_its_bytes(value: EpochSet) -> None:
    assert epoch_set_from_value(decode(encode(value.to_value()))) == value


def _certified_by(names: tuple[str, ...], signers: range | None) -> EpochChange:
    change = _changes()[0]
    return replace(change, certificate=certify_as(change.header, names, signers))


def _with_pending() -> EpochChange:
    header = last_header(0, 100, EpochSet(1, validators(*FIVE), (900, START)).root())
    return EpochChange(header, certify_as(header, FOUR), validators(*FIVE))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ([_changes()[1]], "change to epoch 1: ends epoch 1, want 0"),
        ([_changes()[0]] * 2, "change to epoch 2: at height 100, want 101"),
        ([_changes()[0], change_of(1, 99, FIVE, FOUR)], "change to epoch 2: at height 99, want"),
        ([replace(_changes()[0], validators=START)], "block 100 commits to other members"),
        ([change_of(0, 100, FIVE, FIVE)], "certificate has 4 votes, want 3"),
        ([_certified_by(FOUR, range(2))], "certificate has 2 votes, want 3"),
        ([_certified_by(FOUR, range(4))], "certificate has 4 votes, want 3"),
        ([_certified_by(("D01.2", *FOUR[1:]), None)], "signature of member 0 does not verify"),
        ([_with_pending()], "block 100 commits to other members"),
        (
            [replace(_changes()[0], header=last_header(0, 101, bytes(32)))],
            "the certificate is not of block 101",
        ),
    ],
)
def test_rule_2_first_wrong_change_is_named(changes: list[EpochChange], word: str) -> None:
    with pytest.raises(Refused, match=word) as caught:
        follow_epochs(CHAIN_ID, START, changes)
    assert caught.value.code is Code.EPOCH_INVALID


def test_changes_of_another_chain_are_refused() -> None:
    with pytest.raises(Refused, match="is of chain"):
        follow_epochs(bytes(32), START, _changes())


def test_every_changed_byte_of_a_change_is_refused() -> None:
    data = _changes()[0].encoded()
    assert decode_change(data) == _changes()[0]
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x01
        with pytest.raises(CreditLedgerError):
            follow_epochs(CHAIN_ID, START, [decode_change(bytes(changed))])


@pytest.mark.parametrize(
    "members",
    [
        (),
        [("D01", bytes(32))],
        (("D01", bytes(31)),),
        (("D01", bytes(32)), ("D01", bytes([1]) * 32)),
        (("D01", bytes(32)), ("D02", bytes(32))),
        (("", bytes(32)),),
        (("D" * 65, bytes(32)),),
        (("D01", bytes(32), 1),),
        ((1, bytes(32)),),
    ],
)
def test_members_of_a_wrong_shape_are_refused(members: object) -> None:
    with pytest.raises(Refused) as caught:
        epoch_set_from_value((0, members, None))
    assert caught.value.code is Code.EPOCH_INVALID


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
)


@given(_anything)
def test_whatever_comes_is_a_set_or_refused(value: object) -> None:
    with suppress(Refused):
        assert epoch_set_from_value(value).to_value() == value


def test_follower_remembers_and_refuses_another_history() -> None:
    """F89: what was followed once stands; a second end of an epoch needs keys that lied."""
    first, second = _changes()
    follower = EpochFollower(CHAIN_ID, START)
    follower.follow([first])
    follower.follow([first, second])
    assert follower.validators(1) == validators(*FIVE)
    assert follower.last == EpochSet(2, validators(*ROTATED))
    forged = change_of(0, 90, FOUR, ("E01", "E02", "E03", "E04"))
    with pytest.raises(Refused, match=r"another block, 100, .*, is known to end it"):
        follower.follow([forged])
    EpochFollower(CHAIN_ID, START).follow([forged])  # from genesis alone nothing speaks against it


def test_f89_anchor_believes_nothing_of_earlier_epochs() -> None:
    anchor = EpochFollower(CHAIN_ID, validators(*FIVE), epoch=1, height=180)
    forged = change_of(0, 90, FOUR, ("E01", "E02", "E03", "E04"))
    anchor.follow([forged, *_changes()])
    assert anchor.validators(1) == validators(*FIVE)
    assert anchor.validators(2) == validators(*ROTATED)
    with pytest.raises(Refused, match="epoch 0 ended before what is trusted here"):
        anchor.validators(0)
    with pytest.raises(Refused, match="epoch 3 is not known, changes lead to 2"):
        anchor.validators(3)
    early = change_of(1, 170, FIVE, ROTATED)
    with pytest.raises(Refused, match="change to epoch 2: at height 170, want 180 or more"):
        EpochFollower(CHAIN_ID, validators(*FIVE), epoch=1, height=180).follow([early])


def test_heights_belong_to_epochs() -> None:
    follower = EpochFollower(CHAIN_ID, START)
    follower.check_height(0, 10_000)
    follower.follow(_changes())
    for epoch, height in ((0, 1), (0, 100), (1, 101), (1, 250), (2, 251), (2, 10_000)):
        follower.check_height(epoch, height)
    with pytest.raises(Refused, match="block 101 is after epoch 0, over at 101"):
        follower.check_height(0, 101)
    with pytest.raises(Refused, match="block 250 is before epoch 2, from 251 on"):
        follower.check_height(2, 250)
