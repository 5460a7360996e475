"""The byte form of messages, what is signed, and what is refused (rules 5 and 48, F64, F72)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.messages import (
    BatchReply,
    BatchRequest,
    Commit,
    Message,
    Prepare,
    SlotStatus,
    StableCertificate,
    Status,
    ViewChangeRequest,
)
from consensus.verification import check_message, signature_items
from consensus.wire import decode_message, encode_message, message_value
from ledger.encoding import encode
from ledger.errors import Code, Refused
from tests.consensus.harness import Maker, make_config
from tests.simulator.keys import RealKeyring, are_valid

HASH = b"\x21" * 32
MAKE = Maker(4)


def every_message() -> list[Message]:
    """Return one message of each type, none of its lists empty."""
    batch, proof = MAKE.batch(3, 1, 2), MAKE.proof(0, MAKE.batch(3, 1, 2))
    certificate = MAKE.certificate(2, HASH, (0, 1, 2))
    changes = [MAKE.view_change(1, by, [proof], certificate) for by in (0, 2, 3)]
    slots = (SlotStatus(3, True, b"\x06", b""),)
    return [
        MAKE.pre_prepare(0, batch),
        MAKE.prepare(0, batch, 1),
        MAKE.commit(0, batch, 2),
        MAKE.checkpoint(3, HASH, 1),
        changes[0],
        MAKE.new_view(1, changes),
        Status(0, 1, False, 2, 3, slots, ((3, b"\x01"),), b"\x02", (1,)),
        StableCertificate(0, certificate),
        ViewChangeRequest(0, 1, ((2, HASH),)),
        BatchRequest(0, 3, HASH),
        BatchReply(0, batch),
    ]


@pytest.mark.parametrize("message", every_message(), ids=lambda item: type(item).__name__)
def test_messages_survive_their_encoding(message):
    assert decode_message(encode_message(message)) == message
    check_message(message, make_config(4, 1))


@pytest.mark.parametrize("message", every_message(), ids=lambda item: type(item).__name__)
def test_f72_every_field_is_checked(message):  # F72: wrong type, wrong length, missing, surplus
    number, *fields = message_value(message)
    for place in range(len(fields)):
        for wrong in (-1, 2**63, "x", b"x" * 200, ((),), {"a": 1}):
            altered = (number, *fields[:place], wrong, *fields[place + 1 :])
            with pytest.raises(Refused) as refused:
                decode_message(encode(altered))
            assert refused.value.code is Code.CONSENSUS_MALFORMED
    for altered in ((number, *fields, 0), (number, *fields[:-1])):
        with pytest.raises(Refused):
            decode_message(encode(altered))


@pytest.mark.parametrize("value", [0, (), ("a",), (99, 1), (0,), (True, 0)])
def test_unknown_forms_are_refused(value):  # F64
    with pytest.raises(Refused):
        decode_message(encode(value))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_crash_the_decoder(data):  # F72, F76
    try:
        message = decode_message(data)
    except Refused:
        return
    assert encode_message(message) == data


@given(st.sampled_from(every_message()), st.data())
def test_a_damaged_message_is_refused_or_another(message, data):  # F72
    encoded = bytearray(encode_message(message))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_message(bytes(encoded))
    except Refused:
        return
    assert other != message


def test_a_signature_serves_in_one_role_only():  # rule 5, F81
    keyring = RealKeyring(4)
    make, batch = Maker(4), MAKE.batch(1)
    config = replace(make_config(4, 1), members=keyring.public_keys)
    item = signature_items(make.prepare(0, batch, 1), config)[0]
    signature = keyring.signer(1)(item[2])
    vote = Prepare(0, 0, 1, make.digest(batch), 1, signature)
    assert are_valid(keyring, signature_items(vote, config))
    altered = [
        Commit(0, 0, 1, vote.digest, 1, signature),
        replace(vote, view=4),
        replace(vote, height=2),
        replace(vote, signer=2),
        replace(vote, digest=HASH),
    ]
    for message in altered:
        assert not are_valid(keyring, signature_items(message, config))
    elsewhere = replace(config, chain_id=HASH)
    assert not are_valid(keyring, signature_items(vote, elsewhere))


def test_f72_signer_beyond_the_members_is_refused():  # F72; sawtooth-pbft e7b4ba2
    message = replace(MAKE.prepare(0, MAKE.batch(1), 1), signer=4)
    with pytest.raises(Refused, match="signer 4 of 4 members"):
        signature_items(message, make_config(4, 1))


def test_prepare_of_the_primary_is_refused():  # rule 7
    message = MAKE.prepare(0, MAKE.batch(1), 0)
    with pytest.raises(Refused, match="prepare from the primary"):
        check_message(message, make_config(4, 1))


def test_new_view_of_another_than_the_primary_is_refused():  # F18
    changes = [MAKE.view_change(1, by) for by in (0, 1, 2)]
    message = replace(MAKE.new_view(1, changes), signer=2)
    with pytest.raises(Refused, match="not the primary of view 1"):
        check_message(message, make_config(4, 1))


@pytest.mark.parametrize("count", [2, 4])
def test_new_view_names_exactly_q_view_changes(count):  # rule 29, F18
    changes = [MAKE.view_change(1, by) for by in range(count)]
    with pytest.raises(Refused, match=f"names {count} view changes, want 3"):
        check_message(MAKE.new_view(1, changes), make_config(4, 1))


def test_message_of_another_epoch_needs_no_signatures():  # rule 2: it is never counted
    message = replace(MAKE.prepare(0, MAKE.batch(1), 1), epoch=7)
    assert signature_items(message, make_config(4, 1)) == []
