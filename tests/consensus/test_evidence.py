"""Evidence proves a contradiction to whoever trusts the keys of the members (rule 50)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import effects as fx
from consensus.evidence import (
    Contradiction,
    EvidenceRecord,
    decode_evidence,
    encode_evidence,
    evidence_hash,
    make_evidence,
    verify_evidence,
)
from consensus.messages import SignedMessage, Status, new_view_input, view_change_hash
from consensus.wire import message_value
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from tests.consensus.harness import CHAIN_ID, Bench, Maker, of_kind
from tests.simulator.keys import FastKeyring, verifier_of

MAKE = Maker(4)
KEYS = FastKeyring(4)
A, B = MAKE.batch(3, 1, 2), MAKE.batch(3, 9)
HASH_A, HASH_B = b"\x0a" * 32, b"\x0b" * 32


def _changes(proofs: int) -> list:
    return [MAKE.view_change(5, by, [MAKE.proof(0, A)] if by < proofs else []) for by in (0, 2, 3)]


PAIRS: dict[str, tuple[SignedMessage, SignedMessage]] = {
    "PRE-PREPARE": (MAKE.pre_prepare(1, A), MAKE.pre_prepare(1, B)),
    "PREPARE": (MAKE.prepare(2, A, 1), MAKE.prepare(2, B, 1)),
    "COMMIT": (MAKE.commit(2, A, 1), MAKE.commit(2, B, 1)),
    "CHECKPOINT": (MAKE.checkpoint(3, HASH_A, 1), MAKE.checkpoint(3, HASH_B, 1)),
    "VIEW-CHANGE": (MAKE.view_change(5, 1), MAKE.view_change(5, 1, [MAKE.proof(0, A)])),
    "NEW-VIEW": (MAKE.new_view(5, _changes(0)), MAKE.new_view(5, _changes(4))),
}
SUBJECTS = {
    "PRE-PREPARE": "height 3, view 1, epoch 0",
    "PREPARE": "height 3, view 2, epoch 0",
    "COMMIT": "height 3, view 2, epoch 0",
    "CHECKPOINT": "height 3, epoch 0",
    "VIEW-CHANGE": "view 5, epoch 0",
    "NEW-VIEW": "view 5, epoch 0",
}


def _record(first: SignedMessage, second: SignedMessage, signer: int = 1) -> EvidenceRecord:
    """Return a record of any two messages, which `make_evidence` might refuse."""
    return EvidenceRecord(CHAIN_ID, 0, KEYS.public_keys, signer, first, second)


def _verify(record: EvidenceRecord, chain_id: bytes = CHAIN_ID) -> Contradiction:
    return verify_evidence(record, chain_id, KEYS.public_keys, verifier_of(KEYS))


def _reason(record: EvidenceRecord, chain_id: bytes = CHAIN_ID) -> str:
    with pytest.raises(Refused) as caught:
        _verify(record, chain_id)
    assert caught.value.code is Code.EVIDENCE_INVALID
    return caught.value.message


@pytest.mark.parametrize("kind", PAIRS)
def test_two_messages_about_one_subject_prove_their_signer(kind):
    first, second = PAIRS[kind]
    record = make_evidence(fx.Evidence(1, first, second), CHAIN_ID, KEYS.public_keys)
    proven = _verify(decode_evidence(encode_evidence(record)))
    assert (proven.signer, proven.key) == (1, KEYS.public_keys[1])
    assert proven.statement.startswith(f"signed two {kind}s for {SUBJECTS[kind]}: ")


def test_statement_names_what_was_signed():
    first, second = PAIRS["COMMIT"]
    record = make_evidence(fx.Evidence(1, first, second), CHAIN_ID, KEYS.public_keys)
    named = _verify(record).statement.rpartition(": ")[2].split(" and ")
    assert set(named) == {MAKE.digest(A).hex(), MAKE.digest(B).hex()}
    changes = PAIRS["VIEW-CHANGE"]
    statement = _verify(_record(*changes)).statement
    assert all(view_change_hash(item).hex() in statement for item in changes)


@pytest.mark.parametrize("kind", PAIRS)
def test_every_node_makes_the_same_bytes_of_one_contradiction(kind):
    first, second = PAIRS[kind]
    made = [
        encode_evidence(make_evidence(fx.Evidence(1, *pair), CHAIN_ID, KEYS.public_keys))
        for pair in ((first, second), (second, first))
    ]
    assert made[0] == made[1]
    assert evidence_hash(made[0]) == evidence_hash(made[1])


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("place", ["first", "second"])
def test_forged_signature_is_refused(kind, place):
    record = _record(*PAIRS[kind])
    forged = replace(getattr(record, place), signature=b"\x01" * 64)
    assert _reason(replace(record, **{place: forged})) == (
        f"signature of the {place} message is not of member 1"
    )


@pytest.mark.parametrize("kind", PAIRS)
def test_same_message_twice_is_refused(kind):
    first, _ = PAIRS[kind]
    assert _reason(_record(first, first)).startswith(f"both messages say the same: one {kind} for")
    with pytest.raises(Refused, match="say the same"):
        make_evidence(fx.Evidence(1, first, first), CHAIN_ID, KEYS.public_keys)


def test_one_thing_signed_in_two_ways_is_no_contradiction():
    first, _ = PAIRS["PREPARE"]
    assert "say the same" in _reason(_record(first, replace(first, signature=b"\x01" * 64)))


def test_one_digest_beside_two_batches_is_no_contradiction():
    """The batch is not signed: whoever hands the message on could have put another there."""
    first, _ = PAIRS["PRE-PREPARE"]
    assert "say the same" in _reason(_record(first, replace(first, batch=B)))


@pytest.mark.parametrize("kind", PAIRS)
def test_wrong_chain_is_refused(kind):
    record = _record(*PAIRS[kind])
    other = bytes(32)
    assert _reason(record, other) == f"evidence is of chain {CHAIN_ID.hex()}, want {other.hex()}"
    # Nor does it help to say that it is of the other chain: the signatures cover it.
    assert "signature of the first message" in _reason(replace(record, chain_id=other), other)


def test_two_signers_are_refused():
    by_1, by_2 = MAKE.prepare(0, A, 1), MAKE.prepare(0, B, 2)
    assert _reason(_record(by_1, by_2)) == "second message is of member 2, want 1 for both"
    assert _reason(_record(by_1, by_2, signer=2)) == "first message is of member 1, want 2 for both"
    claimed = replace(by_2, signer=1)
    assert _reason(_record(by_1, claimed)) == "signature of the second message is not of member 1"


def test_another_than_the_signer_cannot_be_blamed():
    first, second = (replace(item, signer=2) for item in PAIRS["COMMIT"])
    assert _reason(_record(first, second, signer=2)) == (
        "signature of the first message is not of member 2"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (MAKE.prepare(0, A, 1), MAKE.commit(0, B, 1)),
        (MAKE.prepare(0, A, 1), MAKE.prepare(4, B, 1)),
        (MAKE.commit(0, A, 1), MAKE.commit(0, MAKE.batch(4, 9), 1)),
        (MAKE.checkpoint(3, HASH_A, 1), MAKE.checkpoint(4, HASH_B, 1)),
        (MAKE.view_change(5, 1), MAKE.view_change(6, 1, [MAKE.proof(0, A)])),
        (MAKE.view_change(5, 1), MAKE.new_view(5, _changes(0))),
    ],
)
def test_messages_about_two_subjects_are_refused(first, second):
    assert _reason(_record(first, second)).endswith("do not contradict")


def test_another_epoch_is_refused():
    first, second = PAIRS["COMMIT"]
    record = _record(first, replace(second, epoch=1))
    assert _reason(record) == "second message is of epoch 1, want 0"
    assert _reason(replace(record, epoch=1)) == "first message is of epoch 0, want 1"


def test_other_members_are_refused():
    record = _record(*PAIRS["COMMIT"])
    swapped = (*KEYS.public_keys[1:], KEYS.public_keys[0])
    with pytest.raises(Refused, match="names other members than the 4 that are trusted"):
        verify_evidence(record, CHAIN_ID, swapped, verifier_of(KEYS))


def _altered(place: int, value: object) -> bytes:
    fields = list(decode(encode_evidence(_record(*sorted_pair("COMMIT")))))
    fields[place] = value
    return encode(tuple(fields))


def sorted_pair(kind: str) -> tuple[SignedMessage, SignedMessage]:
    """Return a pair in the order in which it is kept."""
    record = make_evidence(fx.Evidence(1, *PAIRS[kind]), CHAIN_ID, KEYS.public_keys)
    return record.first, record.second


STATUS = Status(0, 1, True, 0, 0, (), (), b"", ())


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (0, "creditledger/evidence/2", "begins with"),
        (1, b"short", "chain id is not 32 bytes"),
        (2, True, "epoch is not a number"),
        (3, (), "members are not a list"),
        (3, (b"",), "member key is not 32 bytes"),
        (4, 4, "signer is none of 4 members"),
        (4, -1, "signer is none of 4 members"),
        (5, (2, 0), "first message: message type 2 has wrong fields"),
        (6, (99,), "second message: message type 99 is unknown"),
        (5, message_value(STATUS), "Status is not a signed message"),
        (6, message_value(MAKE.pre_prepare(0, A)), "not in the order of their bytes"),
    ],
)
def test_what_is_malformed_is_refused_with_the_reason(place, value, reason):
    with pytest.raises(Refused, match=reason) as caught:
        decode_evidence(_altered(place, value))
    assert caught.value.code is Code.EVIDENCE_INVALID


@given(st.data())
def test_no_flipped_bit_proves_anything(data):
    kind = data.draw(st.sampled_from(sorted(PAIRS)))
    whole = bytearray(encode_evidence(_record(*sorted_pair(kind))))
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[place // 8] ^= 1 << place % 8
    if kind == "PRE-PREPARE" and _is_in_a_batch(bytes(whole)):
        return
    with pytest.raises(Refused):
        _verify(decode_evidence(bytes(whole)))


def _is_in_a_batch(data: bytes) -> bool:
    """Tell whether all but what stands in the batches beside the digests is as it was."""
    try:
        record = decode_evidence(data)
    except Refused:
        return False
    first, second = sorted_pair("PRE-PREPARE")
    return (
        replace(record.first, batch=first.batch) == first
        and replace(record.second, batch=second.batch) == second
        and (record.first.height, record.second.height) == (3, 3)
    )


def test_f45_two_processes_with_one_key_are_evidence():
    """A clone of the primary proposes what it knows: nobody lies, and yet the key voted twice."""
    primary, clone, backup = Bench(index=0), Bench(index=0), Bench(index=1)
    backup.add_bodies(1, 2)
    proposals = [
        next(item.message for item in of_kind(node.add_bodies(number), fx.Broadcast))
        for node, number in ((primary, 1), (clone, 2))
    ]
    (found,) = of_kind(backup.receive(*proposals), fx.ReportEvidence)
    proven = _verify(make_evidence(found.evidence, CHAIN_ID, KEYS.public_keys))
    assert proven.signer == 0
    assert proven.statement.startswith("signed two PRE-PREPAREs for height 1, view 0, epoch 0: ")


def test_new_view_signed_in_two_ways_is_not_reported():
    bench = Bench(index=1)
    changes = [MAKE.view_change(4, by) for by in (0, 2, 3)]
    message = MAKE.new_view(4, changes)
    bench.receive(*changes)
    bench.receive(message)
    assert bench.replica.view == 4
    again = replace(message, signature=b"\x01" * 64)
    assert new_view_input(CHAIN_ID, again) == new_view_input(CHAIN_ID, message)
    assert of_kind(bench.receive(again), fx.ReportEvidence) == []


def test_f19_two_new_views_of_one_view_are_evidence():
    bench = Bench(index=1)
    changes = [MAKE.view_change(4, by) for by in (0, 2, 3)]
    bench.receive(*changes)
    bench.receive(MAKE.new_view(4, changes))
    other = MAKE.new_view(4, changes, [(1, HASH_A)])
    (found,) = of_kind(bench.receive(other), fx.ReportEvidence)
    record = make_evidence(found.evidence, CHAIN_ID, KEYS.public_keys)
    assert _verify(record).statement.startswith("signed two NEW-VIEWs for view 4, epoch 0: ")
