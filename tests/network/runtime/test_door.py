"""The door: what is refused, remembered, taken twice, or too much (rules 17, 48, 52; F30, F31)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing

from consensus.events import Event, RequestReceived, RequestRefused
from ledger.encoding import decode, encode
from ledger.errors import Code
from ledger.keys import SigningKey
from ledger.storage.chain_store import FATES, ChainStore
from ledger.storage.memory import MemoryStore
from ledger.transactions.envelope import (
    Transaction,
    decode_transaction,
    peek_signed_hash,
    sign_transaction,
)
from ledger.transactions.records import Record, encode_record, record_digest, records_root
from network.methods import Accepted
from network.runtime import door as door_module
from network.runtime.door import Door
from network.runtime.mempool import Mempool, MempoolLimits

CHAIN = bytes(range(32))
KEY = SigningKey(bytes(32))
NOW_MS = 1_577_836_800_000
OWN, PEER, OTHER = 0, 1, 2


def make(kind: str = "consent.revoke", nonce: int = 0, **changes: Any) -> Transaction:
    fields: dict[str, Any] = {
        "chain_id": CHAIN,
        "sender": "D02",
        "nonce": nonce.to_bytes(16, "big"),
        "expires_at_ms": NOW_MS + 60_000,
        "kind": kind,
        "body": {"consent": "x"},
    }
    return sign_transaction(KEY, **{**fields, **changes})


def make_records(fields: dict[str, Any]) -> Transaction:
    attachment = encode_record(Record("91440300192185379H", 18_262, fields))
    body = {"count": 1, "root": records_root([record_digest(attachment)])}
    return make("records.submit", body=body, attachments=(attachment,))


def broken_signature(item: Transaction) -> bytes:
    return replace(item, signature=bytes((item.signature[0] ^ 1,)) + item.signature[1:]).encoded()


class Bench:
    """A door over an empty chain, with what it told the replica."""

    def __init__(self, limits: MempoolLimits | None = None) -> None:
        self.store = MemoryStore()
        self.events: list[Event] = []
        self.mempool = Mempool(limits)
        self.free_places = 1000
        self.door = Door(
            CHAIN,
            ChainStore(self.store),
            self.mempool,
            lambda: NOW_MS,
            self.events.append,
        )
        self.door.enter(OWN, 4, 1024, lambda: self.free_places)

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.door.run)
                result = await work()
                nursery.cancel_scope.cancel()
            return result

        return trio.run(main)

    def submit(self, *wires: bytes) -> list[Accepted]:
        answers: list[Accepted] = self.run(lambda: self.door.admit_local(wires))[0]
        return answers

    def receive(self, *wires: bytes, origin: int = PEER) -> int:
        bad: int = self.run(lambda: self.door.admit_remote(wires, origin))
        return bad


def test_a_sound_transaction_is_held_announced_and_spread():
    bench, item = Bench(), make()
    answers, fresh = bench.run(lambda: bench.door.admit_local([item.encoded()]))
    assert [answer.code for answer in answers] == [0]
    assert answers[0].id == item.id
    assert fresh == [item.encoded()]
    assert item.signed_hash in bench.mempool
    (event,) = bench.events
    assert isinstance(event, RequestReceived)
    assert event.is_local
    assert event.request.origin == OWN


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"", Code.ENCODING_MALFORMED),
        (encode(1), Code.ENVELOPE_MALFORMED),
        (b"\x93\xc4", Code.ENCODING_MALFORMED),
        (make(chain_id=bytes(32)).encoded(), Code.WRONG_CHAIN),
        (make(expires_at_ms=NOW_MS).encoded(), Code.TX_EXPIRED_AT_DOOR),
        (make(expires_at_ms=NOW_MS + 10**12).encoded(), Code.TX_EXPIRY_TOO_FAR),
        (broken_signature(make()), Code.SIGNATURE_INVALID),
        (make(attachments=(b"surplus",)).encoded(), Code.ATTACHMENT_MISMATCH),
        (b"\xc4" + bytes(2_000_000), Code.TX_TOO_LARGE),
    ],
)
def test_what_is_wrong_gets_its_number_and_leaves_nothing(wire, code):
    bench = Bench()
    (answer,) = bench.submit(wire)
    assert answer.code == code
    assert answer.id is None
    assert len(bench.mempool) == 0
    assert not any(isinstance(event, RequestReceived) for event in bench.events)


def test_the_same_refused_bytes_get_the_same_answer_without_another_check():
    bench = Bench()
    wire = broken_signature(make())
    first = bench.submit(wire)
    checked = bench.door.checked_count
    assert bench.submit(wire) == first
    assert bench.door.checked_count == checked
    assert [type(event) for event in bench.events] == [RequestRefused]


def test_f30_a_copy_with_a_broken_signature_does_not_harm_the_good_one():
    bench, item = Bench(), make()
    assert bench.receive(broken_signature(item)) == 1
    assert bench.submit(item.encoded())[0].code == 0


def test_f30_a_copy_with_other_attachments_does_not_condemn_the_hash_they_share():
    bench, good = Bench(), make_records({"grade": "A"})
    other = make_records({"grade": "B"}).attachments
    unsigned, signature, _ = decode(good.encoded())
    assert bench.receive(encode((unsigned, signature, other))) == 1
    assert bench.submit(good.encoded())[0].code == 0
    assert not any(isinstance(event, RequestRefused) for event in bench.events)


def test_f31_a_repeat_is_answered_with_its_id_and_held_once():
    bench, item = Bench(), make()
    assert bench.submit(item.encoded(), item.encoded())[0].id == item.id
    assert bench.submit(item.encoded())[0].id == item.id
    assert len(bench.mempool) == 1


def test_what_is_held_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch):
    bench, item = Bench(), make()
    bench.submit(item.encoded())
    decoded: list[bytes] = []
    monkeypatch.setattr(door_module, "decode_transaction", decoded.append)
    assert bench.submit(item.encoded())[0].id == item.id
    assert bench.receive(item.encoded(), item.encoded(), origin=OTHER) == 0
    assert decoded == []


@pytest.mark.parametrize("size", [1, 60, 200, 300, 70_000])
def test_signed_hash_that_is_peeked_is_the_one_that_decoding_finds(size: int):
    item = make(body={"text": "x" * size})
    wire = item.encoded()
    assert peek_signed_hash(wire) == item.signed_hash
    begins = range(0, len(wire) - 1, 1 + len(wire) // 200)
    cut_short = [peek_signed_hash(wire[:end]) for end in begins]
    assert set(cut_short) == {None}
    assert peek_signed_hash(encode((item.unsigned, item.signature[1:], ()))) is None
    assert peek_signed_hash(encode([item.unsigned, item.signature])) is None


def test_a_relayed_copy_is_announced_again_under_its_link():
    bench, item = Bench(), make()
    bench.submit(item.encoded())
    bench.receive(item.encoded(), origin=OTHER)
    origins = [event.request.origin for event in bench.events if isinstance(event, RequestReceived)]
    assert origins == [OWN, OTHER]


def test_what_is_in_a_block_is_accepted_and_not_held_again():
    bench, item = Bench(), make()
    bench.store.write({FATES + item.id: encode((7, 0, 0))}, sync=False)
    assert bench.submit(item.encoded())[0].id == item.id
    assert len(bench.mempool) == 0


@pytest.mark.parametrize("way", ["expired", "executed", "no room"])
def test_rule_20_what_a_proposal_waits_for_is_taken_all_the_same(way):
    bench = Bench(MempoolLimits(count=1, bytes=10**6))
    item = make(nonce=9, expires_at_ms=NOW_MS - (way == "expired") * 10)
    if way == "executed":
        bench.store.write({FATES + item.id: encode((7, 0, 0))}, sync=False)
    if way == "no room":
        item = make(nonce=9)
        bench.receive(make(nonce=1).encoded())
    bench.receive(item.encoded())
    assert item.signed_hash not in bench.mempool
    bench.door.expect([item.signed_hash])
    bench.receive(item.encoded())
    assert item.signed_hash in bench.mempool
    assert bench.events[-1].request.hash == item.signed_hash


def test_a_full_node_says_busy_and_takes_nothing():
    bench = Bench(MempoolLimits(count=2, bytes=10**6))
    answers = bench.submit(*(make(nonce=n).encoded() for n in range(2)))
    assert [answer.code for answer in answers] == [0, 0]
    assert bench.submit(make(nonce=9).encoded())[0].code == Code.BUSY
    bench = Bench()
    bench.free_places = 0
    assert bench.submit(make().encoded())[0].code == Code.BUSY
    assert bench.receive(make().encoded()) == 0
    assert len(bench.mempool) == 1


def test_f69_one_member_cannot_take_the_places_of_another():
    bench = Bench(MempoolLimits(count=3, bytes=10**6))
    bench.receive(*(make(nonce=n).encoded() for n in range(9)), origin=PEER)
    bench.receive(*(make(nonce=n).encoded() for n in range(10, 13)), origin=PEER)
    assert len(bench.mempool) <= 9
    assert bench.submit(make(nonce=99).encoded())[0].code == 0


def test_forgetting_frees_the_places():
    bench = Bench(MempoolLimits(count=1, bytes=10**6))
    item = make()
    bench.submit(item.encoded())
    assert bench.mempool.is_pending(item.id)
    bench.mempool.remove([item.signed_hash, b"unknown"])
    assert not bench.mempool.is_pending(item.id)
    assert bench.mempool.waiting_bytes == 0
    assert bench.submit(make(nonce=1).encoded())[0].code == 0


def test_the_same_bytes_over_several_links_are_checked_once():
    bench, item = Bench(), make()

    async def together() -> None:
        async with trio.open_nursery() as nursery:
            for origin in (PEER, OTHER):
                nursery.start_soon(bench.door.admit_remote, [item.encoded()], origin)

    bench.run(together)
    assert bench.door.checked_count == 1
    assert item.signed_hash in bench.mempool


def test_f30_a_bad_copy_in_check_does_not_keep_the_good_one_out():
    bench, good = Bench(), make_records({"grade": "A"})
    unsigned, signature, _ = decode(good.encoded())
    bad = encode((unsigned, signature, make_records({"grade": "B"}).attachments))

    async def together() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.door.admit_remote, [bad], PEER)
            nursery.start_soon(bench.door.admit_remote, [good.encoded()], OTHER)

    bench.run(together)
    assert good.signed_hash in bench.mempool


def test_places_are_counted_within_one_submission():
    bench = Bench()
    bench.free_places = 3
    answers = bench.submit(*(make(nonce=n).encoded() for n in range(5)))
    assert [answer.code for answer in answers] == [0, 0, 0, Code.BUSY, Code.BUSY]
    assert len(bench.submit(*(make(nonce=n).encoded() for n in range(10, 12)))) == 2
    assert bench.door.busy_count == 2


def test_a_transaction_larger_than_all_places_is_taken_when_there_is_one():
    bench = Bench()
    bench.free_places = 1
    large = make(body={"text": "x" * 5000})
    answers = bench.submit(large.encoded(), make(nonce=1).encoded())
    assert [answer.code for answer in answers] == [0, Code.BUSY]


def test_an_offer_of_what_is_held_is_announced_under_its_link_and_not_fetched():  # rule 22
    bench, item = Bench(), make()
    assert not bench.door.is_known(item.signed_hash, OTHER)
    bench.receive(item.encoded(), origin=PEER)
    bench.events.clear()
    assert bench.door.is_known(item.signed_hash, PEER)
    assert bench.events == []
    assert bench.door.is_known(item.signed_hash, OTHER)
    (event,) = bench.events
    assert isinstance(event, RequestReceived)
    assert event.request.origin == OTHER


def test_what_is_being_checked_is_known_until_it_fails():
    bench, item = Bench(), make()
    broken = broken_signature(item)
    refused = decode_transaction(broken).signed_hash

    async def look() -> None:
        async with trio.open_nursery() as nursery:
            # Without its worker the door keeps what it is to check.
            nursery.start_soon(bench.door.admit_remote, [broken], PEER)
            await trio.testing.wait_all_tasks_blocked()
            assert bench.door.is_in_check(refused)
            assert bench.door.is_known(refused, OTHER)
            nursery.cancel_scope.cancel()

    trio.run(look)
    assert not bench.door.is_in_check(refused)
    bench.receive(broken)
    assert bench.door.is_known(refused, OTHER)


def test_rule_2_the_next_replica_is_told_of_what_is_held_clients_first() -> None:
    bench = Bench()
    ours, theirs, done = make(nonce=1), make(nonce=2), make(nonce=3)
    bench.receive(theirs.encoded())
    bench.submit(ours.encoded())
    bench.receive(done.encoded())
    bench.store.write({FATES + done.id: encode((1, 0, 0))}, sync=False)
    bench.events.clear()
    bench.mempool.renumber({OWN: 0, PEER: 2}, own=0)
    bench.door.enter(0, 4, 1024, lambda: 1000)
    bench.door.announce_all()
    told = [event for event in bench.events if isinstance(event, RequestReceived)]
    assert [(event.request.hash, event.request.origin, event.is_local) for event in told] == [
        (ours.signed_hash, 0, True),
        (theirs.signed_hash, 2, False),
    ]
    assert done.signed_hash not in bench.mempool


def test_a_node_that_only_follows_takes_nothing() -> None:
    bench = Bench()
    bench.door.enter(4, 4, 1024, None)
    (answer,) = bench.submit(make().encoded())
    assert answer.code == Code.NOT_ORDERING
    assert bench.events == []


def test_rule_2_a_body_whose_member_left_while_it_was_checked_goes_by_the_own_number() -> None:
    bench = Bench()
    bench.receive(make().encoded(), origin=7)
    (event,) = bench.events
    assert isinstance(event, RequestReceived)
    assert event.request.origin == OWN
