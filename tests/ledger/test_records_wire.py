"""Records on the wire: digests, roots, single fields shown alone, the check at the door."""

from hashlib import sha256, shake_256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain import merkle
from ledger.encoding import encode
from ledger.errors import Code, Refused
from ledger.keys import SigningKey
from ledger.transactions.envelope import sign_transaction
from ledger.transactions.records import (
    FieldProof,
    Record,
    check_attachments,
    decode_record,
    encode_record,
    prove_field,
    record_digest,
    records_root,
    verify_field,
)

COMPANY = "91440300MA5CJQ4N55"
SALT = bytes(range(16))
VALUES = st.one_of(
    st.integers(-(10**15), 10**15),
    st.booleans(),
    st.text(max_size=8),
    st.tuples(st.text(max_size=3), st.text(max_size=3)),
)
FIELDS = st.dictionaries(st.text("abcdé_", min_size=1, max_size=6), VALUES, min_size=1, max_size=6)


def submit(attachments, **changes):
    digests = [record_digest(item) for item in attachments]
    body = {"category": "C1", "count": len(attachments), "root": records_root(digests)} | changes
    return sign_transaction(
        SigningKey(bytes(32)),
        chain_id=bytes(32),
        sender="D02",
        nonce=bytes(16),
        expires_at_ms=1,
        kind="records.submit",
        body=body,
        attachments=tuple(attachments),
    )


@given(FIELDS, st.sampled_from([None, SALT]), st.sampled_from([None, (3, bytes(32))]))
def test_record_survives_the_wire(fields, salt, supersedes):
    record = Record(COMPANY, 18_000, fields, bytes(32), supersedes, salt)
    assert decode_record(encode_record(record)) == record


def naive_digest(record):
    names = sorted(record.fields, key=str.encode)
    stream = shake_256(record.salt + b"creditledger/record-salts/1").digest(16 * (len(names) + 1))
    items = [("", record.head), *((name, record.fields[name]) for name in names)]
    leaves = [
        merkle.leaf_hash(encode((name, stream[16 * i : 16 * i + 16], value)))
        for i, (name, value) in enumerate(items)
    ]
    tag = b"creditledger/salted-record/1"
    return sha256(bytes([len(tag)]) + tag + b"".join(leaves)).digest()


@given(FIELDS)
def test_salted_digest_is_the_hash_over_its_leaves(fields):
    record = Record(COMPANY, 18_000, fields, None, None, SALT)
    assert record_digest(encode_record(record)) == naive_digest(record)


@given(FIELDS, st.data())
def test_one_field_can_be_shown_alone(fields, data):
    record = Record(COMPANY, 18_000, fields, None, None, SALT)
    digest = record_digest(encode_record(record))
    name = data.draw(st.sampled_from(["", *fields]))
    proof = prove_field(decode_record(encode_record(record)), name)
    verify_field(proof, digest)
    other = FieldProof(name, proof.salt, "another", proof.index, proof.leaves)
    with pytest.raises(Refused) as caught:
        verify_field(other, digest)
    assert caught.value.code is Code.PROOF_INVALID


@given(FIELDS, st.integers(0, 10_000), st.sampled_from([None, SALT]))
def test_every_byte_counts(fields, position, salt):
    data = encode_record(Record(COMPANY, 18_000, fields, None, None, salt))
    position %= len(data)
    changed = data[:position] + bytes((data[position] ^ 1,)) + data[position + 1 :]
    try:
        digest = record_digest(changed)
    except Refused:
        return
    assert digest != record_digest(data)


@pytest.mark.parametrize(
    "value",
    [
        (),
        (COMPANY, 1, None, None, None),
        (1, 1, None, None, None, {"a": 1}),
        (COMPANY, True, None, None, None, {"a": 1}),
        (COMPANY, 1, b"short", None, None, {"a": 1}),
        (COMPANY, 1, None, bytes(32), None, {"a": 1}),
        (COMPANY, 1, None, None, bytes(15), {"a": 1}),
        (COMPANY, 1, None, None, None, {}),
        (COMPANY, 1, None, None, None, ("a",)),
    ],
)
def test_other_shapes_are_refused(value):
    with pytest.raises(Refused) as caught:
        decode_record(encode(value))
    assert caught.value.code is Code.ATTACHMENT_MISMATCH


def attachments(count):
    return [encode_record(Record(COMPANY, day, {"a": day})) for day in range(count)]


def test_door_returns_the_digests():
    items = attachments(3)
    assert check_attachments(submit(items)) == tuple(record_digest(item) for item in items)


@pytest.mark.parametrize("changes", [{"count": 2}, {"root": bytes(32)}, {"count": "3"}])
def test_door_refuses_what_the_body_does_not_sign(changes):
    with pytest.raises(Refused) as caught:
        check_attachments(submit(attachments(3), **changes))
    assert caught.value.code is Code.ATTACHMENT_MISMATCH


def test_door_refuses_attachments_of_other_kinds():
    transaction = sign_transaction(
        SigningKey(bytes(32)),
        chain_id=bytes(32),
        sender="D02",
        nonce=bytes(16),
        expires_at_ms=1,
        kind="consent.grant",
        body={},
        attachments=(b"x",),
    )
    with pytest.raises(Refused) as caught:
        check_attachments(transaction)
    assert caught.value.message == "consent.grant has attachments, want none"
