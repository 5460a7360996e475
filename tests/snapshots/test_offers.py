"""Offers of snapshots are proved from genesis, through every change of members (F73)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.chain.certificate import Certificate
from ledger.chain.epochs import EpochChange
from ledger.chain.header import Header
from ledger.encoding import encode
from ledger.errors import Code, Refused
from ledger.snapshots.offers import Offer, encode_offers, read_offers
from tests.chain.epoch_chain import CHAIN_ID, certify_as, change_of, last_header, validators

FIRST = ("D01", "D02", "D03", "D04")
SECOND = ("D01", "D02", "D03", "D05", "D06")
THIRD = ("D02", "D03", "D05", "D06")
GENESIS = validators(*FIRST)


def offer_at(height: int, epoch: int = 2, members: tuple[str, ...] = THIRD) -> Offer:
    """Return an offer of a block of an epoch, with all changes before it."""
    header = last_header(epoch, height, bytes(32))
    changes = (change_of(0, 34, FIRST, SECOND), change_of(1, 61, SECOND, THIRD))[:epoch]
    return Offer(header, certify_as(header, members), changes)


def read(*offers: Offer) -> tuple[Offer, ...]:
    return read_offers(encode_offers(offers), CHAIN_ID, GENESIS)


def test_offers_of_three_epochs_are_followed_from_genesis():
    """Rule 2."""
    offers = (offer_at(30, 0, FIRST), offer_at(40, 1, SECOND), offer_at(70))
    for offer in offers:
        assert read(offer) == (offer,)
    assert read(*offers[1:]) == offers[1:]
    assert read() == ()


def forged(offer: Offer, signers: range) -> Certificate:
    return certify_as(offer.header, THIRD, signers)


def at_height(offer: Offer, height: int) -> Header:
    return replace(offer.header, height=height)


def other_change() -> EpochChange:
    """Return a change that members of no epoch have certified."""
    return change_of(1, 61, ("D07", "D08", "D09", "D10"), THIRD)


LIES = {
    "genesis": lambda true: Offer(
        header := at_height(true, 0), certify_as(header, THIRD), true.changes
    ),
    "a height nobody certified": lambda true: replace(true, header=at_height(true, 10**6)),
    "one vote too few": lambda true: replace(true, certificate=forged(true, range(2))),
    "one vote too many": lambda true: replace(true, certificate=forged(true, range(4))),
    "members of the epoch before": lambda true: replace(
        true, certificate=certify_as(true.header, SECOND)
    ),
    "a change is left out": lambda true: replace(true, changes=true.changes[1:]),
    "the last change is left out": lambda true: replace(true, changes=true.changes[:1]),
    "a change that nobody certified": lambda true: replace(
        true, changes=(true.changes[0], other_change())
    ),
    "another chain": lambda true: Offer(
        header := replace(true.header, chain_id=bytes(32)), certify_as(header, THIRD), true.changes
    ),
    "another epoch": lambda true: Offer(
        header := replace(true.header, epoch=1), certify_as(header, THIRD), true.changes
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_f73_offer_that_is_not_proved_is_refused(name):
    """Rule 41: a source that lies about its height is found at once."""
    with pytest.raises(Refused) as caught:
        read(LIES[name](offer_at(70)))
    assert caught.value.code in (
        Code.STATE_PIECE_INVALID,
        Code.CERTIFICATE_INVALID,
        Code.EPOCH_INVALID,
    )


def test_more_offers_than_are_kept_are_refused():
    with pytest.raises(Refused):
        read(offer_at(70), offer_at(80), offer_at(90))
    with pytest.raises(Refused):
        read_offers(encode(b"none"), CHAIN_ID, GENESIS)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_f26_changed_byte_of_an_offer_is_refused(data):
    """Nothing in an offer may be otherwise."""
    true = encode_offers((offer_at(70),))
    at = data.draw(st.integers(0, len(true) - 1))
    changed = true[:at] + bytes((true[at] ^ data.draw(st.integers(1, 255)),)) + true[at + 1 :]
    with pytest.raises(Refused):
        read_offers(changed, CHAIN_ID, GENESIS)
