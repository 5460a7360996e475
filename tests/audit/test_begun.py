"""The audit of a home that began at a snapshot (rule 41): proved, anchored, and every lie named."""

from __future__ import annotations

from functools import cache

import pytest

from ledger.audit.replay import audit_store
from ledger.audit.report import AuditReport, Verdict
from ledger.chain.receipt import build_receipt
from ledger.storage.chain_store import CERTIFICATES, HEADERS, ChainStore, height_key
from ledger.storage.memory import MemoryStore
from tests.snapshots.support import SnapshotChain, transfer
from tests.snapshots.test_transfer import follow

BASE, HEAD = 20, 30


@cache
def begun() -> tuple[SnapshotChain, dict[bytes, bytes]]:
    """Return a chain of 30 blocks, and what a node holds that began at block 20."""
    chain = SnapshotChain(seed=7)
    for _ in range(BASE):
        chain.mixed_block()
    store = transfer(chain, chain.snapshot().answer)
    follow(chain, store, lambda: [chain.mixed_block() for _ in range(HEAD - BASE)])
    for height in range(BASE + 1, HEAD + 1):
        key = height_key(CERTIFICATES, height)
        store.write({key: chain.store.get(key)}, sync=True)
    return chain, dict(store.scan(b"", b"\xff" * 65))


def judge(changes: dict[bytes, bytes | None] | None = None) -> AuditReport:
    chain, content = begun()
    store = MemoryStore(content)
    store.write(changes or {}, sync=True)
    return audit_store(store, MemoryStore(), chain.genesis)


def test_chain_that_begins_at_a_snapshot_is_valid_and_says_so():
    report = judge()
    assert report.verdict is Verdict.VALID, report.finding
    assert (report.head, report.certified) == (HEAD, HEAD)
    assert report.counts.blocks == HEAD
    assert report.counts.state_entries > 100
    assert any(f"begins at block {BASE}" in note for note in report.files.notes)


def keys_of(prefix: bytes) -> list[bytes]:
    return [key for key in begun()[1] if key.startswith(prefix)]


@pytest.mark.parametrize("prefix", [b"sA", b"sJ", b"sa", b"sf", b"t\x05", b"t\x02", b"k"])
def test_altered_or_missing_entry_of_the_state_is_found(prefix):
    """Rule 41: what the last block does not certify is named."""
    content = begun()[1]
    for key in keys_of(prefix)[:: max(1, len(keys_of(prefix)) // 4)]:
        altered = content[key][:-1] + bytes((content[key][-1] ^ 1,))
        for value in (altered, None):
            report = judge({key: value})
            assert report.verdict is Verdict.INVALID, (key, value)
            assert report.finding is not None
            assert report.finding.part == "state"
            assert report.finding.height == HEAD


def test_entry_that_nobody_certified_is_found():
    report = judge({b"sZmore": b"\xc0"})
    assert report.finding is not None
    assert report.finding.part == "state"


@pytest.mark.parametrize("height", [1, BASE - 1, BASE, BASE + 1, HEAD])
@pytest.mark.parametrize("prefix", [b"bH", b"bT", b"bR"])
def test_altered_block_is_found(prefix, height):
    """F87, as far as there are blocks."""
    key = height_key(prefix, height)
    data = begun()[1][key]
    for at in {len(data) // 3, len(data) - 1}:
        report = judge({key: data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]})
        assert report.verdict is not Verdict.VALID
    assert judge({key: None}).verdict is not Verdict.VALID


def test_snapshot_without_its_certificate_is_found():
    report = judge({height_key(CERTIFICATES, BASE): None})
    assert report.finding is not None
    assert report.finding.height == BASE
    wrong = begun()[1][height_key(CERTIFICATES, BASE + 1)]
    report = judge({height_key(CERTIFICATES, BASE): wrong})
    assert report.verdict is not Verdict.VALID


def test_f89_later_receipt_as_anchor_speaks_against_another_history():
    chain, content = begun()
    other = SnapshotChain(seed=8)
    for _ in range(HEAD):
        other.mixed_block()
    held = ChainStore(other.store)
    block, certificate = held.block(HEAD), held.certificate(HEAD)
    assert block is not None
    assert certificate is not None
    receipt = build_receipt(block, 0, certificate, chain.genesis.validator_keys(), ())
    report = audit_store(MemoryStore(content), MemoryStore(), chain.genesis, trusted=receipt)
    assert report.finding is not None
    assert report.finding.part == "trusted block"
    assert content[height_key(HEADERS, HEAD)] != block.header.encoded()
