"""Every decoder, given good bytes with one part changed, refuses by number or reads a value.

What comes over a link, out of a file or in a body was written by somebody else; nothing of it may
raise anything but a numbered error, because that would stop the node that read it (rules 17, 48).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import messages as m
from consensus.config import minimal
from consensus.log import (
    AcceptedRecord,
    NewViewRecord,
    PreparedRecord,
    ViewChangeRecord,
    encode_record,
)
from consensus.log import decode_record as decode_vote_record
from consensus.verification import signature_items
from consensus.wire import decode_message, encode_message
from ledger.chain.batch import Batch
from ledger.chain.certificate import Certificate, decode_certificate
from ledger.chain.header import decode_header
from ledger.chain.receipt import build_receipt, decode_receipt, verify_receipt
from ledger.encoding import decode, encode
from ledger.errors import CreditLedgerError
from ledger.membership.genesis import parse_genesis
from ledger.transactions.envelope import decode_transaction
from ledger.transactions.records import Record, check_attachments, decode_record
from network.wire import (
    BlockParts,
    Blocks,
    Bodies,
    GetBlocks,
    GetBodies,
    Hello,
    Offer,
    Ping,
    Votes,
    decode_peer_frame,
    decode_request,
    decode_response,
    encode_peer_frame,
)
from tests.chain.builder import (
    CHAIN_ID,
    NODE_KEYS,
    VALIDATORS,
    ChainBuilder,
    certify,
    genesis_header,
    transaction,
)
from tests.end_to_end.mutations import mutated
from tests.ledger_harness import GENESIS_DAY, SALT, Harness, company_code, genesis_document

HASH = bytes(range(32))
SIGNATURE = bytes(64)
CONFIG = minimal(CHAIN_ID, 0, tuple(key.public_key for key in NODE_KEYS), 1)
CERTIFICATE = Certificate(0, 4, HASH, tuple((i, SIGNATURE) for i in range(3)))
BATCH = Batch(5, 1000, (HASH,))
PROOF = m.PreparedProof(0, 5, HASH, SIGNATURE, ((1, SIGNATURE), (2, SIGNATURE)))
MESSAGES = (
    m.PrePrepare(0, 0, HASH, 0, SIGNATURE, BATCH),
    m.Prepare(0, 0, 5, HASH, 1, SIGNATURE),
    m.Commit(0, 0, 5, HASH, 1, SIGNATURE),
    m.Checkpoint(0, 4, HASH, 1, SIGNATURE),
    m.ViewChange(0, 1, 4, CERTIFICATE, (PROOF,), 1, SIGNATURE),
    m.NewView(
        *(0, 1, tuple((i, HASH) for i in range(3)), (m.Proposal(5, HASH, SIGNATURE),)),
        *(1, SIGNATURE),
    ),
    m.Status(
        *(0, 0, True, 4, 5, (m.SlotStatus(5, True, b"\x0f", b"\x07"),)),
        *(((4, b"\x07"),), b"\x01", (5,)),
    ),
    m.StableCertificate(0, CERTIFICATE),
    m.ViewChangeRequest(0, 1, ((1, HASH),)),
    m.BatchRequest(0, 5, HASH),
    m.BatchReply(0, BATCH),
)
FRAMES = (
    Hello(HASH, "D02", bytes(16), 7),
    Votes(b"vote"),
    Bodies((b"one", b"two")),
    GetBodies((HASH,)),
    Offer((HASH,)),
    GetBlocks(5, 260),
    Blocks((BlockParts(b"h", None, (b"t",), b"c"),), 12),
    Ping(1),
)
CHAIN = Harness()
PATENT = Record(
    company_code(1),
    GENESIS_DAY - 9,
    {
        "patent_no": "P1",
        "title": "a lamp",
        "granted_on": GENESIS_DAY - 9,
        "legal_status": "valid",
        "inventors": ("A", "B"),
    },
    salt=SALT,
)
TRANSACTION = CHAIN.submit("D01", "C028", [PATENT])
BLOCK, _ = ChainBuilder().add([transaction(number) for number in range(5)])
RECEIPT = build_receipt(BLOCK, 2, certify(BLOCK.header), VALIDATORS)
RECORDS = (
    AcceptedRecord(MESSAGES[0]),
    PreparedRecord(0, PROOF),
    ViewChangeRecord(MESSAGES[4]),
    NewViewRecord(MESSAGES[5], (MESSAGES[4],)),
)


def check_vote(data: bytes) -> None:
    """Do what a node does with a vote before the replica sees it."""
    signature_items(decode_message(data), CONFIG)


def check_transaction(data: bytes) -> None:
    """Do what the door does with a transaction whose signature is right."""
    check_attachments(decode_transaction(data))


def check_receipt(data: bytes) -> None:
    """Do what a client does with a receipt."""
    verify_receipt(decode_receipt(data), CHAIN_ID, 0, VALIDATORS)


def refusal(reader: Callable[[bytes], object], data: bytes) -> CreditLedgerError | None:
    """Return the numbered error that a reader raises; any other error is a bug and goes on."""
    try:
        reader(data)
    except CreditLedgerError as error:
        return error
    return None


READERS: dict[str, tuple[Callable[[bytes], object], tuple[Any, ...]]] = {
    "vote": (check_vote, tuple(decode(encode_message(item)) for item in MESSAGES)),
    "vote record": (decode_vote_record, tuple(decode(encode_record(item)) for item in RECORDS)),
    "peer frame": (decode_peer_frame, tuple(decode(encode_peer_frame(item)) for item in FRAMES)),
    "request": (decode_request, ((1, "submit", {"tx": b"x"}), (2, "fate", {"ids": (HASH,)}))),
    "response": (decode_response, ((1, True, {"items": ()}), (1, False, 5101, "busy", 50))),
    "transaction": (check_transaction, (decode(TRANSACTION.encoded()),)),
    "record": (decode_record, tuple(decode(item) for item in TRANSACTION.attachments)),
    "certificate": (decode_certificate, (CERTIFICATE.to_value(),)),
    "header": (decode_header, (decode(genesis_header().encoded()),)),
    "receipt": (check_receipt, (decode(RECEIPT.encoded()),)),
    "genesis": (parse_genesis, (genesis_document(),)),
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_part_is_refused_by_number_or_read(name: str, data: st.DataObject) -> None:
    reader, values = READERS[name]
    value = data.draw(st.sampled_from(values).flatmap(mutated))
    error = refusal(reader, encode(value))
    assert error is None or (1000 < error.code < 9000 and error.message)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_changed_field_of_a_signed_envelope_is_refused_by_number(data: st.DataObject) -> None:
    """The signed part is packed inside the wire bytes: its fields are changed, not its bytes."""
    fields = decode(TRANSACTION.unsigned)
    changed = data.draw(mutated(fields))
    wire = encode((encode(changed), TRANSACTION.signature, TRANSACTION.attachments))
    error = refusal(check_transaction, wire)
    assert error is None or 1000 < error.code < 2000


@pytest.mark.parametrize("name", READERS)
def test_what_was_changed_is_read_unchanged(name: str) -> None:
    """Else the tests above would change values that are refused anyhow."""
    reader, values = READERS[name]
    for value in values:
        reader(encode(value))
