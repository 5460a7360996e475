"""Expired is final when W members state it of a certified block past the expiry (rule 38)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.certificate import Certificate
from ledger.chain.epochs import EpochFollower
from ledger.chain.expiry import (
    ExpiryStatement,
    decode_statement,
    expiry_signing_input,
    verify_expired,
)
from ledger.errors import CreditLedgerError, Refused
from tests.ledger_harness import Harness, company_code, key_of

TX = bytes(range(32))


class World:
    """A chain of one block, and who may state something about it."""

    def __init__(self) -> None:
        chain = Harness()
        chain.run(chain.bind(company_code(1)))
        self.header = chain.head
        self.certificate = chain.certify(chain.head)
        self.names = [name for name, _ in chain.genesis.validator_keys()]
        self.expires_ms = self.header.time_ms - 1
        self.chain_id = chain.genesis.chain_id
        self.validators = chain.genesis.validator_keys()

    def trusted(self) -> EpochFollower:
        return EpochFollower(self.chain_id, self.validators)

    def statement(self, signer: int, expires_ms: int | None = None) -> ExpiryStatement:
        late = self.expires_ms if expires_ms is None else expires_ms
        signed = expiry_signing_input(self.header, TX, late, signer)
        signature = key_of(f"node:{self.names[signer]}").sign(signed)
        return ExpiryStatement(TX, late, self.header, self.certificate, signer, signature)


WORLD = World()


def test_rule_38_w_distinct_members_make_it_final() -> None:
    found = [WORLD.statement(0), WORLD.statement(2)]
    assert verify_expired(found, TX, WORLD.expires_ms, WORLD.trusted()) == {
        WORLD.names[0],
        WORLD.names[2],
    }


@pytest.mark.parametrize("signers", [(), (1,), (1, 1, 1)])
def test_rule_38_fewer_members_do_not(signers: tuple[int, ...]) -> None:
    found = [WORLD.statement(signer) for signer in signers]
    with pytest.raises(Refused, match="members, want 2"):
        verify_expired(found, TX, WORLD.expires_ms, WORLD.trusted())


def test_a_block_before_the_expiry_proves_nothing() -> None:
    late = WORLD.header.time_ms + 1
    found = [WORLD.statement(0, late), WORLD.statement(1, late)]
    with pytest.raises(Refused, match="before the expiry"):
        verify_expired(found, TX, late, WORLD.trusted())


def test_what_is_forged_or_about_something_else_is_refused() -> None:
    good, other = WORLD.statement(0), WORLD.statement(1)
    short = Certificate(
        WORLD.certificate.epoch,
        WORLD.certificate.height,
        WORLD.certificate.block_hash,
        WORLD.certificate.votes[:-1],
    )
    for wrong in (
        replace(other, signer=0),
        replace(other, signer=7),
        replace(other, transaction_id=bytes(32)),
        replace(other, expires_at_ms=other.expires_at_ms - 1),
        replace(other, certificate=short),
        replace(other, header=replace(other.header, state_root=bytes(32))),
        replace(other, header=replace(other.header, chain_id=bytes(32))),
        replace(other, signature=good.signature),
    ):
        with pytest.raises(CreditLedgerError):
            verify_expired([good, wrong], TX, WORLD.expires_ms, WORLD.trusted())


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_every_changed_byte_is_refused(place: int, mask: int) -> None:
    data = bytearray(WORLD.statement(1).encoded())
    data[place % len(data)] ^= mask
    with pytest.raises(CreditLedgerError):
        judge(bytes(data))


def judge(data: bytes) -> None:
    found = [WORLD.statement(0), decode_statement(data)]
    verify_expired(found, TX, WORLD.expires_ms, WORLD.trusted())


def test_statement_is_read_back_as_it_was_written() -> None:
    statement = WORLD.statement(3)
    assert decode_statement(statement.encoded()) == statement
