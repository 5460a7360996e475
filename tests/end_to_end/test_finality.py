"""What is final and which reads count, on real nodes (rules 38 and 39)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ledger.chain.epochs import EpochFollower
from ledger.chain.expiry import ExpiryStatement, verify_expired
from ledger.chain.header import Header
from ledger.errors import Code, CreditLedgerError, RemoteError
from ledger.keys import SigningKey
from ledger.transactions.envelope import Transaction, sign_transaction
from network.client import Client
from network.finality import confirm_expired, read_proven
from tests.end_to_end.province import Province

HOUR_MS = 3_600_000


def late_transaction(province: Province) -> Transaction:
    """Return a transaction that was never sent and expired a moment ago."""
    client = province.client("D02")
    key = client.profile.signing_key
    assert isinstance(key, SigningKey)
    return sign_transaction(
        key,
        chain_id=province.genesis.chain_id,
        sender="D02",
        nonce=bytes(16),
        expires_at_ms=client.head().time_ms + 1,
        kind="company.bind",
        body={},
        attachments=(),
    )


def test_rule_38_expired_is_stated_by_w_members_and_verifies_offline(province: Province) -> None:
    transaction = late_transaction(province)
    client = province.client("D02")
    province.check_well()  # the chain's time moves past the expiry

    async def confirm(inner: Client) -> tuple[ExpiryStatement, ...]:
        return await confirm_expired(inner, transaction.id, transaction.expires_at_ms)

    statements = client.run(confirm)
    trusted = EpochFollower(province.genesis.chain_id, province.genesis.validator_keys())
    expiry = transaction.expires_at_ms
    assert len(verify_expired(statements, transaction.id, expiry, trusted)) == 2


def test_rule_38_what_stands_in_a_block_is_not_stated(province: Province) -> None:
    receipt = province.send("D01", "company.bind", province.new_company()[2])
    province.check_well()

    async def confirm(inner: Client) -> object:
        return await confirm_expired(inner, receipt.transaction_id, receipt.header.time_ms)

    with pytest.raises(RemoteError, match="stands in block"):
        province.client("D02").run(confirm)


def test_rule_38_before_the_expiry_nobody_states_it(province: Province) -> None:
    soon_ms = province.client("D02").head().time_ms + HOUR_MS

    async def confirm(inner: Client) -> object:
        return await confirm_expired(inner, bytes(32), soon_ms)

    with pytest.raises(CreditLedgerError) as caught:
        province.client("D02").run(confirm)
    assert caught.value.code is Code.NOT_SYNCED


def test_rule_39_a_read_is_proven_and_fresh(province: Province) -> None:
    province.check_well()

    async def read(inner: Client) -> list[Any]:
        keys = (b"D02", b"nobody")
        return [(await read_proven(inner, "members", key)).value for key in keys]

    found, absent = province.client("icbc-gd").run(read)
    assert found[0] == "D02"
    assert absent is None


def test_f32_rule_39_an_old_head_counts_only_if_w_members_know_no_later_one(
    province: Province,
) -> None:
    province.check_well()

    async def read(inner: Client) -> Header:
        late_ms = time.time_ns() // 1_000_000 + HOUR_MS
        return (await read_proven(inner, "members", b"D02", now_ms=lambda: late_ms)).header

    header = province.client("icbc-gd").run(read)
    assert header.height > 0
    # Asked through one node alone there are not W members to vouch for an old head.
    with pytest.raises(CreditLedgerError) as caught:
        province.client("icbc-gd", "icbc-gd").run(read)
    assert caught.value.code is Code.NOT_SYNCED
