"""The auditor follows the members from epoch to epoch; past members' keys do not fool it (F89)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from ledger.audit.replay import audit, audit_store
from ledger.audit.report import AuditReport, Verdict
from ledger.chain.certificate import Certificate, decode_certificate
from ledger.chain.receipt import Receipt, verify_receipt
from ledger.encoding import decode, encode
from ledger.errors import Code, Refused
from ledger.state.tables import EPOCHS, MEMBERS, PROPOSALS, SETTINGS
from ledger.storage.chain_store import CERTIFICATES, ChainStore, certificate_writes, height_key
from ledger.storage.memory import MemoryStore
from tests.audit.chain import (
    GovernedChain,
    governed_chain,
    receipt_of,
    write_home,
)

CHAIN = governed_chain()
HEAD = CHAIN.head.height
CHAIN_HEADERS = [CHAIN.query_context("D01").chain.header(height) for height in range(HEAD + 1)]
STARTS = [
    after.height
    for before, after in pairwise(CHAIN_HEADERS)
    if before is not None and after is not None and before.epoch != after.epoch
]


def _copy(chain: GovernedChain = CHAIN) -> MemoryStore:
    return MemoryStore(dict(chain.store.scan(b"", b"\xff")))


def _audit(
    store: MemoryStore, chain: GovernedChain = CHAIN, trusted: Receipt | None = None
) -> AuditReport:
    return audit_store(store, MemoryStore(), chain.genesis, trusted=trusted)


def _place(report: AuditReport) -> tuple[int | None, int | None, str]:
    assert report.verdict is Verdict.INVALID
    assert report.finding is not None
    return report.finding.height, report.finding.epoch, report.finding.part


def test_rule_2_chain_of_three_epochs_is_valid() -> None:
    report = _audit(_copy())
    assert report.finding is None
    assert report.verdict is Verdict.VALID
    assert report.counts.certificates == report.counts.blocks == HEAD
    assert [span.first_height for span in report.epochs] == [0, *STARTS]
    assert [len(span.validators) for span in report.epochs] == [4, 5, 5]


@pytest.mark.parametrize("height", range(1, HEAD + 1))
def test_f88_certificate_by_other_members_than_the_epochs_names_block_and_epoch(
    height: int,
) -> None:
    store = _copy()
    header = ChainStore(store).header(height)
    assert header is not None
    sound = CHAIN.certify(header)
    epoch = 0 if header.epoch else 1
    # The same block, as the members of another epoch would certify it.
    other = GovernedChain.certify(CHAIN, header, range(len(sound.votes) - 1))
    store.write(certificate_writes(other), sync=True)
    assert _place(_audit(store)) == (height, header.epoch or None, "certificate")
    forged = Certificate(epoch, height, sound.block_hash, sound.votes)
    store.write(certificate_writes(forged), sync=True)
    assert _place(_audit(store))[0] == height


@pytest.mark.parametrize("epoch", [1, 2])
def test_last_block_of_an_epoch_needs_its_own_certificate(epoch: int) -> None:
    """Else members whom nobody vouched for would vouch for the blocks that made them members."""
    store = _copy()
    first = STARTS[epoch - 1]
    store.write({height_key(CERTIFICATES, first - 1): None}, sync=True)
    assert _place(_audit(store)) == (first - 1, epoch - 1 or None, "certificate")
    # Any other block may do without: a later one of its epoch proves it.
    store = _copy()
    store.write({height_key(CERTIFICATES, first - 2): None}, sync=True)
    assert _audit(store).verdict is Verdict.VALID


@pytest.mark.parametrize("table", [MEMBERS, SETTINGS, PROPOSALS, EPOCHS])
def test_f87_every_entry_of_governance_is_compared(table: object) -> None:
    prefix = table.prefix  # type: ignore[attr-defined]
    keys = [key for key, _ in CHAIN.store.scan(prefix, prefix + b"\xff" * 40)]
    assert keys
    for key in keys:
        store = _copy()
        store.write({key: encode(("altered",))}, sync=True)
        assert _audit(store).verdict is Verdict.INVALID


def test_f89_forged_side_chain_is_valid_from_genesis_and_caught_by_a_later_anchor() -> None:
    """Who stole the keys of epoch 0's members makes another history from before the first change.

    It replays, it is certified: genesis alone cannot tell it from the truth, and the verdict says
    so by its anchor. A receipt of any later block, kept by anybody, can.
    """
    forged = GovernedChain()
    forged.observe("PAB")
    forged.decide("D01", "promote", "PAB")
    forged.settle()
    while forged.head.height < HEAD:
        forged.block()
    assert forged.genesis.data == CHAIN.genesis.data
    assert _audit(_copy(forged)).verdict is Verdict.VALID
    trusted = receipt_of(CHAIN, HEAD)
    report = _audit(_copy(forged), trusted=trusted)
    assert _place(report) == (HEAD, 1, "trusted block")
    assert "it is another history" in str(report.finding)
    assert report.trusted == HEAD
    assert _audit(_copy(), trusted=trusted).verdict is Verdict.VALID
    older = _copy(forged)
    assert _audit(older, trusted=receipt_of(CHAIN, 1)).verdict is Verdict.INVALID


def test_f89_chain_that_ends_before_the_anchor_is_unproven() -> None:
    short = GovernedChain()
    for height in range(1, 4):
        header = ChainStore(CHAIN.store).header(height)
        block = ChainStore(CHAIN.store).block(height)
        assert header is not None
        assert block is not None
        short.block(*ChainStore(CHAIN.store).transactions(block), time_ms=header.time_ms)
        assert short.head == header
    report = _audit(_copy(short), trusted=receipt_of(CHAIN, HEAD))
    assert report.verdict is Verdict.UNPROVEN
    assert f"block {HEAD}, trusted block: is not reached" in str(report.finding)
    assert _audit(_copy(short), trusted=receipt_of(CHAIN, 1)).verdict is Verdict.VALID


def test_f89_anchor_of_another_chain_or_one_that_does_not_hold_is_refused() -> None:
    other = GovernedChain(window=5)
    other.block(other.bind("91440300000000001A"))
    with pytest.raises(Refused, match="the trusted receipt is of chain") as caught:
        _audit(_copy(other), other, trusted=receipt_of(CHAIN, HEAD))
    assert caught.value.code is Code.RECEIPT_INVALID


def test_home_of_three_epochs_is_audited(tmp_path: Path) -> None:
    home = write_home(CHAIN, tmp_path / "home")
    (tmp_path / "scratch").mkdir()
    report = audit(home, tmp_path / "scratch", trusted=receipt_of(CHAIN, 1))
    assert report.verdict is Verdict.VALID
    assert report.is_anchor_given


def test_receipts_of_every_epoch_verify_from_genesis() -> None:
    for height in range(1, HEAD + 1):
        block = ChainStore(CHAIN.store).block(height)
        assert block is not None
        if block.transactions:
            receipt = receipt_of(CHAIN, height)
            verify_receipt(receipt, CHAIN.genesis.chain_id, 0, CHAIN.genesis.validator_keys())


def test_query_gives_the_changes_from_any_epoch() -> None:
    answer = CHAIN.query("epochs.changes")
    assert (answer["epoch"], len(answer["changes"])) == (2, 2)
    later = CHAIN.query("epochs.changes", after_epoch=1)
    assert later["changes"] == answer["changes"][1:]
    assert CHAIN.query("epochs.changes", after_epoch=2)["changes"] == ()
    current = CHAIN.query("epochs.current")
    assert (current["epoch"], current["first_height"]) == (2, STARTS[1])
    assert decode_certificate(encode(decode(answer["changes"][0])[1])).height == STARTS[0] - 1
