"""A replica that hears one hostile member: rightly signed nonsense in any order (rules 7, 47, 48).

The member signs with its own key whatever Hypothesis makes up, absurd heights and huge lists
included, and timers go off in between. What passes the checks at the door is handed to the replica.
It must never fail, never halt, and never hold more than its window.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import effects as fx
from consensus import messages as m
from consensus.config import minimal
from consensus.epochs import EpochView
from consensus.events import (
    ChainHead,
    Clock,
    Event,
    MessageReceived,
    PeerConnected,
    Request,
    RequestReceived,
    Timer,
    TimerExpired,
)
from consensus.replica import Replica
from consensus.verification import signature_items
from consensus.wire import decode_message, encode_message
from ledger.chain.batch import Batch, null_batch
from ledger.chain.certificate import Certificate, checkpoint_signing_input
from ledger.errors import CreditLedgerError
from ledger.keys import SigningKey, verify_many

CHAIN_ID = bytes(range(32))
KEYS = tuple(SigningKey(bytes([number]) * 32) for number in range(1, 5))
MEMBERS = tuple(key.public_key for key in KEYS)
SIZE, VICTIM = 4, 1
WINDOW = minimal(CHAIN_ID, 0, MEMBERS, VICTIM).limits.window
NUMBERS = st.sampled_from(
    [0, 1, 2, 3, 4, 5, WINDOW, WINDOW + 1, 2 * WINDOW, 1000, 2**31, 2**62, 2**63 - 2, 2**63 - 1]
)
SMALL = st.sampled_from([0, 1, 2, 3, 4])
EPOCHS = st.sampled_from([0, 0, 0, 0, 0, 1, 2**63 - 1])
HASHES = st.sampled_from([bytes(32), *(sha256(bytes([n])).digest() for n in range(4))])
TIMES = st.sampled_from([None, 0, 1_000, 5_000, 2**53, 2**63 - 1])
BITMAPS = st.sampled_from([b"", b"\x00", b"\x0f", b"\xff", b"\xff" * 20])
NO_SIGNATURE = bytes(64)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    height = draw(NUMBERS.filter(lambda number: number > 0))
    time_ms = draw(TIMES)
    if time_ms is None:
        return null_batch(height)
    return Batch(height, time_ms, tuple(draw(st.lists(HASHES, max_size=3, unique=True))))


@st.composite
def pre_prepares(draw: st.DrawFn) -> m.PrePrepare:
    batch = draw(batches())
    digest = draw(st.sampled_from([batch.digest(CHAIN_ID), bytes(32)]))
    return m.PrePrepare(draw(EPOCHS), draw(NUMBERS), digest, 0, NO_SIGNATURE, batch)


def status_slots() -> st.SearchStrategy[Any]:
    slot = st.builds(m.SlotStatus, NUMBERS, st.booleans(), BITMAPS, BITMAPS)
    few = st.lists(slot, max_size=4).map(tuple)
    many = slot.map(lambda item: (item,) * m.SLOTS_MAX)
    return few | many


def pairs_with_hashes() -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(SMALL, HASHES), max_size=4, unique_by=lambda pair: pair[0]).map(
        lambda pairs: tuple(sorted(pairs))
    )


PROPOSALS = st.builds(
    lambda first, count, digest: tuple(
        m.Proposal(first + index, digest, NO_SIGNATURE) for index in range(count)
    ),
    st.sampled_from([1, 2, WINDOW, 2**62]),
    st.sampled_from([0, 1, WINDOW, WINDOW + 1]),
    HASHES,
)
NONE: Any = st.just(NO_SIGNATURE)
SIGNER = st.just(0)
MESSAGES: st.SearchStrategy[Any] = st.one_of(
    pre_prepares(),
    st.builds(m.Prepare, EPOCHS, NUMBERS, NUMBERS, HASHES, SIGNER, NONE),
    st.builds(m.Commit, EPOCHS, NUMBERS, NUMBERS, HASHES, SIGNER, NONE),
    st.builds(m.Checkpoint, EPOCHS, NUMBERS, HASHES, SIGNER, NONE),
    st.builds(m.ViewChange, EPOCHS, NUMBERS, st.just(0), st.none(), st.just(()), SIGNER, NONE),
    st.builds(m.NewView, EPOCHS, NUMBERS, pairs_with_hashes(), PROPOSALS, SIGNER, NONE),
    st.builds(
        m.Status,
        EPOCHS,
        NUMBERS,
        st.booleans(),
        NUMBERS,
        NUMBERS,
        status_slots(),
        st.lists(st.tuples(NUMBERS, BITMAPS), max_size=4).map(tuple),
        BITMAPS,
        st.lists(NUMBERS, max_size=4).map(tuple) | NUMBERS.map(lambda n: (n,) * m.SLOTS_MAX),
    ),
    st.builds(m.ViewChangeRequest, EPOCHS, NUMBERS, pairs_with_hashes()),
    st.builds(m.BatchRequest, EPOCHS, NUMBERS, HASHES),
    st.builds(m.BatchReply, EPOCHS, batches()),
    st.builds(
        m.StableCertificate,
        EPOCHS,
        st.builds(
            lambda height, digest: Certificate(
                0, height, digest, tuple((i, NO_SIGNATURE) for i in range(3))
            ),
            NUMBERS,
            HASHES,
        ),
    ),
)


def signed(message: Any) -> Any:
    """Return the message with the hostile member's own signatures, wherever it can sign."""
    sign = KEYS[0].sign
    if isinstance(message, m.NewView):
        message = replace(
            message, proposals=tuple(signed_in(message, p) for p in message.proposals)
        )
        return replace(message, signature=sign(m.new_view_input(CHAIN_ID, message)))
    if isinstance(message, m.ViewChange):
        return replace(message, signature=sign(m.view_change_input(CHAIN_ID, message)))
    if isinstance(message, m.Checkpoint):
        payload = checkpoint_signing_input(
            CHAIN_ID, message.epoch, message.height, message.block_hash, 0
        )
        return replace(message, signature=sign(payload))
    kinds = {m.PrePrepare: "pre-prepare", m.Prepare: "prepare", m.Commit: "commit"}
    kind = kinds.get(type(message))
    if kind is None:
        return message
    vote = (message.epoch, message.view, message.height, message.digest, 0)
    return replace(message, signature=sign(m.vote_input(CHAIN_ID, kind, *vote)))


