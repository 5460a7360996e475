"""Members as a network proves them to a client: rotated keys, removals, and lies about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.epochs import EpochFollower, decode_change
from ledger.encoding import decode, encode
from ledger.errors import Code, LocalError, Refused, Rejected
from ledger.membership.members import Member
from ledger.storage.chain_store import CERTIFICATES, height_key
from network.members import FRESH_MS, verify_members
from network.profile import ANCHORS_FILE, load_anchors, save_anchors
from tests.audit.chain import GovernedChain
from tests.ledger.governance import certificate_of
from tests.ledger_harness import key_of

NAMES = ("D01", "D02", "ICBC")


def _chain() -> GovernedChain:
    """Return a chain of epoch 1 in which ICBC votes, D02 has a new key and D01 was removed."""
    chain = GovernedChain()
    chain.observe("ICBC")
    chain.decide("D01", "promote", "ICBC")
    chain.settle()
    chain.decide("D01", "rotate_key", "D02", key="D02.2")
    removal = chain.proposed("D20", "remove", "D01")
    for voter in ("D18", "ICBC"):
        chain.approve(removal, voter)
    chain.act("D02", "member.approve", {"proposal": removal}, "D02.2")
    chain.settle()
    return chain


CHAIN = _chain()
ANSWER = CHAIN.query("members.proven", members=NAMES)


def _trusted() -> EpochFollower:
    trusted = EpochFollower(CHAIN.genesis.chain_id, CHAIN.genesis.validator_keys())
    trusted.follow([decode_change(item) for item in CHAIN.query("epochs.changes")["changes"]])
    return trusted


def _verify(answer: Mapping[str, Any]) -> list[Member]:
    return verify_members(answer, NAMES, _trusted(), CHAIN.head.time_ms)


def test_members_are_proven_as_they_are_now() -> None:
    first, second, third = _verify(ANSWER)
    assert first.is_removed
    assert second.certificate == certificate_of(key_of("D02.2"))
    assert third == CHAIN.member("ICBC")


def _with_member(change: Any) -> dict[str, Any]:
    value, proof = ANSWER["members"][1]
    return {**ANSWER, "members": (ANSWER["members"][0], change(value, proof), ANSWER["members"][2])}


def _older(value: bytes, proof: bytes) -> tuple[bytes, bytes]:
    fields = list(decode(value))
    fields[5] = key_of("D02").public_key
    return encode(tuple(fields)), proof


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (_with_member(_older), "state proof shows"),
        (_with_member(lambda _v, _p: ANSWER["members"][2]), "state proof"),
        (_with_member(lambda v, _p: (v, b"")), "msgpack"),
        (_with_member(lambda v, _p: (v, None)), "entry of member D02 is not a value"),
        ({**ANSWER, "members": ANSWER["members"][:2]}, "answer is not of 3 members"),
        ({**ANSWER, "certificate": None}, "no header or no certificate"),
        ({**ANSWER, "header": replace(CHAIN.head, state_root=bytes(32)).encoded()}, "another cert"),
        ({**ANSWER, "certificate": CHAIN.certify(CHAIN.head, (0, 1)).encoded()}, "has 2 votes"),
    ],
)
def test_whatever_is_not_proven_is_refused(answer: Mapping[str, Any], word: str) -> None:
    with pytest.raises(Refused, match=word):
        _verify(answer)


def test_old_states_are_refused() -> None:
    late = CHAIN.head.time_ms + FRESH_MS + 1
    with pytest.raises(Refused, match="or later: ask another node"):
        verify_members(ANSWER, NAMES, _trusted(), late)


def test_epochs_that_were_not_followed_are_refused() -> None:
    trusted = EpochFollower(CHAIN.genesis.chain_id, CHAIN.genesis.validator_keys())
    with pytest.raises(Refused, match="epoch 1 is not known"):
        verify_members(ANSWER, NAMES, trusted, CHAIN.head.time_ms)


def test_uncertified_head_is_asked_again() -> None:
    chain = _chain()
    chain.store.write({height_key(CERTIFICATES, chain.head.height): None}, sync=True)
    with pytest.raises(Rejected) as caught:
        chain.query("members.proven", members=NAMES)
    assert caught.value.code is Code.NOT_SYNCED


def test_anchors_are_kept_beside_the_profile(tmp_path: Path) -> None:
    assert load_anchors(tmp_path, bytes(32)) == {}
    save_anchors(tmp_path, bytes(32), {"D01": b"", "D02": b"der"})
    assert load_anchors(tmp_path, bytes(32)) == {"D01": (), "D02": (b"der",)}
    for chain_id, data in ((b"\x01" * 32, None), (bytes(32), b"x"), (bytes(32), encode(()))):
        if data is not None:
            (tmp_path / ANCHORS_FILE).write_bytes(data)
        with pytest.raises(LocalError, match="is not of this chain: remove it"):
            load_anchors(tmp_path, chain_id)
