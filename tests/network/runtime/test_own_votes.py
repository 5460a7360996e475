"""What a home remembers of its votes, held against what is shown to it (rule 46, F46, F60)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus import messages as m
from consensus.log import AcceptedRecord, NewViewRecord, PreparedRecord, ViewChangeRecord
from consensus.verification import signed_bytes
from ledger.chain.batch import Batch
from ledger.encoding import encode
from ledger.errors import Code, RemoteError, StorageError
from ledger.keys import SigningKey
from network.runtime.own_votes import (
    ANCHOR_KEY,
    HeardVotes,
    Remembered,
    anchor_write,
    check_anchor,
    encode_shown,
    read_shown,
)

CHAIN = bytes(range(32))
KEY = SigningKey(b"k" * 32)
OTHER = SigningKey(b"o" * 32)
NONE = bytes(64)
DIGEST, ANOTHER = b"d" * 32, b"a" * 32
HEAD, CERTIFIED = 12, 10


def pre_prepare(view: int, height: int, digest: bytes = DIGEST, epoch: int = 0) -> m.PrePrepare:
    return m.PrePrepare(epoch, view, digest, 0, NONE, Batch(height, 1_000, ()))


def prepare(view: int, height: int, digest: bytes = DIGEST, epoch: int = 0) -> m.Prepare:
    return m.Prepare(epoch, view, height, digest, 1, NONE)


def commit(view: int, height: int, digest: bytes = DIGEST) -> m.Commit:
    return m.Commit(0, view, height, digest, 1, NONE)


def checkpoint(height: int) -> m.Checkpoint:
    return m.Checkpoint(0, height, DIGEST, 1, NONE)


def view_change(view: int, epoch: int = 0) -> m.ViewChange:
    return m.ViewChange(epoch, view, 0, None, (), 1, NONE)


def new_view(view: int, height: int) -> m.NewView:
    names = tuple((signer, bytes(32)) for signer in range(3))
    return m.NewView(0, view, names, (m.Proposal(height, DIGEST, NONE),), 1, NONE)


def proof(view: int, height: int) -> m.PreparedProof:
    prepares = ((1, NONE), (2, NONE))
    return m.PreparedProof(view, height, DIGEST, NONE, prepares)


REMEMBERED = Remembered.of(
    [
        ViewChangeRecord(view_change(2)),
        NewViewRecord(new_view(2, 11), ()),
        AcceptedRecord(pre_prepare(2, 12)),
        PreparedRecord(0, proof(2, 12)),
        AcceptedRecord(pre_prepare(2, 13)),
    ],
    HEAD,
    CERTIFIED,
)


@pytest.mark.parametrize(
    "message",
    [
        checkpoint(HEAD),
        prepare(2, 13),
        prepare(2, 11),  # a proposal of the NEW-VIEW that is remembered
        prepare(1, CERTIFIED, ANOTHER),  # below the last certificate nothing can be contradicted
        pre_prepare(2, 12),
        commit(2, 12),
        view_change(2),
        view_change(1),
        new_view(2, 11),
    ],
)
def test_rule_46_what_is_remembered_speaks_for_the_home(message: m.SignedMessage) -> None:
    REMEMBERED.check(message)


@pytest.mark.parametrize(
    "message",
    [
        checkpoint(HEAD + 1),
        prepare(2, 14),
        prepare(2, 13, ANOTHER),
        prepare(3, 13),
        prepare(2, 13, epoch=1),
        pre_prepare(2, 14),
        commit(2, 13),  # accepted there, never known to be prepared
        view_change(3),
        view_change(1, epoch=1),
        new_view(3, 11),
    ],
)
def test_f46_f60_what_is_not_remembered_refuses_the_home(message: m.SignedMessage) -> None:
    with pytest.raises(StorageError, match="this key must not vote again") as refusal:
        REMEMBERED.check(message)
    assert refusal.value.code is Code.VOTES_FORGOTTEN


@pytest.mark.parametrize("end", [0, 5])
def test_f62_whole_log_speaks_for_blocks_that_the_database_has_lost(end: int) -> None:
    """The database was rebuilt up to `end`, below what this key has voted for."""
    records = [
        record
        for height in range(3, 9)
        for record in (AcceptedRecord(pre_prepare(0, height)), PreparedRecord(0, proof(0, height)))
    ]
    repaired = Remembered.of([*records, AcceptedRecord(pre_prepare(0, 9))], end, end)
    for message in (checkpoint(8), commit(0, 8), prepare(0, 9)):
        repaired.check(message)
    for later in (checkpoint(9), commit(0, 9), prepare(0, 10)):
        with pytest.raises(StorageError, match="does not remember"):
            repaired.check(later)


def test_f46_a_fresh_log_remembers_nothing() -> None:
    fresh = Remembered.of([], 0, 0)
    for message in (checkpoint(1), prepare(0, 1), commit(0, 1), view_change(1)):
        with pytest.raises(StorageError):
            fresh.check(message)


def test_only_the_furthest_message_of_each_kind_is_kept() -> None:
    heard = HeardVotes()
    for message in (prepare(0, 5), prepare(1, 4), prepare(0, 7), checkpoint(3), checkpoint(2)):
        heard.add(KEY.public_key, message)
    heard.add(KEY.public_key, view_change(4))
    heard.add(KEY.public_key, prepare(0, 1, epoch=1))
    status = m.Status(0, 0, True, 0, 0, (), (), b"", ())
    heard.add(KEY.public_key, status)
    assert heard.of(KEY.public_key) == [prepare(0, 1, epoch=1), checkpoint(3), view_change(4)]
    assert heard.of(OTHER.public_key) == []


def signed(message: m.Prepare, key: SigningKey) -> m.Prepare:
    return replace(message, signature=key.sign(signed_bytes(message, CHAIN)))


def test_what_is_shown_must_be_signed_by_the_key_itself() -> None:
    good = signed(prepare(0, 5), KEY)
    (shown,) = encode_shown([good])
    assert read_shown(shown, CHAIN, KEY.public_key, "tax") == good
    for forged in (signed(prepare(0, 5), OTHER), replace(good, height=6), prepare(0, 5)):
        (shown,) = encode_shown([forged])
        with pytest.raises(RemoteError, match="shows a vote"):
            read_shown(shown, CHAIN, KEY.public_key, "tax")
    with pytest.raises(RemoteError):
        read_shown(shown, bytes(32), KEY.public_key, "tax")
    with pytest.raises(RemoteError):
        read_shown(b"\xc1", CHAIN, KEY.public_key, "tax")


def test_rule_46_a_log_that_ends_before_the_anchor_is_refused() -> None:
    ((key, anchor),) = anchor_write(KEY.public_key, 7, 30).items()
    assert key.startswith(ANCHOR_KEY)
    assert check_anchor(None, KEY.public_key, 0) is None
    assert check_anchor(anchor, KEY.public_key, 7) == 30
    assert check_anchor(anchor, KEY.public_key, 8) == 30
    assert check_anchor(encode((OTHER.public_key, 9, 30)), KEY.public_key, 0) is None
    with pytest.raises(StorageError, match="ends with record 6, the database has seen record 7"):
        check_anchor(anchor, KEY.public_key, 6)