def signed_in(message: m.NewView, proposal: m.Proposal) -> m.Proposal:
    vote = (message.epoch, message.view, proposal.height, proposal.digest, 0)
    payload = m.vote_input(CHAIN_ID, m.PRE_PREPARE_KIND, *vote)
    return replace(proposal, signature=KEYS[0].sign(payload))


@cache
def is_verified(item: tuple[bytes, bytes, bytes]) -> bool:
    return verify_many([item])[0]


def passes_the_door(data: bytes) -> m.Message | None:
    """Return what a node would hand to its replica: decoded, checked, its signatures verified."""
    config = minimal(CHAIN_ID, 0, MEMBERS, VICTIM)
    try:
        message = decode_message(data)
        items = signature_items(message, config)
    except CreditLedgerError:
        return None
    return message if all(is_verified(item) for item in items) else None


REQUESTS = st.builds(
    lambda digest, size, local: RequestReceived(Request(digest, size, 10**12, 0), local),
    HASHES,
    st.sampled_from([1, 200, 1024 * 1024]),
    st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        MESSAGES,
        MESSAGES,
        MESSAGES,
        REQUESTS,
        st.sampled_from(list(Timer)).map(TimerExpired),
        st.just(PeerConnected(0)),
    ),
    min_size=1,
    max_size=25,
)


def to_event(step: Any) -> Event | None:
    if isinstance(step, RequestReceived | TimerExpired | PeerConnected):
        return step
    message = passes_the_door(encode_message(signed(step)))
    return None if message is None else MessageReceived(0, message)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_f52_one_hostile_member_neither_breaks_nor_halts_a_replica(steps: list[Any]) -> None:
    config = minimal(CHAIN_ID, 0, MEMBERS, VICTIM)
    head = ChainHead(0, sha256(b"genesis").digest(), 1_000, None, (), EpochView(0, MEMBERS))
    replica, effects = Replica.restore(config, KEYS[VICTIM].sign, (), head, Clock(0, 2_000))
    for number, step in enumerate(steps):
        event = to_event(step)
        if event is not None:
            effects += replica.handle(event, Clock(number * 10_000_000, 2_000 + number * 10))
    assert not replica.is_halted, [item for item in effects if isinstance(item, fx.Halt)]
    assert not any(isinstance(item, fx.Execute) for item in effects)
    assert replica.executed_height == 0
    assert len(effects) < 100 * len(steps) + 100
